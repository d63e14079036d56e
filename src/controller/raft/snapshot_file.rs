//! The bytes of one snapshot: what openraft hands around and what is sent to another voter.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;

use crate::log::DiskFile;

/// What openraft hands around as a snapshot's data: a file that stays readable while this lives.
#[derive(Debug, Default)]
pub struct SnapshotFile {
    /// None only between `begin_receiving_snapshot` and the first chunk.
    pub(super) content: Option<Arc<dyn DiskFile>>,
    /// Where it lies while it is not installed.
    pub(super) incoming: Option<PathBuf>,
    pub(super) length: u64,
}

impl SnapshotFile {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Up to `length` bytes from `position` on; fewer only at the end.
    pub fn read(&self, position: u64, length: usize) -> io::Result<Bytes> {
        let mut buffer = vec![0; length.min(usize::try_from(self.length.saturating_sub(position)).unwrap_or(length))];
        let content = self.content.as_ref().ok_or(io::ErrorKind::UnexpectedEof)?;
        read_exact(content.as_ref(), &mut buffer, position)?;
        Ok(buffer.into())
    }
}

fn read_exact(file: &dyn DiskFile, buffer: &mut [u8], position: u64) -> io::Result<()> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], position + filled as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => filled += read,
        }
    }
    Ok(())
}
