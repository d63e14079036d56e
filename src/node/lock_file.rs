//! `.lock`: a data directory belongs to one process at a time.
//!
//! The kernel's lock on the file is what counts; it goes with the process, however that ends. The process id in the
//! file is only for the sentence that tells a second process who was first.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// Name of the file in a data directory.
const FILE_NAME: &str = ".lock";

/// Holds the lock; dropping it gives it up.
#[derive(Debug)]
pub(super) struct LockFile {
    _file: File,
}

/// Why a directory could not be locked.
#[derive(Debug)]
pub(super) enum LockError {
    /// Another process has it; its id, if the file tells.
    Held(Option<u32>),
    /// The file cannot be used.
    Io(io::Error),
}

impl LockFile {
    pub(super) fn acquire(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join(FILE_NAME);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(LockError::Io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(LockError::Held(holder(&mut file))),
            Err(errno) => return Err(LockError::Io(errno.into())),
        }
        write_holder(&mut file).map_err(LockError::Io)?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_was_first() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = LockFile::acquire(directory.path()).expect("free");
        match LockFile::acquire(directory.path()) {
            Err(LockError::Held(Some(pid))) => assert_eq!(pid, std::process::id()),
            other => panic!("held by this process: {other:?}"),
        }
        drop(first);
        LockFile::acquire(directory.path()).expect("free again");
    }
}
