//! `kafka-consumer-groups --reset-offsets` and `--delete-offsets`.

use std::collections::BTreeMap;

use super::exceptions;
use super::failure::{Failure, message};
use super::meant_groups::meant;
use super::options::Given;
use super::session::{print, say};
use crate::cli::time::moment;
use crate::client::admin::groups;
use crate::client::admin::offsets::{self, OffsetSpec};
use crate::client::{ClusterClient, ClusterError};
use crate::clock;
use crate::model::{ErrorCode, Offset, TopicPartition};

/// What offsets can be reset to.
pub(super) const SCENARIOS: [&str; 8] =
    ["to-offset", "to-datetime", "by-duration", "to-earliest", "to-latest", "shift-by", "from-file", "to-current"];

type Offsets = BTreeMap<TopicPartition, Offset>;

/// Moves the offsets of groups, or shows where they would be moved to.
pub(super) async fn reset(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let mut plans: Vec<(String, Offsets)> = Vec::new();
    for group in meant(given, client).await? {
        let state = match groups::describe(client, &group).await {
            Ok(described) => described.state,
            Err(error) if error.is_not_found() => "Dead".to_owned(),
            Err(error) => return Err(error.into()),
        };
        if !matches!(state.as_str(), "Empty" | "Dead") {
            say!(
                "\nError: Assignments can only be reset if the group '{group}' is inactive, but the current state is {state}."
            );
            continue;
        }
        let offsets = plan(given, client, &group).await?;
        if given.has("execute") {
            groups::commit(client, &group, &offsets).await?;
        }
        plans.push((group, offsets));
    }
    if given.has("export") {
        let many = plans.len() > 1;
        for (group, offsets) in &plans {
            for (partition, offset) in offsets {
                let group = if many { format!("{group},") } else { String::new() };
                say!("{group}{},{},{offset}", partition.topic, partition.partition);
            }
        }
        say!("");
        return Ok(());
    }
    show(&plans);
    Ok(())
}

fn show(plans: &[(String, Offsets)]) {
    let width = |text: fn(&str, &TopicPartition) -> usize| {
        let rows =
            plans.iter().flat_map(|(group, offsets)| offsets.keys().map(move |partition| text(group, partition)));
        rows.max().unwrap_or(0).max(15)
    };
    let (groups, topics) = (width(|group, _| group.len()), width(|_, partition| partition.topic.len()));
    if !plans.is_empty() {
        print(format_args!("\n{:<groups$} {:<topics$} {:<10} {}", "GROUP", "TOPIC", "PARTITION", "NEW-OFFSET"));
    }
    for (group, offsets) in plans {
        for (partition, offset) in offsets {
            let (topic, id) = (&partition.topic, partition.partition);
            print(format_args!("\n{group:<groups$} {topic:<topics$} {id:<10} {offset}"));
        }
    }
    say!("");
}

/// Where one group's offsets are to be.
async fn plan(given: &Given, client: &mut ClusterClient, group: &str) -> Result<Offsets, Failure> {
    if let Some(path) = given.value("from-file") {
        let wanted = from_file(path, group)?;
        return within_log(client, wanted).await;
    }
    let partitions = partitions(given, client, group).await?;
    let of_spec = async |client: &mut ClusterClient, spec| -> Result<Offsets, Failure> {
        Ok(offsets::list_all(client, partitions.iter().cloned(), spec).await?)
    };
    if let Some(offset) = given.parsed::<i64>("to-offset")? {
        return within_log(client, partitions.iter().map(|partition| (partition.clone(), offset)).collect()).await;
    }
    if let Some(shift) = given.parsed::<i64>("shift-by")? {
        let committed = groups::committed(client, group).await?;
        let mut wanted = Offsets::new();
        for partition in &partitions {
            let Some(committed) = committed.get(partition) else {
                let what =
                    format!("Cannot shift offset for partition {partition} since there is no current committed offset");
                return Err(Failure::said(what));
            };
            wanted.insert(partition.clone(), committed.offset + shift);
        }
        return within_log(client, wanted).await;
    }
    if given.has("to-earliest") {
        return of_spec(client, OffsetSpec::Earliest).await;
    }
    if given.has("to-latest") {
        return of_spec(client, OffsetSpec::Latest).await;
    }
    if let Some(time) = time(given)? {
        let mut found = of_spec(client, OffsetSpec::AtTime(time)).await?;
        let ends = of_spec(client, OffsetSpec::Latest).await?;
        for (partition, offset) in found.iter_mut().filter(|(_, offset)| **offset < 0) {
            say!(
                "\nWarn: Partition {} from topic {} is empty. Falling back to latest known offset.",
                partition.partition,
                partition.topic
            );
            *offset = ends.get(partition).copied().unwrap_or_default();
        }
        return Ok(found);
    }
    // To the present offsets; to the end where there is none.
    let committed = groups::committed(client, group).await?;
    let mut offsets = of_spec(client, OffsetSpec::Latest).await?;
    for (partition, offset) in &mut offsets {
        if let Some(committed) = committed.get(partition) {
            *offset = committed.offset;
        }
    }
    Ok(offsets)
}

/// The time of `--to-datetime` or `--by-duration`, in milliseconds since the Unix epoch.
fn time(given: &Given) -> Result<Option<i64>, Failure> {
    if let Some(text) = given.value("to-datetime") {
        let time = moment(text).map_err(|_| Failure::said(format!("Unparseable date: \"{text}\"")))?;
        return Ok(Some(time));
    }
    let Some(text) = given.value("by-duration") else { return Ok(None) };
    let duration = duration(text).ok_or_else(|| Failure::said("Text cannot be parsed to a Duration"))?;
    Ok(Some(clock::wall().0 - duration))
}

/// Reads an ISO 8601 duration of days, hours, minutes and seconds, such as `P1DT2H30M`, in milliseconds.
fn duration(text: &str) -> Option<i64> {
    let (days, time) = text.strip_prefix('P')?.split_once('T').unwrap_or((text.strip_prefix('P')?, ""));
    let mut rest = time;
    let mut total: f64 = match days {
        "" => 0.0,
        days => days.strip_suffix('D')?.parse::<f64>().ok()? * 86_400.0,
    };
    for (unit, seconds) in [('H', 3600.0), ('M', 60.0), ('S', 1.0)] {
        if let Some((number, after)) = rest.split_once(unit) {
            total += number.parse::<f64>().ok()? * seconds;
            rest = after;
        }
    }
    (rest.is_empty() && !text.ends_with(['P', 'T'])).then_some((total * 1000.0) as i64)
}

/// Offsets beyond an end of the log become that end.
async fn within_log(client: &mut ClusterClient, wanted: Offsets) -> Result<Offsets, Failure> {
    let starts = offsets::list_all(client, wanted.keys().cloned(), OffsetSpec::Earliest).await?;
    let ends = offsets::list_all(client, wanted.keys().cloned(), OffsetSpec::Latest).await?;
    let bounded = wanted.into_iter().map(|(partition, offset)| {
        let start = starts.get(&partition).copied().unwrap_or_default();
        let end = ends.get(&partition).copied().unwrap_or(i64::MAX);
        let bounded = offset.clamp(start, end.max(start));
        if bounded != offset {
            let which = if offset > end { "higher than latest" } else { "lower than earliest" };
            eprintln!("WARN New offset ({offset}) is {which} offset for topic partition {partition}. Value will be set to {bounded}");
        }
        (partition, bounded)
    });
    Ok(bounded.collect())
}

/// Reads lines of `topic,partition,offset` or `group,topic,partition,offset`.
fn from_file(path: &str, group: &str) -> Result<Offsets, Failure> {
    let text = std::fs::read_to_string(path).map_err(|error| Failure::said(format!("cannot read {path}: {error}")))?;
    let mut offsets = Offsets::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let wrong = || Failure::said(format!("{path}: {line:?} is not topic,partition,offset"));
        let cells = match cells.as_slice() {
            [named, rest @ ..] if rest.len() == 3 && *named == group => rest,
            [_, rest @ ..] if rest.len() == 3 => continue,
            cells => cells,
        };
        let [topic, partition, offset] = cells else { return Err(wrong()) };
        let partition = TopicPartition::new(*topic, partition.parse().map_err(|_| wrong())?);
        offsets.insert(partition, offset.parse().map_err(|_| wrong())?);
    }
    Ok(offsets)
}

/// The partitions of `--topic`, or those that the group has offsets of.
async fn partitions(given: &Given, client: &mut ClusterClient, group: &str) -> Result<Vec<TopicPartition>, Failure> {
    if given.has("all-topics") {
        return Ok(groups::committed(client, group).await?.into_keys().collect());
    }
    let mut partitions = Vec::new();
    for text in given.values("topic") {
        partitions.extend(partitions_of(client, text).await?);
    }
    Ok(partitions)
}

/// Reads `topic` or `topic:partition,partition`.
async fn partitions_of(client: &mut ClusterClient, text: &str) -> Result<Vec<TopicPartition>, Failure> {
    let Some((topic, ids)) = text.split_once(':') else {
        let metadata = client.learn_topics(Some(&[text.to_owned()])).await?;
        let mut ids: Vec<i32> = metadata.topic(text)?.partitions.iter().map(|it| it.partition_index).collect();
        ids.sort_unstable();
        return Ok(ids.into_iter().map(|id| TopicPartition::new(text, id)).collect());
    };
    let id = |id: &str| {
        id.parse().map_err(|_| Failure::said(format!("Invalid partition '{id}' specified in topic arg '{text}'")))
    };
    ids.split(',').map(|text| Ok(TopicPartition::new(topic, id(text)?))).collect()
}

/// Deletes offsets of a group.
pub(super) async fn delete(given: &Given, client: &mut ClusterClient) -> Result<(), Failure> {
    let group = given.value("group").unwrap_or_default();
    let mut wanted = Vec::new();
    for topic in given.values("topic") {
        wanted.extend(partitions_of(client, topic).await?);
    }
    wanted.sort_by_key(|partition| format!("{}{}", partition.topic, partition.partition));
    let outcomes = match groups::delete_offsets(client, group, &wanted).await {
        Ok(outcomes) => {
            match outcomes.values().any(|code| code.is_error()) {
                false => say!("Request succeeded for deleting offsets from group {group}."),
                true => say!("\nError: Encountered some partition-level error, see the follow-up details."),
            }
            outcomes
        }
        Err(ref error @ ClusterError::Refused { code, .. }) => {
            say!("\nError: {}", message(error));
            wanted.iter().map(|partition| (partition.clone(), code)).collect()
        }
        Err(error) => return Err(error.into()),
    };
    let topics = wanted.iter().map(|partition| partition.topic.len()).max().unwrap_or(0).max(15);
    print(format_args!("\n{:<topics$} {:<10} {:<15}", "TOPIC", "PARTITION", "STATUS"));
    for partition in &wanted {
        let status = outcome(outcomes.get(partition).copied().unwrap_or(ErrorCode::UnknownTopicOrPartition));
        print(format_args!("\n{:<topics$} {:<10} {status:<15}", partition.topic, partition.partition));
    }
    say!("");
    Ok(())
}

/// How one partition of a deletion went.
fn outcome(code: ErrorCode) -> String {
    match code {
        ErrorCode::None => "Successful".to_owned(),
        code => {
            let class = exceptions::class(code);
            format!("Error: org.apache.kafka.common.errors.{class}: {}", exceptions::message(code))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_iso_8601() {
        assert_eq!(duration("PT1H"), Some(3_600_000));
        assert_eq!(duration("P1DT2H30M"), Some(95_400_000));
        assert_eq!(duration("PT0.5S"), Some(500));
        assert_eq!(["soon", "P", "PT", "1H", "PT1X"].map(duration), [None; 5]);
    }
}
