//! The throttles that `kafka-reassign-partitions` puts on a move, and takes away after it (KIP-73).
//!
//! Each topic that moves names who sends (all replicas that the partition has) and who fetches (those it gets) at a
//! limited rate; each broker that takes part gets the rate, for both.

use std::collections::{BTreeMap, BTreeSet};

use super::directory_moves;
use super::failure::Failure;
use super::session::say;
use crate::client::ClusterClient;
use crate::client::admin::configs::{self, ConfigChange, ConfigResource};
use crate::model::TopicPartition;
use crate::protocol::OngoingPartitionReassignment;

const RATES: [&str; 2] = ["leader.replication.throttled.rate", "follower.replication.throttled.rate"];
const REPLICAS: [&str; 2] = ["leader.replication.throttled.replicas", "follower.replication.throttled.replicas"];

type Replicas = BTreeMap<TopicPartition, Vec<i32>>;

/// From which brokers to which a partition moves.
#[derive(PartialEq, Eq, Debug)]
struct Move {
    sources: BTreeSet<i32>,
    destinations: BTreeSet<i32>,
}

/// What is moving once `wanted` has begun: from where each partition is `now`, beside what is under way already.
fn moves(
    wanted: &Replicas,
    now: &Replicas,
    under_way: &BTreeMap<TopicPartition, OngoingPartitionReassignment>,
) -> BTreeMap<TopicPartition, Move> {
    let mut moves: BTreeMap<TopicPartition, Move> = BTreeMap::new();
    for (partition, moving) in under_way {
        let destinations: BTreeSet<i32> = moving.adding_replicas.iter().copied().collect();
        let sources = moving.replicas.iter().copied().filter(|id| !destinations.contains(id)).collect();
        moves.insert(partition.clone(), Move { sources, destinations });
    }
    for (partition, target) in wanted {
        let present = || now.get(partition).into_iter().flatten().copied().collect();
        let sources: BTreeSet<i32> = moves.remove(partition).map_or_else(present, |moving| moving.sources);
        let destinations = target.iter().copied().filter(|id| !sources.contains(id)).collect();
        moves.insert(partition.clone(), Move { sources, destinations });
    }
    moves
}

/// The two throttled lists of each topic that moves: of leaders, of followers.
fn throttled_replicas(moves: &BTreeMap<TopicPartition, Move>) -> BTreeMap<&str, [BTreeSet<String>; 2]> {
    let mut topics: BTreeMap<&str, [BTreeSet<String>; 2]> = BTreeMap::new();
    for (place, Move { sources, destinations }) in moves {
        let [leaders, followers] = topics.entry(&*place.topic).or_default();
        let pair = |id: &i32| format!("{}:{id}", place.partition);
        leaders.extend(sources.iter().map(pair));
        followers.extend(destinations.iter().map(pair));
    }
    topics
}

/// Limits what is about to move, and what moves already, to `rate` bytes per second and broker.
pub(super) async fn set(
    client: &mut ClusterClient,
    rate: u64,
    wanted: &Replicas,
    now: &Replicas,
    under_way: &BTreeMap<TopicPartition, OngoingPartitionReassignment>,
) -> Result<(), Failure> {
    let moves = moves(wanted, now, under_way);
    for (topic, lists) in throttled_replicas(&moves) {
        let lists = lists.map(|list| ConfigChange::Set(list.into_iter().collect::<Vec<_>>().join(",")));
        let changes: Vec<_> = REPLICAS.map(str::to_owned).into_iter().zip(lists).collect();
        configs::alter(client, &ConfigResource::Topic(topic.to_owned()), &changes, false).await?;
    }
    let rates = RATES.map(|name| (name.to_owned(), ConfigChange::Set(rate.to_string())));
    let brokers: BTreeSet<i32> =
        moves.values().flat_map(|moving| moving.sources.union(&moving.destinations)).copied().collect();
    for broker in brokers {
        configs::alter(client, &ConfigResource::Broker(broker), &rates, false).await?;
    }
    Ok(())
}

/// Takes away what [`set`] has set, or Kafka's own tool.
pub(super) async fn clear(client: &mut ClusterClient, topics: &BTreeSet<String>) -> Result<(), Failure> {
    fn unset<const N: usize>(names: [&str; N]) -> [(String, ConfigChange); N] {
        names.map(|name| (name.to_owned(), ConfigChange::Unset))
    }
    let rates = [RATES[0], RATES[1], directory_moves::RATE];
    let brokers: Vec<i32> = client.metadata().brokers.keys().copied().collect();
    let plural = |count: usize| if count == 1 { "" } else { "s" };
    let ids: Vec<String> = brokers.iter().map(i32::to_string).collect();
    say!("Clearing broker-level throttles on broker{} {}", plural(ids.len()), ids.join(","));
    for broker in brokers {
        configs::alter(client, &ConfigResource::Broker(broker), &unset(rates), false).await?;
    }
    let names: Vec<&str> = topics.iter().map(String::as_str).collect();
    say!("Clearing topic-level throttles on topic{} {}", plural(names.len()), names.join(","));
    for topic in topics {
        configs::alter(client, &ConfigResource::Topic(topic.clone()), &unset(REPLICAS), false).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    #[test]
    fn sources_are_throttled_as_leaders_and_what_is_added_as_followers() {
        let (wanted, now) = (Replicas::from([(at(0), vec![2, 3])]), Replicas::from([(at(0), vec![1, 2])]));
        let moves = moves(&wanted, &now, &BTreeMap::new());
        let [leaders, followers] = &throttled_replicas(&moves)["t"];
        assert_eq!(leaders.iter().collect::<Vec<_>>(), ["0:1", "0:2"]);
        assert_eq!(followers.iter().collect::<Vec<_>>(), ["0:3"]);
    }

    #[test]
    fn what_a_move_under_way_adds_is_no_source_of_the_next_one() {
        let moving = |replicas: &[i32], adding: &[i32]| OngoingPartitionReassignment {
            replicas: replicas.to_vec(),
            adding_replicas: adding.to_vec(),
            ..OngoingPartitionReassignment::default()
        };
        let under_way = BTreeMap::from([(at(0), moving(&[3, 1], &[3])), (at(1), moving(&[4, 5], &[5]))]);
        let moves = moves(&Replicas::from([(at(0), vec![2])]), &Replicas::from([(at(0), vec![3, 1])]), &under_way);
        let set = |ids: &[i32]| ids.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(moves[&at(0)], Move { sources: set(&[1]), destinations: set(&[2]) });
        assert_eq!(
            moves[&at(1)],
            Move { sources: set(&[4]), destinations: set(&[5]) },
            "it goes on beside the new one"
        );
    }
}
