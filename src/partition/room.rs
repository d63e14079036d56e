//! What a data directory's disk has left for producers.
//!
//! The log's own files are not all that needs room: the metadata log, snapshots, checkpoints, offsets of groups and the
//! markers of transactions have to be written while records are deleted to make room. So a part of the disk is kept for
//! them. Below that low-water mark a produce is refused with KAFKA_STORAGE_ERROR, which clients try again. Below half of
//! it followers no longer fetch either, but for internal topics: they fall out of sync rather than take the last bytes.
//! Reading, retention, deletion and compaction go on, and so does everything once there is room again.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

const MIB: u64 = 1 << 20;

/// What a file system has, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Space {
    /// For whoever is not root.
    pub free: u64,
    /// With what is taken.
    pub total: u64,
}

/// The low-water mark where `ottla.log.dir.min.free.bytes` leaves it to us: a hundredth of the disk, from 256 MiB to
/// 1 GiB, but never more than a twentieth, so that small file systems can be used, too.
fn usual_mark(total: u64) -> u64 {
    (total / 100).clamp(256 * MIB, 1024 * MIB).min(total / 20)
}

/// How short a disk is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Shortage {
    None,
    /// Producers are stopped.
    Low,
    /// Followers are stopped as well.
    Scarce,
}

/// Judges what was measured. A shortage ends an eighth of the mark above where it began, so that it does not come and
/// go with each deleted segment.
fn judge(before: Shortage, free: u64, mark: u64) -> Shortage {
    let above = |bound: u64, since: Shortage| free >= bound + if before >= since { mark / 8 } else { 0 };
    match (above(mark, Shortage::Low), above(mark / 2, Shortage::Scarce)) {
        (true, _) => Shortage::None,
        (false, true) => Shortage::Low,
        (false, false) => Shortage::Scarce,
    }
}

/// The room in one data directory.
#[derive(Debug)]
pub struct Room {
    /// Bytes above the mark as measured last, less what was appended since.
    left: AtomicI64,
    low: AtomicBool,
    scarce: AtomicBool,
    free: AtomicU64,
}

impl Default for Room {
    /// As much as there may be, until it has been measured.
    fn default() -> Self {
        Self {
            left: AtomicI64::new(i64::MAX),
            low: AtomicBool::new(false),
            scarce: AtomicBool::new(false),
            free: AtomicU64::new(0),
        }
    }
}

impl Room {
    /// Takes room for so many bytes of a producer; false when there is none.
    pub fn take(&self, bytes: usize) -> bool {
        let bytes = i64::try_from(bytes).unwrap_or(i64::MAX);
        if self.low.load(Ordering::Relaxed) {
            return false;
        }
        if self.left.fetch_sub(bytes, Ordering::Relaxed) >= bytes {
            return true;
        }
        self.left.fetch_add(bytes, Ordering::Relaxed);
        false
    }

    /// True when followers should not fill the disk any further.
    pub fn is_scarce(&self) -> bool {
        self.scarce.load(Ordering::Relaxed)
    }

    /// True when producers are refused.
    pub fn is_low(&self) -> bool {
        self.low.load(Ordering::Relaxed)
    }

    /// Free bytes of the file system, as measured last.
    pub fn free_bytes(&self) -> u64 {
        self.free.load(Ordering::Relaxed)
    }

    fn shortage(&self) -> Shortage {
        match (self.is_scarce(), self.is_low()) {
            (true, _) => Shortage::Scarce,
            (false, true) => Shortage::Low,
            (false, false) => Shortage::None,
        }
    }

    /// The file system below `path` has been measured; `configured` is `ottla.log.dir.min.free.bytes`, if it is set.
    pub(super) fn on_measured(&self, path: &Path, space: Space, configured: Option<u64>) {
        let mark = configured.unwrap_or_else(|| usual_mark(space.total));
        let before = self.shortage();
        let now = judge(before, space.free, mark);
        self.free.store(space.free, Ordering::Relaxed);
        let left = i64::try_from(space.free).unwrap_or(i64::MAX).saturating_sub_unsigned(mark);
        self.left.store(left, Ordering::Relaxed);
        self.low.store(now >= Shortage::Low, Ordering::Relaxed);
        self.scarce.store(now == Shortage::Scarce, Ordering::Relaxed);
        tell(path, before, now, space.free, mark);
    }
}

fn tell(path: &Path, before: Shortage, now: Shortage, free: u64, mark: u64) {
    let path = path.display();
    match (before, now) {
        (Shortage::None, Shortage::Low | Shortage::Scarce) => tracing::warn!(
            "{path} has {free} bytes free, less than the {mark} that are kept (ottla.log.dir.min.free.bytes): producers \
             are refused until there is room; delete records or topics, lower a retention, or enlarge the disk"
        ),
        (Shortage::Low, Shortage::Scarce) => tracing::warn!(
            "{path} has {free} bytes free, less than half of the {mark} that are kept: this broker follows no leader any \
             more and falls out of sync until there is room"
        ),
        (Shortage::Low | Shortage::Scarce, Shortage::None) => {
            tracing::info!("{path} has {free} bytes free again: producers are served");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1024 * MIB;

    #[test]
    fn the_usual_mark_suits_small_and_large_disks() {
        let marks = [64 * MIB, GIB, 20 * GIB, 50 * GIB, 4_096 * GIB].map(usual_mark);
        assert_eq!(marks, [64 * MIB / 20, GIB / 20, 256 * MIB, GIB / 2, GIB]);
    }

    #[test]
    fn a_shortage_ends_somewhat_above_where_it_began() {
        use Shortage::{Low, None, Scarce};
        let free = |before| move |free| judge(before, free, 800);
        assert_eq!([800, 799, 400, 399].map(free(None)), [None, Low, Low, Scarce]);
        assert_eq!([900, 899, 400, 399].map(free(Low)), [None, Low, Low, Scarce]);
        assert_eq!([900, 899, 500, 499].map(free(Scarce)), [None, Low, Low, Scarce]);
    }

    #[test]
    fn producers_get_what_is_left_above_the_mark_and_no_more() {
        let room = Room::default();
        assert!(room.take(usize::MAX), "not measured yet");
        let measured = |free| room.on_measured(Path::new("/d"), Space { free, total: 10_000 }, Some(800));
        measured(1_000);
        assert!(room.take(150) && !room.take(51) && room.take(50));
        assert!(!room.take(1) && !room.is_low(), "used up before the next look");
        measured(799);
        assert!(room.is_low() && !room.take(0));
        measured(850);
        assert!(room.is_low(), "hardly better");
        measured(900);
        assert!(!room.is_low() && room.take(100));
    }

    #[test]
    fn a_mark_of_nothing_is_none() {
        let room = Room::default();
        room.on_measured(Path::new("/d"), Space { free: 5, total: 10_000 }, Some(0));
        assert!(room.take(5) && !room.take(1) && !room.is_low() && !room.is_scarce());
    }
}
