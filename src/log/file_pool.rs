//! Files that are open only while they are in use.
//!
//! Ten thousand partitions have some thirty thousand files, more than a process may hold open. A
//! [`PooledFile`] opens itself on first use and registers with its [`FilePool`], which closes the
//! least recently used (by second chance) when more are open than its limit. A reader keeps an `Arc`
//! of the file, so closing never takes a file away from someone who reads it.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use arc_swap::ArcSwapOption;

use super::LogError;
use super::disk::Disk;
use super::file_names::{FileKind, Standing, file_name};

/// Limits how many files are open at once. Cheap to clone; clones are the same pool.
#[derive(Debug)]
pub struct FilePool<D: Disk> {
    disk: D,
    open_files_max: usize,
    open: Mutex<VecDeque<Weak<Slot<D>>>>,
}

impl<D: Disk> FilePool<D> {
    /// A pool over `disk` that keeps about `open_files_max` files open.
    pub fn new(disk: D, open_files_max: usize) -> Self {
        Self { disk, open_files_max: open_files_max.max(1), open: Mutex::new(VecDeque::new()) }
    }

    /// The disk below.
    pub fn disk(&self) -> &D {
        &self.disk
    }

    fn register(&self, slot: &Arc<Slot<D>>) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.push_back(Arc::downgrade(slot));
        // Everyone gets at most one second chance, so the loop ends even when all are in use.
        let mut chances = open.len();
        while open.len() > self.open_files_max {
            let Some(oldest) = open.pop_front() else { break };
            let Some(slot) = oldest.upgrade() else { continue };
            if chances > 0 && slot.used.swap(false, Ordering::Relaxed) {
                chances -= 1;
                open.push_back(oldest);
            } else {
                slot.file.store(None);
            }
        }
    }
}

#[derive(Debug)]
struct Slot<D: Disk> {
    file: ArcSwapOption<D::File>,
    used: AtomicBool,
}

/// Where the files of one log are. Renaming the directory of a log renames it here, for all its files.
#[derive(Debug)]
pub struct LogDirectory {
    path: RwLock<PathBuf>,
    deleted: AtomicBool,
}

impl LogDirectory {
    /// A directory by its path now.
    pub fn new(path: PathBuf) -> Self {
        Self { path: RwLock::new(path), deleted: AtomicBool::new(false) }
    }

    /// The path now.
    pub fn path(&self) -> PathBuf {
        self.path.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The log is about to be deleted: from now on its files may vanish at any time.
    pub fn mark_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    /// True when the log was deleted, or is about to be.
    pub fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// The directory was renamed.
    pub fn set_path(&self, path: PathBuf) {
        *self.path.write().unwrap_or_else(PoisonError::into_inner) = path;
    }
}

/// One file of a log, by what it holds and the base offset in its name.
#[derive(Debug)]
pub struct PooledFile<D: Disk> {
    pool: Arc<FilePool<D>>,
    directory: Arc<LogDirectory>,
    base_offset: i64,
    kind: FileKind,
    /// The file will be renamed or removed, or has been.
    doomed: AtomicBool,
    /// What its name says of it. Held while it is renamed.
    standing: Mutex<Standing>,
    slot: Arc<Slot<D>>,
}

impl<D: Disk> PooledFile<D> {
    /// Names a file of the log; touches nothing.
    pub fn new(pool: &Arc<FilePool<D>>, directory: &Arc<LogDirectory>, base_offset: i64, kind: FileKind) -> Self {
        Self::standing(pool, directory, base_offset, kind, Standing::Present)
    }

    /// Names a file; touches nothing.
    pub fn standing(
        pool: &Arc<FilePool<D>>,
        directory: &Arc<LogDirectory>,
        base_offset: i64,
        kind: FileKind,
        standing: Standing,
    ) -> Self {
        Self {
            pool: pool.clone(),
            directory: directory.clone(),
            base_offset,
            kind,
            doomed: AtomicBool::new(false),
            standing: Mutex::new(standing),
            slot: Arc::new(Slot { file: ArcSwapOption::empty(), used: AtomicBool::new(false) }),
        }
    }

    /// The disk it is on.
    pub fn disk(&self) -> &D {
        self.pool.disk()
    }

    /// Where it is now.
    pub fn path(&self) -> PathBuf {
        self.path_as(*self.lock_standing())
    }

    fn path_as(&self, standing: Standing) -> PathBuf {
        self.directory.path().join(file_name(self.base_offset, self.kind) + standing.suffix())
    }

    fn lock_standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wraps an I/O error of this file; the path is put together only when there is one.
    pub fn fault(&self, action: &'static str) -> impl FnOnce(io::Error) -> LogError {
        move |source| LogError::Io { action, path: self.path(), source }
    }

    /// The file, opened if it is not.
    pub fn open(&self) -> Result<Arc<D::File>, LogError> {
        self.get("open", |disk, path| disk.open(path))
    }

    /// The file, created if it does not exist.
    pub fn create(&self) -> Result<Arc<D::File>, LogError> {
        self.get("create", |disk, path| disk.create(path))
    }

    fn get(
        &self,
        action: &'static str,
        open: impl FnOnce(&D, &Path) -> io::Result<D::File>,
    ) -> Result<Arc<D::File>, LogError> {
        if let Some(file) = self.slot.file.load_full() {
            self.slot.used.store(true, Ordering::Relaxed);
            return Ok(file);
        }
        let path = self.path();
        let file = Arc::new(open(self.pool.disk(), &path).map_err(LogError::io(action, &path))?);
        self.slot.file.store(Some(file.clone()));
        self.pool.register(&self.slot);
        Ok(file)
    }

    /// True when the file exists.
    pub fn exists(&self) -> bool {
        self.slot.file.load().is_some() || self.disk().exists(&self.path())
    }

    /// Renames the file to `….deleted`. Whoever reads it reads on.
    pub fn mark_deleted(&self) -> Result<(), LogError> {
        self.doomed.store(true, Ordering::Release);
        self.rename_to(Standing::Deleted)
    }

    /// Gives the file the name that says `standing`. One that does not exist is not renamed.
    pub fn rename_to(&self, standing: Standing) -> Result<(), LogError> {
        let mut now = self.lock_standing();
        let from = self.path_as(*now);
        if *now == standing || !self.disk().exists(&from) {
            return Ok(());
        }
        self.disk().rename(&from, &self.path_as(standing)).map_err(LogError::io("rename", &from))?;
        *now = standing;
        Ok(())
    }

    /// True when the file was deleted, or is about to be.
    pub fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Acquire) || self.directory.is_deleted()
    }

    /// Removes the file, renamed before or not, and lets go of it.
    pub fn remove(&self) -> Result<(), LogError> {
        let path = self.path();
        self.doomed.store(true, Ordering::Release);
        self.slot.file.store(None);
        match self.disk().remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(LogError::io("remove", &path)(error)),
            _ => Ok(()),
        }
    }
}
