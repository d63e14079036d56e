//! Who leads the partitions of a topic.

use std::collections::{BTreeMap, HashMap};
use std::io;

use ottla::protocol::{MetadataRequest, MetadataRequestTopic, MetadataResponseTopic};

use super::connection::Connection;

const VERSION: i16 = 8;

/// Partitions by the address of the broker that leads them; an error when one has no leader.
pub fn leaders(bootstrap: &str, topic: &str) -> io::Result<BTreeMap<String, Vec<i32>>> {
    let mut connection = Connection::open_any(bootstrap)?;
    let (led, unled) = ask(&mut connection, topic)?;
    if unled > 0 || led.is_empty() {
        return Err(io::Error::other(format!(
            "{topic}: {unled} partitions have no leader, {} brokers lead",
            led.len()
        )));
    }
    Ok(led)
}

/// The partitions that are led, by address, and how many are not; none of either when there is no such topic.
pub fn ask(connection: &mut Connection, topic: &str) -> io::Result<(BTreeMap<String, Vec<i32>>, usize)> {
    let asked = MetadataRequestTopic { name: Some(topic.to_owned()), ..Default::default() };
    let request =
        MetadataRequest { topics: Some(vec![asked]), allow_auto_topic_creation: false, ..MetadataRequest::default() };
    let response = connection.call(VERSION, &request)?;
    let addresses = response.brokers.iter().map(|broker| (broker.node_id, format!("{}:{}", broker.host, broker.port)));
    Ok(by_leader(&addresses.collect(), &response.topics))
}

fn by_leader(
    addresses: &HashMap<i32, String>,
    topics: &[MetadataResponseTopic],
) -> (BTreeMap<String, Vec<i32>>, usize) {
    let mut led: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    let mut unled = 0;
    for partition in topics.iter().flat_map(|topic| &topic.partitions) {
        match addresses.get(&partition.leader_id) {
            Some(address) => led.entry(address.clone()).or_default().push(partition.partition_index),
            None => unled += 1,
        }
    }
    (led, unled)
}
