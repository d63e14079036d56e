//! Several directories in `log.dirs`: where partitions go, and what a start makes of what it finds in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use ottla::protocol::DescribeLogDirsRequest;
use tempfile::TempDir;

use super::harness::{Connection, Node, Setup};

/// What the controller says when it lets a replica lead that may lack acknowledged records (A18).
const UNCLEAN: &str = "an unclean election";

/// A node alone with a home for its directories.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().canonicalize().expect("it exists").join(name)
    }

    fn setup(&self, log_dirs: &[&str]) -> Setup {
        let paths: Vec<String> = log_dirs.iter().map(|name| self.path(name).display().to_string()).collect();
        Setup::new(self.0.path()).set("log.dirs", &paths.join(","))
    }

    fn start(&self, log_dirs: &[&str]) -> Node {
        self.setup(log_dirs).start()
    }

    /// What has been logged in all lives so far.
    fn log(&self) -> String {
        fs::read_to_string(self.path("stderr.log")).expect("a log")
    }

    /// The directories that hold the topic's first partition.
    fn places(&self, log_dirs: &[&str], topic: &str) -> Vec<String> {
        let holds = |name: &&&str| self.path(name).join(format!("{topic}-0")).is_dir();
        log_dirs.iter().filter(holds).map(|name| (*name).to_owned()).collect()
    }

    fn place(&self, log_dirs: &[&str], topic: &str) -> String {
        let mut places = self.places(log_dirs, topic);
        assert_eq!(places.len(), 1, "{topic} is in one directory: {places:?}");
        places.remove(0)
    }
}

fn topics() -> impl Iterator<Item = String> {
    (0..6).map(|number| format!("t{number}"))
}

/// Creates six topics of one partition, with a record in each.
fn fill(connection: &mut Connection) {
    for topic in topics() {
        connection.create_topic(&topic);
        connection.produce(&topic, topic.as_bytes());
    }
}

/// A1: everything acknowledged is there.
fn check(connection: &mut Connection) {
    for topic in topics() {
        connection.await_leaders(&topic, 1);
        assert_eq!(connection.fetch_all(&topic), [topic.as_bytes()], "{topic}");
    }
}

/// The topics in each directory, as DescribeLogDirs tells.
fn described(connection: &mut Connection) -> BTreeMap<PathBuf, Vec<String>> {
    let response = connection.send(4, &DescribeLogDirsRequest { topics: None });
    let directory = |result: ottla::protocol::DescribeLogDirsResult| {
        assert!(!result.error_code.is_error() && result.total_bytes >= result.usable_bytes, "{result:?}");
        (PathBuf::from(result.log_dir), result.topics.into_iter().map(|topic| topic.name).collect())
    };
    response.results.into_iter().map(directory).collect()
}

fn directory_id(directory: &Path) -> String {
    let properties = fs::read_to_string(directory.join("meta.properties")).expect("written");
    let id = properties.lines().find_map(|line| line.strip_prefix("directory.id="));
    id.unwrap_or_else(|| panic!("a directory.id in {properties}")).to_owned()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("created");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

#[test]
fn new_partitions_spread_over_the_directories_and_stay_where_they_are_in_any_order() {
    let home = Home::new();
    let all = ["a", "b", "c"];
    let node = home.start(&all);
    let mut connection = node.connect();
    fill(&mut connection);
    let placed: BTreeMap<String, String> = topics().map(|topic| (home.place(&all, &topic), topic)).collect();
    assert_eq!(placed.len(), 3, "each directory has some");
    let told = described(&mut connection);
    let counts: Vec<usize> = told.values().map(Vec::len).collect();
    assert_eq!(counts, [2, 2, 2], "the emptiest directory gets the next partition: {told:?}");
    for (directory, topics) in &told {
        assert!(topics.iter().all(|topic| directory.join(format!("{topic}-0")).is_dir()), "{told:?}");
    }
    let ids = all.map(|name| directory_id(&home.path(name)));
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2], "{ids:?}");
    assert!(node.stop().success());
    for name in all {
        assert!(home.path(name).join(".kafka_cleanshutdown").exists(), "each says that the stop was clean");
    }

    let node = home.start(&["c", "a", "b"]);
    let mut connection = node.connect();
    check(&mut connection);
    assert_eq!(described(&mut connection), told, "nothing has moved");
    assert!(home.path("a/__cluster_metadata-0").is_dir() && !home.path("c/__cluster_metadata-0").exists());
    assert_eq!(all.map(|name| directory_id(&home.path(name))), ids);
    node.kill();
    check(&mut home.start(&["b", "c", "a"]).connect());
    assert!(!home.log().contains(UNCLEAN), "neither a stop nor a kill loses anything: {}", home.log());
}

#[test]
fn a_partition_in_two_directories_is_refused_by_name_and_nothing_is_forgotten_by_that() {
    let home = Home::new();
    let both = ["a", "b"];
    let node = home.start(&both);
    fill(&mut node.connect());
    let (place, other) = match home.place(&both, "t3").as_str() {
        "a" => ("a", "b"),
        _ => ("b", "a"),
    };
    assert!(node.stop().success());
    let (original, second) = (home.path(place).join("t3-0"), home.path(other).join("t3-0"));
    copy(&original, &second);
    let refused = home.setup(&both).run_to_end();
    assert_eq!(refused.status.code(), Some(3));
    let words = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        words.contains("t3-0 is in ") && both.iter().all(|name| words.contains(&*home.path(name).to_string_lossy()))
    );
    fs::remove_dir_all(second).expect("removed");
    assert!(both.iter().all(|name| home.path(name).join(".kafka_cleanshutdown").exists()), "the markers are untouched");
    check(&mut home.start(&both).connect());
    assert!(!home.log().contains(UNCLEAN), "{}", home.log());
}

#[test]
fn an_empty_directory_can_be_added_without_the_logs_counting_as_incomplete() {
    let home = Home::new();
    let node = home.start(&["a"]);
    fill(&mut node.connect());
    node.kill();

    let node = home.start(&["b", "a"]);
    let mut connection = node.connect();
    check(&mut connection);
    assert!(!home.log().contains(UNCLEAN), "{}", home.log());
    connection.create_topic("new");
    assert_eq!(home.place(&["a", "b"], "new"), "b", "the emptiest directory gets it");
    connection.produce("new", b"one");
    node.kill();
    assert_eq!(home.start(&["a", "b"]).connect().fetch_all("new"), [b"one"]);
    assert!(!home.log().contains(UNCLEAN), "{}", home.log());
}

/// A12: a replica that may have lost its tail leads only as the last one known, and that is said aloud.
#[test]
fn one_directory_that_does_not_vouch_makes_the_whole_broker_one_that_may_have_lost_something() {
    let home = Home::new();
    let both = ["a", "b"];
    let node = home.start(&both);
    fill(&mut node.connect());
    node.kill();
    // As an I/O fault of that one disk does.
    fs::remove_file(home.path("b/.ottla_run")).expect("removed");
    let node = home.start(&both);
    check(&mut node.connect());
    node.process().await_log(UNCLEAN);
}

/// A12: so does a directory that is missing; and when it is back it is an old one.
#[test]
fn a_directory_that_is_gone_takes_its_word_with_it() {
    let home = Home::new();
    let node = home.start(&["a", "b"]);
    fill(&mut node.connect());
    let (kept, gone): (Vec<_>, Vec<_>) = topics().partition(|topic| home.place(&["a", "b"], topic) == "a");
    assert!(node.stop().success());

    let node = home.start(&["a"]);
    let mut connection = node.connect();
    node.process().await_log(UNCLEAN);
    for topic in &kept {
        connection.await_leaders(topic, 1);
        assert_eq!(connection.fetch_all(topic), [topic.as_bytes()]);
    }
    for topic in &gone {
        connection.await_leaders(topic, 1);
        assert_eq!(connection.fetch_all(topic), Vec::<Vec<u8>>::new(), "{topic} begins anew");
    }
    assert!(node.stop().success());
    let refused = home.setup(&["a", "b"]).run_to_end();
    assert_eq!(refused.status.code(), Some(3), "there are two copies now, and nobody can know which is right");
}
