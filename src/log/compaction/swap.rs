//! What a crash in the middle of a compaction left, before the log is opened.

use std::path::Path;
use std::sync::Arc;

use crate::log::LogError;
use crate::log::batch_walk::{HeaderWalk, Stop};
use crate::log::disk::{Disk, DiskFile};
use crate::log::file_names::{FileKind, Standing, file_name, parse_file_name};
use crate::model::Offset;

/// Drops copies that were not finished. Finished ones take the place of the segments they were made from, as far as
/// those are still there. True when anything was done.
pub fn finish_interrupted<D: Disk>(disk: &D, directory: &Path) -> Result<bool, LogError> {
    let names = names(disk, directory)?;
    let ending = |standing: Standing| {
        let named = move |name: &String| parse_file_name(name.strip_suffix(standing.suffix())?);
        names.iter().filter_map(move |name| Some((name, named(name)?)))
    };
    let swapped: Vec<Offset> =
        ending(Standing::Swap).filter(|(_, (_, kind))| *kind == FileKind::Log).map(|(_, (base, _))| base).collect();
    for (name, _) in ending(Standing::Cleaned) {
        remove(disk, &directory.join(name))?;
    }
    for (name, (base_offset, kind)) in ending(Standing::Swap) {
        // The transaction index and the others are made anew, or not needed: what was aborted is not in the copy.
        if kind != FileKind::Log || !swapped.contains(&base_offset) {
            remove(disk, &directory.join(name))?;
        }
    }
    for base_offset in &swapped {
        put_in_place(disk, directory, *base_offset)?;
    }
    let any = names.iter().any(|name| name.ends_with(Standing::Cleaned.suffix())) || !swapped.is_empty();
    if any {
        disk.sync_dir(directory).map_err(LogError::io("sync", directory))?;
    }
    Ok(any)
}

/// Removes the segments that the copy covers, makes that durable, and only then gives the copy its name: the two must
/// never be seen side by side.
fn put_in_place<D: Disk>(disk: &D, directory: &Path, base_offset: Offset) -> Result<(), LogError> {
    let name = file_name(base_offset, FileKind::Log);
    let from = directory.join(name.clone() + Standing::Swap.suffix());
    let next_offset = next_offset(disk, &from, base_offset)?;
    for old in names(disk, directory)? {
        if let Some((base, kind)) = parse_file_name(&old)
            && kind != FileKind::ProducerSnapshot
            && (base_offset..next_offset).contains(&base)
        {
            remove(disk, &directory.join(old))?;
        }
    }
    disk.sync_dir(directory).map_err(LogError::io("sync", directory))?;
    disk.rename(&from, &directory.join(name)).map_err(LogError::io("rename", &from))
}

/// One past the last offset of a finished copy: its last batch stays whatever becomes of its records.
fn next_offset<D: Disk>(disk: &D, path: &Path, base_offset: Offset) -> Result<Offset, LogError> {
    let file = disk.open(path).map_err(LogError::io("open", path))?;
    let length = file.len().map_err(LogError::io("measure", path))?;
    let mut walk = HeaderWalk::new(Arc::new(file), 0, length);
    let mut next_offset = base_offset;
    loop {
        let reason = match walk.step() {
            Ok(batch) => {
                next_offset = batch.header.next_offset();
                continue;
            }
            Err(Stop::End) => return Ok(next_offset),
            Err(Stop::Io(source)) => return Err(LogError::io("read", path)(source)),
            Err(Stop::Invalid(error)) => error.to_string(),
            Err(Stop::Incomplete) => "the file ends inside the batch".to_owned(),
        };
        let (path, position) = (path.to_owned(), walk.position());
        return Err(LogError::Corrupt { path, position, offset: next_offset, reason });
    }
}

fn names<D: Disk>(disk: &D, directory: &Path) -> Result<Vec<String>, LogError> {
    let entries = disk.list(directory).map_err(LogError::io("list", directory))?;
    Ok(entries.into_iter().filter(|entry| !entry.is_dir).map(|entry| entry.name).collect())
}

fn remove<D: Disk>(disk: &D, path: &Path) -> Result<(), LogError> {
    disk.remove_file(path).map_err(LogError::io("remove", path))
}
