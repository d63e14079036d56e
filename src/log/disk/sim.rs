//! A disk in memory that can crash.
//!
//! Every file has two contents: what the page cache shows and what is durable. [`DiskFile::sync_data`]
//! makes the former the latter; names become durable with [`Disk::sync_dir`]. [`SimDisk::crash`] goes
//! back to what is durable, either forgetting everything else or, with a seed, keeping a random part
//! of it: writes in any order, torn at sectors, and a prefix of the changes to names, as the journal of each
//! file system would. A sync that fails drops the bytes it should have written from then on, as Linux does; lengths and
//! names are metadata, which a journal keeps until it is written.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, ErrorKind};
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{DirectoryEntry, Disk, DiskFile};

/// The unit in which a write is torn.
const SECTOR: usize = 512;

/// What an operation of a [`SimDisk`] does instead of succeeding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The n-th operation and all after it fail, reads too, as if the power were gone. A write may have been done in
    /// part by then.
    Cut,
    /// That one operation fails with an I/O error; a write may have been done in part.
    Error,
    /// That one operation fails because the disk is full; a write may have been done in part.
    Full,
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimDisk").field("operations", &self.operations()).finish_non_exhaustive()
    }
}

/// An open file of a [`SimDisk`]. Dead after a crash.
#[derive(Debug)]
pub struct SimFile {
    disk: SimDisk,
    inode: u64,
    life: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Node {
    File(u64),
    Directory,
}

type Names = BTreeMap<PathBuf, Node>;

#[derive(Debug, Default)]
struct Inode {
    content: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Change>,
}

/// A change of a file's content.
#[derive(Clone, Debug)]
enum Change {
    Write { position: usize, bytes: Vec<u8> },
    SetLen(usize),
}

/// A change of a name.
#[derive(Clone, Debug)]
enum NameChange {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

#[derive(Debug, Default)]
struct State {
    inodes: HashMap<u64, Inode>,
    next_inode: u64,
    names: Names,
    durable_names: Names,
    unsynced_names: Vec<NameChange>,
    operations: u64,
    syncs: u64,
    fault: Option<(u64, Fault)>,
    cut: bool,
    life: u64,
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::SetLen(length) => content.resize(*length, 0),
            Change::Write { position, bytes } => {
                let end = position + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                if let Some(place) = content.get_mut(*position..end) {
                    place.copy_from_slice(bytes);
                }
            }
        }
    }

    /// Applies a random part: all, nothing, or some of the sectors.
    fn tear(&self, content: &mut Vec<u8>, random: &mut StdRng) {
        match (self, random.random_range(0..3)) {
            (_, 0) => {}
            (Change::Write { position, bytes }, 1) => {
                let (mut at, mut rest) = (*position, bytes.as_slice());
                while !rest.is_empty() {
                    // Sectors of the file, not of the write.
                    let (sector, later) = rest.split_at((SECTOR - at % SECTOR).min(rest.len()));
                    if random.random() {
                        Change::Write { position: at, bytes: sector.to_vec() }.apply(content);
                    }
                    at += sector.len();
                    rest = later;
                }
            }
            _ => self.apply(content),
        }
    }
}

/// `path` with the directory `from` in it replaced by `to`; `None` when it does not lie at or below `from`.
fn moved(path: &Path, from: &Path, to: &Path) -> Option<PathBuf> {
    let rest = path.strip_prefix(from).ok()?;
    Some(if rest.as_os_str().is_empty() { to.to_owned() } else { to.join(rest) })
}

impl NameChange {
    fn directory(&self) -> Option<&Path> {
        match self {
            NameChange::Add(path, _) | NameChange::Remove(path) | NameChange::Rename(_, path) => path.parent(),
        }
    }

    /// The directory below the root that it lies in, or that it is.
    fn file_system(&self) -> Option<PathBuf> {
        let (NameChange::Add(path, _) | NameChange::Remove(path) | NameChange::Rename(_, path)) = self;
        path.components().nth(1).map(|component| PathBuf::from(component.as_os_str()))
    }

    /// It took away what had the directory's name before. That goes first, or it would take along what is in the
    /// directory now.
    fn takes_away(&self, directory: &Path) -> bool {
        match self {
            NameChange::Add(..) => false,
            NameChange::Remove(path) | NameChange::Rename(path, _) => directory.starts_with(path),
        }
    }

    fn apply(&self, names: &mut Names) {
        match self {
            NameChange::Add(path, node) => {
                names.insert(path.clone(), *node);
            }
            NameChange::Remove(path) => names.retain(|name, _| !name.starts_with(path)),
            NameChange::Rename(from, to) => {
                for (name, node) in std::mem::take(names) {
                    match moved(&name, from, to) {
                        Some(new) => names.insert(new, node),
                        // What had the new name is replaced.
                        None if name == *to => None,
                        None => names.insert(name, node),
                    };
                }
            }
        }
    }

    fn follow_rename(&mut self, from: &Path, to: &Path) {
        match self {
            NameChange::Add(path, _) | NameChange::Remove(path) => {
                if path != from
                    && let Some(new) = moved(path, from, to)
                {
                    *path = new;
                }
            }
            NameChange::Rename(a, b) => {
                for path in [a, b] {
                    if path != from
                        && let Some(new) = moved(path, from, to)
                    {
                        *path = new;
                    }
                }
            }
        }
    }
}

impl State {
    fn alive(&self) -> io::Result<()> {
        if self.cut { Err(io::Error::other("the power is gone")) } else { Ok(()) }
    }

    /// Counts an operation that changes the disk; an error when a fault is due.
    fn operate(&mut self) -> io::Result<()> {
        self.alive()?;
        let number = self.operations;
        self.operations += 1;
        match self.fault {
            Some((at, Fault::Cut)) if number >= at => {
                self.cut = true;
                self.alive()
            }
            Some((at, Fault::Error)) if number == at => Err(io::Error::other("injected error")),
            Some((at, Fault::Full)) if number == at => Err(ErrorKind::StorageFull.into()),
            _ => Ok(()),
        }
    }

    fn change_name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        if let NameChange::Rename(from, to) = &change {
            // Changes inside a renamed directory are now changes below its new name.
            for earlier in &mut self.unsynced_names {
                earlier.follow_rename(from, to);
            }
        }
        self.unsynced_names.push(change);
    }

    /// Makes a first part of the changes of names durable, of another length on each file system: every directory below
    /// the root is one, with a journal of its own.
    fn keep_names(&mut self, random: &mut StdRng) {
        let mut draw = || random.random_range(0..=self.unsynced_names.len());
        let (mut first, mut left) = (Some(draw()), HashMap::new());
        for change in &self.unsynced_names {
            let kept = left.entry(change.file_system()).or_insert_with(|| first.take().unwrap_or_else(&mut draw));
            if *kept > 0 {
                *kept -= 1;
                change.apply(&mut self.durable_names);
            }
        }
    }

    fn inode(&mut self, inode: u64) -> io::Result<&mut Inode> {
        self.inodes.get_mut(&inode).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn file_at(&self, path: &Path) -> io::Result<u64> {
        match self.names.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Directory) => Err(ErrorKind::IsADirectory.into()),
            None => Err(ErrorKind::NotFound.into()),
        }
    }

    fn has_directory(&self, path: &Path) -> bool {
        path.parent().is_none() || self.names.get(path) == Some(&Node::Directory)
    }

    fn change_content(&mut self, inode: u64, change: Change) -> io::Result<()> {
        let inode = self.inode(inode)?;
        change.apply(&mut inode.content);
        inode.unsynced.push(change);
        Ok(())
    }
}

impl SimDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many operations have changed the disk: writes, syncs, and changes of names.
    pub fn operations(&self) -> u64 {
        self.lock().operations
    }

    /// How many syncs of files and directories there were.
    pub fn syncs(&self) -> u64 {
        self.lock().syncs
    }

    /// Lets the operation with this number (from 0, see [`SimDisk::operations`]) fail.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.lock().fault = Some((operation, fault));
    }

    /// The power fails and comes back. Without a seed everything that was not synced is forgotten; with one,
    /// a random part of it is kept.
    pub fn crash(&self, seed: Option<u64>) {
        let mut guard = self.lock();
        let state = &mut *guard;
        let mut random = seed.map(StdRng::seed_from_u64);
        if let Some(random) = &mut random {
            state.keep_names(random);
        }
        state.unsynced_names.clear();
        let mut names = state.durable_names.clone();
        names.retain(|path, _| has_all_parents(&state.durable_names, path));
        state.durable_names = names.clone();
        state.names = names;
        let mut inodes: Vec<_> = state.inodes.iter_mut().collect();
        inodes.sort_by_key(|(number, _)| **number);
        for (_, inode) in inodes {
            for change in std::mem::take(&mut inode.unsynced) {
                if let Some(random) = &mut random {
                    change.tear(&mut inode.durable, random);
                }
            }
            inode.content = inode.durable.clone();
        }
        state.life += 1;
        state.cut = false;
        state.fault = None;
    }

    /// The process dies and starts anew: its files are closed, the page cache stays as it is. Ends a [`Fault::Cut`].
    pub fn kill(&self) {
        let mut state = self.lock();
        state.life += 1;
        state.cut = false;
        state.fault = None;
    }

    /// Flips the bits of one byte, in the page cache and on disk, as rot does.
    pub fn rot(&self, path: &Path, position: usize) {
        let mut state = self.lock();
        let inode = state.file_at(path).expect("the file to rot exists");
        let inode = state.inode(inode).expect("a named file has an inode");
        for content in [&mut inode.content, &mut inode.durable] {
            if let Some(byte) = content.get_mut(position) {
                *byte ^= 0xff;
            }
        }
    }

    fn file(&self, state: &State, inode: u64) -> SimFile {
        SimFile { disk: self.clone(), inode, life: state.life }
    }
}

fn has_all_parents(names: &Names, path: &Path) -> bool {
    path.ancestors().skip(1).all(|parent| parent.parent().is_none() || names.get(parent) == Some(&Node::Directory))
}

impl SimFile {
    fn lock(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        if state.life != self.life {
            return Err(io::Error::other("the file was open before the crash"));
        }
        state.alive()?;
        Ok(state)
    }
}

impl DiskFile for SimFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut state = self.lock()?;
        let content = &state.inode(self.inode)?.content;
        let rest = usize::try_from(position).ok().and_then(|at| content.get(at..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..length), rest.get(..length)) {
            to.copy_from_slice(from);
        }
        Ok(length)
    }

    fn write_at(&self, first: &[u8], second: &[u8], position: u64) -> io::Result<()> {
        let mut bytes = [first, second].concat();
        let position = usize::try_from(position).map_err(io::Error::other)?;
        let mut state = self.lock()?;
        let outcome = state.operate();
        if outcome.is_err() {
            bytes.truncate(bytes.len() / 2);
        }
        state.change_content(self.inode, Change::Write { position, bytes })?;
        outcome
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.lock()?.inode(self.inode)?.content.len() as u64)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).map_err(io::Error::other)?;
        let mut state = self.lock()?;
        state.operate()?;
        state.change_content(self.inode, Change::SetLen(length))
    }

    fn allocate(&self, _: u64) -> io::Result<()> {
        self.lock().map(|_| ())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.lock()?;
        state.syncs += 1;
        let outcome = state.operate();
        state.alive()?;
        let inode = state.inode(self.inode)?;
        if outcome.is_err() {
            inode.unsynced.retain(|change| matches!(change, Change::SetLen(_)));
            return outcome;
        }
        for change in std::mem::take(&mut inode.unsynced) {
            change.apply(&mut inode.durable);
        }
        Ok(())
    }

    fn as_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn open(&self, path: &Path) -> io::Result<SimFile> {
        let state = self.lock();
        state.alive()?;
        let inode = state.file_at(path)?;
        Ok(self.file(&state, inode))
    }

    fn create(&self, path: &Path) -> io::Result<SimFile> {
        let mut state = self.lock();
        state.alive()?;
        if let Ok(inode) = state.file_at(path) {
            return Ok(self.file(&state, inode));
        }
        if !path.parent().is_some_and(|parent| state.has_directory(parent)) {
            return Err(ErrorKind::NotFound.into());
        }
        state.operate()?;
        let inode = state.next_inode;
        state.next_inode += 1;
        state.inodes.insert(inode, Inode::default());
        state.change_name(NameChange::Add(path.to_owned(), Node::File(inode)));
        Ok(self.file(&state, inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.alive()?;
        if !state.names.contains_key(from) {
            return Err(ErrorKind::NotFound.into());
        }
        state.operate()?;
        state.change_name(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.alive()?;
        state.file_at(path)?;
        state.operate()?;
        state.change_name(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.alive()?;
        if state.names.get(path) != Some(&Node::Directory) {
            return Err(ErrorKind::NotFound.into());
        }
        state.operate()?;
        state.change_name(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.alive()?;
        let mut missing: Vec<&Path> = path.ancestors().take_while(|path| !state.has_directory(path)).collect();
        while let Some(directory) = missing.pop() {
            if state.names.contains_key(directory) {
                return Err(ErrorKind::AlreadyExists.into());
            }
            state.operate()?;
            state.change_name(NameChange::Add(directory.to_owned(), Node::Directory));
        }
        Ok(())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<DirectoryEntry>> {
        let state = self.lock();
        state.alive()?;
        if !state.has_directory(directory) {
            return Err(ErrorKind::NotFound.into());
        }
        let entries = state.names.iter().filter(|(path, _)| path.parent() == Some(directory));
        let mut entries: Vec<DirectoryEntry> = entries
            .filter_map(|(path, node)| {
                let name = path.file_name()?.to_str()?.to_owned();
                Some(DirectoryEntry { name, is_dir: *node == Node::Directory })
            })
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.syncs += 1;
        state.operate()?;
        let (synced, rest) = std::mem::take(&mut state.unsynced_names)
            .into_iter()
            .partition::<Vec<_>, _>(|change| change.directory() == Some(directory) || change.takes_away(directory));
        state.unsynced_names = rest;
        for change in synced {
            change.apply(&mut state.durable_names);
        }
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        self.lock().names.contains_key(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> SimDisk {
        let disk = SimDisk::new();
        disk.create_dir(Path::new("/d")).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk
    }

    #[test]
    fn only_what_is_synced_survives() {
        let disk = disk();
        let path = Path::new("/d/a");
        let file = disk.create(path).unwrap();
        file.write_at(b"one", b"two", 0).unwrap();
        file.sync_data().unwrap();
        disk.crash(None);
        assert!(!disk.exists(path), "the name was not synced");

        let file = disk.create(path).unwrap();
        file.write_at(b"one", b"two", 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_at(b"three", b"", 6).unwrap();
        assert_eq!(disk.read(path).unwrap(), b"onetwothree");
        disk.crash(None);
        assert_eq!(disk.read(path).unwrap(), b"onetwo");
        assert!(file.len().is_err(), "the file was open before the crash");
    }

    #[test]
    fn a_killed_process_loses_nothing() {
        let disk = disk();
        let path = Path::new("/d/a");
        disk.create(path).unwrap().write_at(b"x", b"", 0).unwrap();
        disk.kill();
        assert_eq!(disk.read(path).unwrap(), b"x");
    }

    #[test]
    fn atomic_replacement_shows_old_or_new_at_every_cut() {
        let path = Path::new("/d/a");
        let mut seen = [false; 2];
        for cut in 0.. {
            let disk = disk();
            disk.write_atomically(path, b"old").unwrap();
            disk.fail_at(disk.operations() + cut, Fault::Cut);
            let done = disk.write_atomically(path, b"new").is_ok();
            disk.crash((cut % 2 == 1).then_some(cut));
            let content = disk.read(path).unwrap();
            assert!(content == b"old" || content == b"new", "{content:?} after {cut}");
            seen[usize::from(content == b"new")] = true;
            if done {
                assert_eq!(content, b"new");
                break;
            }
        }
        assert_eq!(seen, [true, true]);
    }

    #[test]
    fn a_failed_sync_loses_what_it_should_have_written() {
        let disk = disk();
        let path = Path::new("/d/a");
        let file = disk.create(path).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_at(b"x", b"", 0).unwrap();
        disk.fail_at(disk.operations(), Fault::Error);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        assert_eq!(disk.read(path).unwrap(), b"x");
        disk.crash(None);
        assert_eq!(disk.read(path).unwrap(), b"");
    }

    #[test]
    fn a_failed_sync_leaves_a_length_to_the_next() {
        let disk = disk();
        let path = Path::new("/d/a");
        let file = disk.create(path).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        file.write_at(b"four", b"", 0).unwrap();
        file.sync_data().unwrap();
        file.set_len(1).unwrap();
        disk.fail_at(disk.operations(), Fault::Error);
        assert!(file.sync_data().is_err());
        file.sync_data().unwrap();
        disk.crash(None);
        assert_eq!(disk.read(path).unwrap(), b"f");
    }

    #[test]
    fn a_directory_made_anew_keeps_its_files_when_the_old_one_goes() {
        let disk = disk();
        let (old, new) = (Path::new("/d/p"), Path::new("/d/p-delete"));
        disk.create_dir(old).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.rename(old, new).unwrap();
        disk.create_dir(old).unwrap();
        disk.create(&old.join("f")).unwrap();
        disk.sync_dir(old).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.crash(None);
        assert!(disk.exists(&old.join("f")) && !disk.exists(&new.join("f")));
    }

    #[test]
    fn a_renamed_directory_takes_its_files_along() {
        let disk = disk();
        disk.create_dir(Path::new("/d/p")).unwrap();
        disk.create(Path::new("/d/p/f")).unwrap();
        disk.rename(Path::new("/d/p"), Path::new("/d/q")).unwrap();
        disk.sync_dir(Path::new("/d/q")).unwrap();
        disk.sync_dir(Path::new("/d")).unwrap();
        disk.crash(None);
        let names: Vec<_> = disk.list(Path::new("/d/q")).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["f"]);
        assert!(!disk.exists(Path::new("/d/p")));
    }
}
