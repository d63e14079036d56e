//! The part of `kafka-reassign-partitions` that moves replicas between the log directories of their brokers (KIP-113), in
//! the words of Kafka's tool.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::failure::Failure;
use super::session::say;
use crate::client::ClusterClient;
use crate::client::admin::configs::{self, ConfigChange, ConfigResource};
use crate::client::admin::log_dirs;
use crate::model::{ErrorCode, TopicPartition};

pub(super) const RATE: &str = "replica.alter.log.dirs.io.max.bytes.per.second";
const PAUSE: Duration = Duration::from_millis(100);

/// A directory for each replica that is to be in a certain one.
pub(super) type Wanted = BTreeMap<(TopicPartition, i32), String>;

/// The directories that an entry of the JSON names for `replicas`; `"any"` names none.
pub(super) fn asked(
    entry: &Value,
    partition: &TopicPartition,
    replicas: &[i32],
    wanted: &mut Wanted,
) -> Result<(), Failure> {
    let Some(places) = entry.get("log_dirs").and_then(Value::as_array) else { return Ok(()) };
    if places.len() != replicas.len() {
        return Err(Failure::said(format!(
            "Size of replicas list {replicas:?} is different from size of log dirs list {} for partition {partition}",
            Value::from(places.clone())
        )));
    }
    for (place, broker) in places.iter().zip(replicas) {
        let path = place.as_str().ok_or_else(|| Failure::said(format!("the log_dirs of {partition} are no names")))?;
        if path != "any" {
            wanted.insert((partition.clone(), *broker), path.to_owned());
        }
    }
    Ok(())
}

fn name((partition, broker): &(TopicPartition, i32)) -> String {
    format!("{partition}-{broker}")
}

/// Limits the moves of the brokers that have some.
pub(super) async fn set_throttle(client: &mut ClusterClient, rate: u64, wanted: &Wanted) -> Result<(), Failure> {
    let brokers: BTreeSet<i32> = wanted.keys().map(|(_, broker)| *broker).collect();
    for broker in brokers {
        let change = [(RATE.to_owned(), ConfigChange::Set(rate.to_string()))];
        configs::alter(client, &ConfigResource::Broker(broker), &change, false).await?;
    }
    say!("The replica-alter-dir throttle limit was set to {rate} B/s");
    Ok(())
}

/// Has the replicas move, again and again until all of them are there to be moved.
pub(super) async fn begin(client: &mut ClusterClient, wanted: &Wanted, timeout: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout;
    let mut pending = wanted.clone();
    loop {
        let outcomes = log_dirs::alter(client, &pending).await?;
        for (replica, error) in outcomes {
            match error {
                ErrorCode::None => {
                    let Some(directory) = pending.remove(&replica) else { continue };
                    let (partition, broker) = &replica;
                    say!(
                        "Successfully started moving log directory to {directory} for replica {partition} with broker {broker} "
                    );
                }
                // It comes when the reassignment brings it.
                ErrorCode::ReplicaNotAvailable => {}
                error => return Err(Failure::said(format!("Failed to alter dir for {}: {error}", name(&replica)))),
            }
        }
        if pending.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let plural = if pending.len() == 1 { "" } else { "s" };
            let names = pending.keys().map(name).collect::<Vec<_>>().join(",");
            return Err(Failure::said(format!(
                "Timed out before log directory move{plural} could be started for: {names}"
            )));
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Where a replica is and where it moves to, if anywhere.
#[derive(Default)]
struct Place {
    current: Option<String>,
    future: Option<String>,
}

async fn places(
    client: &mut ClusterClient,
    wanted: &Wanted,
) -> Result<BTreeMap<(TopicPartition, i32), Place>, Failure> {
    let brokers: BTreeSet<i32> = wanted.keys().map(|(_, broker)| *broker).collect();
    let brokers: Vec<i32> = brokers.into_iter().collect();
    let mut places: BTreeMap<_, Place> = BTreeMap::new();
    for (broker, directories) in log_dirs::describe(client, &brokers, None).await? {
        for directory in directories {
            for topic in directory.topics {
                for partition in topic.partitions {
                    let replica = (TopicPartition::new(topic.name.as_str(), partition.partition_index), broker);
                    let place = places.entry(replica).or_default();
                    let at = Some(directory.log_dir.clone());
                    if partition.is_future_key { place.future = at } else { place.current = at }
                }
            }
        }
    }
    Ok(places)
}

/// Tells how far each move is; true while one goes on.
pub(super) async fn verify(client: &mut ClusterClient, wanted: &Wanted) -> Result<bool, Failure> {
    let places = if wanted.is_empty() { BTreeMap::new() } else { places(client, wanted).await? };
    let none = Place::default();
    let mut unfinished = false;
    let mut lines = Vec::new();
    for (replica, target) in wanted {
        let (partition, broker) = replica;
        let place = places.get(replica).unwrap_or(&none);
        lines.push(match (&place.current, &place.future) {
            (None, _) => format!(
                "Partition {partition} is not found in any live log dir on broker {broker}. There is likely an offline \
                 log directory on the broker."
            ),
            (Some(_), Some(future)) => {
                unfinished = true;
                match future == target {
                    true => format!("Reassignment of replica {} is still in progress.", name(replica)),
                    false => format!(
                        "Partition {partition} on broker {broker} is being moved to log dir {future} instead of {target}."
                    ),
                }
            }
            (Some(current), None) if current == target => {
                format!("Reassignment of replica {} completed successfully.", name(replica))
            }
            (Some(current), None) => format!(
                "Partition {partition} on broker {broker} is not being moved from log dir {current} to {target}."
            ),
        });
    }
    say!("{}", lines.join("\n"));
    Ok(unfinished)
}

/// What sends those back that are on their way: each to the directory it is in.
pub(super) async fn under_way(client: &mut ClusterClient, wanted: &Wanted) -> Result<Wanted, Failure> {
    if wanted.is_empty() {
        return Ok(Wanted::new());
    }
    let moving = places(client, wanted).await?.into_iter().filter(|(replica, _)| wanted.contains_key(replica));
    Ok(moving.filter_map(|(replica, place)| Some((replica, place.future.and(place.current)?))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn any_names_no_directory_and_each_replica_has_its_own() {
        let (partition, mut wanted) = (TopicPartition::new("t", 3), Wanted::new());
        asked(&json!({"log_dirs": ["any", "/b"]}), &partition, &[1, 2], &mut wanted).unwrap();
        asked(&json!({}), &partition, &[1, 2], &mut wanted).unwrap();
        assert_eq!(wanted, Wanted::from([((partition.clone(), 2), "/b".to_owned())]));
        assert_eq!(name(wanted.keys().next().unwrap()), "t-3-2");
        assert!(asked(&json!({"log_dirs": ["/b"]}), &partition, &[1, 2], &mut wanted).is_err());
        assert!(asked(&json!({"log_dirs": [7]}), &partition, &[1], &mut wanted).is_err());
    }
}
