//! `ottla server --dev-cluster`: a cluster to play with, which goes as it came.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::harness::{Connection, eventually};

#[test]
fn three_nodes_come_and_go_with_one_command() {
    let temporary = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla"));
    command.args(["server", "--dev-cluster", "3"]).env("TMPDIR", temporary.path());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().expect("the binary starts");
    let told = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let told: Vec<String> = told.take_while(|line| !line.is_empty()).collect();
    let bootstrap = told.iter().find_map(|line| line.trim_start().strip_prefix("bootstrap"));
    let addresses: Vec<&str> = bootstrap.unwrap_or_else(|| panic!("{told:?}")).trim().split(',').collect();
    assert_eq!(addresses.len(), 3, "{told:?}");
    let mut connection = Connection::open(addresses[1]);
    connection.create_topic_with("t", 3, 3, &[]);
    connection.await_leaders("t", 3);
    let processes: Vec<&str> =
        told.iter().filter_map(|line| line.split("process ").nth(1)?.split(',').next()).collect();
    let is_running = |process: &&str| Path::new("/proc").join(process).exists();
    assert_eq!(processes.iter().filter(|process| is_running(process)).count(), 3);

    let terminated = Command::new("kill").args(["-s", "TERM", &child.id().to_string()]).status();
    assert!(terminated.expect("kill runs").success());
    assert!(child.wait().expect("it ends").success());
    eventually("no node is left", || (!processes.iter().any(is_running)).then_some(()));
    let left = std::fs::read_dir(temporary.path()).expect("the directory").count();
    assert_eq!(left, 0, "nothing is left behind");
}
