//! One of two directories fails: what goes with it, and what does not.

use std::io::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::tests::{World, append};
use crate::log::{LogError, OsDisk, RunMarker};
use crate::model::{BrokerEpoch, ErrorCode, LeaderEpoch, TopicId, Uuid};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const EIO: i32 = 5;

struct Home {
    folder: tempfile::TempDir,
    world: World,
}

impl Home {
    /// A broker with a topic in each of two directories, "one" in the first and "two" in the second.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new_in(&[&folder.path().join("a"), &folder.path().join("b")]);
        world.create("one", 1, 0);
        world.create("two", 2, 0);
        assert!(folder.path().join("a/one-0").is_dir() && folder.path().join("b/two-0").is_dir());
        Self { folder, world }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The disk below "two" answers a read with an error.
    fn fail_second(&self) {
        let fault = LogError::io("read", self.path("b/two-0"))(Error::from_raw_os_error(EIO));
        self.world.replica("two").note_log_fault(&fault);
        eventually(|| self.error_of("two") == Some(ErrorCode::KafkaStorageError));
    }

    fn error_of(&self, topic: &str) -> Option<ErrorCode> {
        self.world.replicas.find(topic, 0).err().map(|error| error.error_code())
    }
}

fn eventually(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn boot_id(directory: &Path) -> Option<String> {
    RunMarker::read(&OsDisk, directory).unwrap().map(|run| run.boot_id)
}

#[test]
fn a_fault_takes_the_partitions_of_its_directory_and_no_others() {
    let home = Home::new();
    let mut leaderships = home.world.replicas.leaderships("two");
    assert_eq!(leaderships.try_recv().unwrap().leader_epoch, Some(LeaderEpoch(0)));
    let lost = home.world.replica("two");
    append(&lost, &["a"]);
    home.fail_second();
    eventually(|| lost.is_ended());
    assert_eq!(lost.leader_epoch(), None, "it answers nobody as leader");
    eventually(|| matches!(leaderships.try_recv(), Ok(told) if told.leader_epoch.is_none()));
    assert_eq!(append(&home.world.replica("one"), &["a"]), 0);
    let told: Vec<_> = home.world.replicas.offline.borrow().iter().copied().collect();
    assert_eq!(told, [(TopicId(Uuid([2; 16])), 0)], "what the controllers are told");
}

/// A19: whatever a consumer or a follower asks for, a read that the disk refuses takes the directory offline.
#[test]
fn a_read_that_the_disk_refuses_is_a_fault() {
    let home = Home::new();
    let replica = home.world.replica("two");
    let refused = replica.noted(Err::<(), _>(LogError::io("read", home.path("b"))(Error::from_raw_os_error(EIO))));
    assert!(refused.is_err());
    eventually(|| home.error_of("two") == Some(ErrorCode::KafkaStorageError));
    assert_eq!(home.error_of("one"), None);
}

/// A12: a failed sync is not forgotten by the next life, wherever that finds the word of this one.
#[test]
fn after_a_fault_this_life_vouches_for_nothing_and_stops_as_one_that_was_killed() {
    let home = Home::new();
    let replicas = &home.world.replicas;
    let run = RunMarker { broker_epoch: BrokerEpoch(1), boot_id: "this one".to_owned() };
    let note = || ["a", "b"].iter().try_for_each(|name| run.write(&OsDisk, &home.path(name)));
    replicas.vouch(note).unwrap();
    assert_eq!(boot_id(&home.path("a")).as_deref(), Some("this one"));
    home.fail_second();
    for name in ["a", "b"] {
        eventually(|| boot_id(&home.path(name)).as_deref() == Some(""));
    }
    replicas.vouch(|| panic!("a registration anew does not make the logs whole")).unwrap();
    assert!(!replicas.close().unwrap(), "no clean stop");
}

#[test]
fn a_topic_that_was_offline_can_be_created_anew_in_what_is_left() {
    let mut home = Home::new();
    home.fail_second();
    home.world.remove(2);
    assert!(home.world.replicas.offline.borrow().is_empty());
    home.world.create("two", 3, 0);
    assert!(home.path("a/two-0").is_dir());
    assert_eq!(append(&home.world.replica("two"), &["a"]), 0);
}

#[test]
fn a_full_disk_or_a_missing_file_is_no_fault_of_the_disk() {
    let home = Home::new();
    for kind in [std::io::ErrorKind::StorageFull, std::io::ErrorKind::NotFound] {
        let refused = LogError::io("write", home.path("b/two-0"))(Error::from(kind));
        assert!(!refused.is_disk_fault(), "{refused}");
    }
    assert!(!LogError::io("read", "/d")(Error::from_raw_os_error(24)).is_disk_fault(), "too many open files");
}

/// A marker that could not be written may leave a directory that looks as if it had never been used.
#[test]
fn a_directory_that_cannot_be_marked_as_in_use_has_failed() {
    let home = Home::new();
    let fault = LogError::io("write", home.path("b/.ottla_run"))(Error::other("no"));
    home.world.replicas.on_marker_fault(&fault);
    assert_eq!((home.error_of("two"), home.error_of("one")), (Some(ErrorCode::KafkaStorageError), None));
}
