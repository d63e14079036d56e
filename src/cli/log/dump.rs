//! `ottla log dump`.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::{indexes, segment};
use crate::cli::common::OutputArguments;
use crate::cli::exit::{Exit, Failure};
use crate::log::{LogFileKind, log_file_kind};

#[derive(Args, Debug)]
pub(super) struct Arguments {
    /// Files, or directories of partitions.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Prints the records too.
    #[arg(short, long)]
    pub(super) records: bool,
}

pub(super) fn run(arguments: &Arguments, output: OutputArguments) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    let mut damaged = Vec::new();
    for path in &arguments.paths {
        for file in files(path)? {
            if !output.json {
                writeln!(out, "{}", file.display())?;
            }
            if let Some(damage) = dump(&file, arguments.records, output.json, &mut out)? {
                damaged.push(format!("{}: {damage}", file.display()));
            }
        }
    }
    out.flush()?;
    match damaged.as_slice() {
        [] => Ok(()),
        damaged => Err(Failure::new(Exit::Failed, damaged.join("; "))),
    }
}

/// The files that a path means, in the order of their offsets.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error: io::Error| {
        let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NotFound } else { Exit::Failed };
        Failure::new(exit, format!("cannot read {}: {error}", path.display()))
    };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return match log_file_kind(path) {
            Some(_) => Ok(vec![path.to_owned()]),
            None => Err(Failure::usage(format!("{} is no file of a log", path.display()))
                .next("Those end in .log, .index, .timeindex, .txnindex or .snapshot, after twenty digits.")),
        };
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        if let Some(order) = log_file_kind(&file) {
            files.push((order, file));
        }
    }
    if files.is_empty() {
        let what = format!("{} holds no segments", path.display());
        return Err(
            Failure::new(Exit::NotFound, what).next("Name the directory of a partition, such as DATA/orders-0.")
        );
    }
    files.sort();
    Ok(files.into_iter().map(|(_, file)| file).collect())
}

/// Prints one file; what is wrong with it, if anything is.
fn dump(file: &Path, records: bool, json: bool, out: &mut impl Write) -> Result<Option<String>, Failure> {
    let (base_offset, kind) = log_file_kind(file).expect("only files of logs are chosen");
    let unreadable = |error| Failure::new(Exit::Failed, format!("cannot read {}: {error}", file.display()));
    if kind == LogFileKind::Batches {
        let source = fs::File::open(file).map_err(unreadable)?;
        return segment::dump(source, records, json, out);
    }
    let bytes = fs::read(file).map_err(unreadable)?;
    Ok(indexes::dump(kind, base_offset, &bytes, json, out)?)
}
