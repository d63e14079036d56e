//! Reads lines on a thread of its own, because a terminal or pipe may keep a reader waiting for ever.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::thread;

use tokio::sync::mpsc::{Receiver, channel};

use crate::cli::exit::{Exit, Failure};

/// Lines that wait to be produced.
const WAITING_MAX: usize = 1024;

/// The lines of a file, or of standard input, without their ends.
pub(super) fn open(file: Option<&Path>) -> Result<Receiver<Result<Vec<u8>, Failure>>, Failure> {
    match file.filter(|path| *path != Path::new("-")) {
        None => Ok(read(io::stdin(), "standard input".to_owned())),
        Some(path) => {
            let name = path.display().to_string();
            let file = File::open(path);
            let file = file.map_err(|error| Failure::new(Exit::Failed, format!("cannot read {name}: {error}")))?;
            Ok(read(file, name))
        }
    }
}

fn read(source: impl Read + Send + 'static, name: String) -> Receiver<Result<Vec<u8>, Failure>> {
    let (sender, receiver) = channel(WAITING_MAX);
    thread::spawn(move || {
        for line in BufReader::with_capacity(1 << 16, source).split(b'\n') {
            let line = line.map(|mut line| {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                line
            });
            let line = line.map_err(|error| Failure::new(Exit::Failed, format!("cannot read {name}: {error}")));
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
