//! What the last run on a data directory left behind, and so how far its logs can be trusted (invariant A12).
//!
//! ```text
//!  clean stop marker   run marker, same boot   logs
//!  yes                 -                       complete: not scanned, and nothing was lost
//!  no                  yes                     the page cache survived: scanned, and nothing was lost
//!  no                  no                      scanned, and the unsynced tail may be gone, or in the page cache alone
//! ```
//!
//! A page cache that survived shows each log whole, but for an append that the end of the process cut short. A log that
//! is damaged otherwise loses records when it is opened, some of them perhaps acknowledged, so the markers' word does
//! not count then.

use std::path::Path;
use std::sync::Arc;

use crate::model::{BrokerEpoch, TopicPartition, Wall};

use super::disk::Disk;
use super::segmented_log::OpenedLog;
use super::{CleanShutdown, Damage, DataDirectory, LogConfig, LogError, OpenLog, RunMarker, SegmentedLog};

/// What the last run left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PastLife {
    /// It stopped cleanly, so that no log has to be scanned.
    pub clean: bool,
    /// Its broker epoch, when its logs certainly lost nothing since.
    pub broker_epoch: Option<BrokerEpoch>,
    /// No life has ever kept anything here: the directory was added to `log.dirs`.
    pub unused: bool,
}

impl PastLife {
    /// Reads the markers, and has a run marker take the place of the one of the clean stop: from now on the logs change.
    /// `boot_id` names the kernel's present life, when that is known.
    pub fn take(disk: &impl Disk, directory: &Path, boot_id: Option<&str>) -> Result<Self, LogError> {
        let clean = CleanShutdown::read(disk, directory)?;
        let run = RunMarker::read(disk, directory)?;
        let same_boot = run
            .clone()
            .filter(|run| Some(run.boot_id.as_str()) == boot_id || mutant!("run-marker-of-another-boot-trusted"));
        if let Some(CleanShutdown { broker_epoch }) = clean
            && let Some(boot_id) = boot_id
            && !mutant!("start-takes-the-clean-stops-word")
        {
            // This process may be killed before it is registered and has a marker of its own: the next one must find
            // that nothing was lost since.
            RunMarker { broker_epoch, boot_id: boot_id.to_owned() }.write(disk, directory)?;
        }
        if clean.is_some() && !mutant!("clean-stop-marker-kept") {
            CleanShutdown::remove(disk, directory)?;
        }
        let broker_epoch = clean.map(|clean| clean.broker_epoch).or(same_boot.map(|run| run.broker_epoch));
        Ok(Self { clean: clean.is_some(), broker_epoch, unused: clean.is_none() && run.is_none() })
    }

    /// The life since which the logs of several directories have lost nothing, from what was left in each: none unless
    /// all of them vouch, but for those that were never used.
    ///
    /// They name different lives when one ended before it had noted itself in all of them. Then it is the earlier one:
    /// the later began with all that the earlier had, or the controllers know that it did not.
    pub fn whole_since(directories: &[Self]) -> Option<BrokerEpoch> {
        let used = directories.iter().filter(|past| !past.unused);
        used.map(|past| past.broker_epoch).collect::<Option<Vec<_>>>()?.into_iter().min()
    }

    /// What remains of it once the logs of `directory` have been looked at: a life that stopped in between vouches for
    /// none of them when one is damaged. When nobody vouches for the page cache, a sync may have failed: then what no
    /// sync has confirmed is written once more.
    ///
    /// To be asked before the broker registers, for its new life vouches for the page cache from then on. The logs are
    /// cut after that, so a crash on the way finds the damage again.
    pub fn examined<D: Disk>(self, directory: &DataDirectory<D>) -> Result<Self, LogError> {
        if self.clean {
            return Ok(self);
        }
        if self.broker_epoch.is_none() {
            directory.write_unsynced_again()?;
            let is_empty =
                directory.partitions()?.is_empty() && directory.moved()?.is_empty() && directory.kept()?.is_empty();
            let unused = self.unused && is_empty;
            return Ok(Self { unused, ..self });
        }
        if mutant!("damaged-tail-counts-as-whole") {
            return Ok(self);
        }
        let mut past = self;
        for partition in directory.partitions()? {
            // One that cannot be looked at cannot be opened either: it stays as it is, and is told of then.
            let Ok(Some(damage)) = directory.loss(&partition) else { continue };
            tracing::error!(
                %partition,
                "the log is damaged past its recovery point: {damage}. It is cut there, and because acknowledged \
                 records may be lost by that this broker's logs count as incomplete until they have caught up with \
                 their leaders; check the disk"
            );
            past.broker_epoch = None;
        }
        Ok(past)
    }
}

impl<D: Disk> DataDirectory<D> {
    /// Writes what lies past the recovery points once more, byte for byte: the kernel may take it for written although
    /// a sync of it has failed.
    pub(in crate::log) fn write_unsynced_again(&self) -> Result<(), LogError> {
        for partition in self.partitions()? {
            // One that cannot be opened is not opened later either.
            let Ok(opened) = self.open_unsynced(&partition) else { continue };
            let recovery_point = opened.log.recovery_point();
            opened.log.write_again(recovery_point)?;
        }
        Ok(())
    }

    /// The damage that opening the partition's log would cut off, if whole batches may go with it.
    fn loss(&self, partition: &TopicPartition) -> Result<Option<Damage>, LogError> {
        let opened = self.open_unsynced(partition)?;
        let Some(damage) = opened.damage else { return Ok(None) };
        let mut is_loss = !damage.is_incomplete_tail() || mutant!("cut-short-append-counts-as-damage");
        opened.log.visit_beyond(&damage, |_| {
            is_loss = true;
            Ok(())
        })?;
        Ok(is_loss.then_some(damage))
    }

    /// The partition's batches, to be looked at.
    fn open_unsynced(&self, partition: &TopicPartition) -> Result<OpenedLog<D>, LogError> {
        let open = OpenLog {
            config: Arc::new(LogConfig::default()),
            recovery_point: self.recovery_point(partition).unwrap_or(0),
            start_offset: self.log_start_offset(partition).unwrap_or(0),
            clean: false,
            now: Wall(0),
        };
        SegmentedLog::open(self.pool(), self.partition_path(partition), open, |_| Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{DiskFile, FilePool, PartitionLog, SimDisk};
    use crate::model::LeaderEpoch;
    use crate::record::{BatchBuilder, BatchHeader};

    const DIRECTORY: &str = "/d";
    const BOOT: &str = "this";

    /// A killed broker's data directory: three batches of one record each, the first of them flushed.
    struct Killed {
        disk: SimDisk,
        log: std::path::PathBuf,
        ends: Vec<usize>,
    }

    fn append(log: &mut PartitionLog<SimDisk>, value: u8) {
        let mut builder = BatchBuilder::new();
        builder.append(1, None, Some(&[value; 100]), &[]);
        let batch = builder.build();
        let header = BatchHeader::parse(&batch).unwrap();
        log.append_as_leader(&batch, &header, LeaderEpoch(1), None, Wall(1)).unwrap();
    }

    fn open(disk: &SimDisk) -> DataDirectory<SimDisk> {
        DataDirectory::open(Arc::new(FilePool::new(disk.clone(), 10)), Path::new(DIRECTORY)).unwrap()
    }

    fn killed(segment_bytes: u64) -> Killed {
        let disk = SimDisk::new();
        let directory = open(&disk);
        RunMarker { broker_epoch: BrokerEpoch(7), boot_id: BOOT.to_owned() }
            .write(&disk, Path::new(DIRECTORY))
            .unwrap();
        let config = Arc::new(LogConfig { segment_bytes, ..LogConfig::default() });
        let name = TopicPartition::new("t", 0);
        let (mut log, _) = PartitionLog::open(&directory, name, None, config, false, Wall(1)).unwrap();
        let path = Path::new(DIRECTORY).join("t-0/00000000000000000000.log");
        let mut ends = Vec::new();
        for value in 0..3 {
            append(&mut log, value);
            ends.push(disk.read(&path).unwrap().len());
            if value == 0 {
                log.flush().unwrap();
                directory.write_checkpoints().unwrap();
            }
        }
        disk.kill();
        Killed { disk, log: path, ends }
    }

    impl Killed {
        fn vouched_for(&self) -> Option<BrokerEpoch> {
            let past = PastLife::take(&self.disk, Path::new(DIRECTORY), Some(BOOT)).unwrap();
            past.examined(&open(&self.disk)).unwrap().broker_epoch
        }

        fn cut_to(&self, length: usize) {
            self.disk.open(&self.log).unwrap().set_len(length as u64).unwrap();
        }
    }

    #[test]
    fn a_kill_leaves_the_logs_whole() {
        let killed = killed(10_000);
        assert_eq!(killed.vouched_for(), Some(BrokerEpoch(7)));
        for length in (killed.ends[1]..killed.ends[2]).rev() {
            killed.cut_to(length);
            assert_eq!(killed.vouched_for(), Some(BrokerEpoch(7)), "an append cut short after {length} bytes");
        }
    }

    /// A12: whoever cuts what it may have acknowledged has lost it.
    #[test]
    fn a_damaged_batch_makes_the_logs_incomplete_and_stays_so_until_it_is_cut() {
        for position in [0, 1].into_iter().flat_map(|batch| {
            let ends = killed(10_000).ends;
            // Magic, CRC, a record: all that the CRC protects, or that says what it protects.
            [16, 17, 40, 100].map(|at| ends[batch] + at)
        }) {
            let killed = killed(10_000);
            killed.disk.rot(&killed.log, position);
            assert_eq!(killed.vouched_for(), None, "byte {position}");
            assert_eq!(killed.vouched_for(), None, "byte {position}, looked at again");
        }
    }

    fn left(broker_epoch: Option<i64>) -> PastLife {
        PastLife { clean: false, broker_epoch: broker_epoch.map(BrokerEpoch), unused: false }
    }

    /// A12: one directory that does not vouch is enough to have lost something.
    #[test]
    fn several_directories_are_whole_when_all_that_were_used_say_so() {
        let unused = PastLife { unused: true, ..left(None) };
        for (directories, expected) in [
            (vec![left(Some(7))], Some(7)),
            (vec![left(Some(7)), left(Some(7))], Some(7)),
            (vec![left(Some(7)), left(None)], None),
            (vec![left(None), left(Some(7))], None),
            (vec![left(Some(8)), left(Some(7))], Some(7)),
            (vec![unused, left(Some(7)), unused], Some(7)),
            (vec![unused, left(None)], None),
            (vec![unused, unused], None),
        ] {
            assert_eq!(PastLife::whole_since(&directories), expected.map(BrokerEpoch), "{directories:?}");
        }
    }

    /// A directory with partitions and no marker was in use: an I/O fault, or somebody's hand, has taken the marker.
    #[test]
    fn only_an_empty_directory_without_markers_was_never_used() {
        let unused = |disk: &SimDisk| {
            let directory = open(disk);
            PastLife::take(disk, directory.path(), Some(BOOT)).unwrap().examined(&directory).unwrap().unused
        };
        assert!(unused(&SimDisk::new()));
        let killed = killed(10_000);
        assert!(!unused(&killed.disk));
        RunMarker::remove(&killed.disk, Path::new(DIRECTORY)).unwrap();
        assert!(!unused(&killed.disk));
        let empty = SimDisk::new();
        open(&empty);
        RunMarker { broker_epoch: BrokerEpoch(1), boot_id: String::new() }.write(&empty, Path::new(DIRECTORY)).unwrap();
        assert!(!unused(&empty), "a marker that vouches for nothing is still one");
    }

    #[test]
    fn damage_below_the_recovery_point_is_not_for_this_to_judge() {
        let killed = killed(10_000);
        killed.disk.rot(&killed.log, killed.ends[0] - 1);
        assert_eq!(killed.vouched_for(), Some(BrokerEpoch(7)));
    }

    /// A length that became too large looks like an append cut short, but for what lies behind it.
    #[test]
    fn a_batch_that_seems_cut_short_before_others_is_damage() {
        let rotten = killed(10_000);
        rotten.disk.rot(&rotten.log, rotten.ends[0] + 9);
        assert_eq!(rotten.vouched_for(), None);
        let short = killed(200);
        assert_eq!(short.ends[0], short.ends[2], "each batch is in a segment of its own");
        let second = Path::new(DIRECTORY).join("t-0/00000000000000000001.log");
        short.disk.open(&second).unwrap().set_len(90).unwrap();
        assert_eq!(short.vouched_for(), None);
    }
}
