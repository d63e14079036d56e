//! What this process asks of the operating system: open files and small pages.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that may be open when the operating system sets no bound.
const OPEN_FILES_UNBOUNDED: u64 = 1 << 20;

/// Raises the soft bound to the hard one: a log has several files, and each connection is one more.
pub(super) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
    {
        tracing::warn!("cannot raise the bound on open files: {error}");
    }
}

/// Keeps memory in small pages. The allocator asks for huge ones, and an idle node then holds some 50 MiB that it never
/// touched, ten times what it uses.
pub(super) fn refuse_huge_pages() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!("memory stays in huge pages: {error}");
    }
}

/// How many files of logs may stay open: half of what the process may have, the rest is for connections.
pub(super) fn open_log_files_max() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(OPEN_FILES_UNBOUNDED);
    usize::try_from(limit / 2).unwrap_or(usize::MAX).clamp(64, 100_000)
}
