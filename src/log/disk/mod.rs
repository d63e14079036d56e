//! The only way to the disk.
//!
//! [`Disk`] is what the log needs of a file system: positioned reads and writes, explicit syncs of
//! files and of directories. [`OsDisk`] is the real one; [`SimDisk`] keeps what is durable apart from
//! what is merely written, so that recovery can be tested at every boundary. Nothing in `log` opens a
//! file in another way.

mod os;
mod sim;

use std::fmt::Debug;
use std::io;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

pub use os::{OsDisk, OsFile};
pub use sim::{Fault, SimDisk, SimFile};

/// An open file. Shared behind an `Arc`: all operations carry their own position.
pub trait DiskFile: Debug + Send + Sync + 'static {
    /// Reads up to `buffer.len()` bytes from `position`; fewer only at the end of the file.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    /// Writes all of `first` and then all of `second` at `position`, with one system call when the
    /// kernel takes it all. After an error any part may have been written.
    fn write_at(&self, first: &[u8], second: &[u8], position: u64) -> io::Result<()>;

    /// Length in bytes.
    fn len(&self) -> io::Result<u64>;

    /// True for a file without a byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file, or extends it with zeros.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Takes room for `bytes` in all, without changing the length: what is written there later cannot fail for want of
    /// room. [`DiskFile::set_len`] gives back what lies behind the length.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// Returns once content and length are on disk. An error means that written bytes may be lost for
    /// good: it is never tried again on the same file.
    fn sync_data(&self) -> io::Result<()>;

    /// The descriptor for `sendfile`; `None` for a file that has none.
    fn as_fd(&self) -> Option<BorrowedFd<'_>>;
}

/// A file system. Cheap to clone; clones are the same disk.
pub trait Disk: Clone + Debug + Send + Sync + 'static {
    /// Its open files.
    type File: DiskFile;

    /// Opens an existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file for reading and writing, creating it empty when it is missing. The new name is
    /// durable only after [`Disk::sync_dir`] of its directory.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Gives a file or directory another name, replacing a file that has it. Durable only after
    /// [`Disk::sync_dir`].
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name. Open files stay readable.
    fn remove_file(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory with all that is in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Creates a directory; one that exists already is no error.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// The entries of a directory, sorted by name.
    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>>;

    /// Makes the names in a directory durable.
    fn sync_dir(&self, directory: &Path) -> io::Result<()>;

    /// True when something has this name.
    fn exists(&self, path: &Path) -> bool;

    /// Reads a whole (small) file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.open(path)?;
        let length = usize::try_from(file.len()?).map_err(io::Error::other)?;
        let mut content = vec![0; length];
        let read = read_full(&file, &mut content, 0)?;
        content.truncate(read);
        Ok(content)
    }

    /// Replaces a small file in one step: a temporary file beside it is written and synced, then
    /// renamed over it, then the directory is synced. After a crash either the old or the new content
    /// is there.
    fn write_atomically(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let file = self.create(&temporary)?;
        file.set_len(0)?;
        file.write_at(content, &[], 0)?;
        file.sync_data()?;
        self.rename(&temporary, path)?;
        match path.parent() {
            Some(directory) => self.sync_dir(directory),
            None => Ok(()),
        }
    }
}

/// A name in a directory.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DirectoryEntry {
    /// The name, without the directory. Names that are not UTF-8 are not listed: none is ours.
    pub name: String,
    /// True for a directory.
    pub is_dir: bool,
}

/// Reads until `buffer` is full or the file ends; the number of bytes read.
pub fn read_full(file: &impl DiskFile, buffer: &mut [u8], position: u64) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, position + filled as u64)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
