//! Partitions as they are named on command lines and in JSON files.

use serde_json::Value;

use super::failure::Failure;
use super::topic_filter::TopicFilter;
use crate::model::TopicPartition;

/// Which partitions are meant: those that any rule allows.
#[derive(Debug)]
pub(super) struct Rules(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    topics: Option<TopicFilter>,
    partitions: Partitions,
}

#[derive(Debug)]
enum Partitions {
    /// From the first up to and without the second.
    Between(i32, i32),
    /// These; an empty list stands for all.
    These(Vec<i32>),
}

impl Rules {
    /// Reads `topic:partition,topic:from-to,:-to`; the end of a range is not in it.
    pub(super) fn of_list(list: &str) -> Result<Self, Failure> {
        list.split(',').map(Rule::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Reads `--topic` and `--partitions`.
    pub(super) fn of_topic(topic: Option<&str>, partitions: Option<&str>) -> Result<Self, Failure> {
        let ids = partitions.filter(|list| !list.is_empty()).map(|list| {
            let ids = list.split(',').map(str::parse).collect::<Result<Vec<i32>, _>>();
            ids.map_err(|_| {
                Failure::said(format!(
                    "--partitions expects a comma separated list of numeric partition ids, but received: {list}"
                ))
            })
        });
        let partitions = Partitions::These(ids.transpose()?.unwrap_or_default());
        Ok(Self(vec![Rule { topics: topic.map(TopicFilter::new).transpose()?, partitions }]))
    }

    pub(super) fn allow(&self, topic: &str, partition: i32) -> bool {
        self.0.iter().any(|rule| rule.allows(topic, partition))
    }
}

impl Rule {
    fn parse(text: &str) -> Result<Self, Failure> {
        let invalid = || Failure::said(format!("Invalid rule specification: {text}"));
        let number = |digits: &str, default: i32| match digits {
            "" => Ok(default),
            digits => digits.parse().map_err(|_| invalid()),
        };
        let (topic, partitions) = text.split_once(':').unwrap_or((text, ""));
        let partitions = match partitions.split_once('-') {
            Some((from, to)) => Partitions::Between(number(from, 0)?, number(to, i32::MAX)?),
            None if partitions.is_empty() => Partitions::Between(0, i32::MAX),
            None => Partitions::These(vec![number(partitions, 0)?]),
        };
        let topics = if topic.is_empty() { None } else { Some(TopicFilter::new(topic)?) };
        Ok(Self { topics, partitions })
    }

    fn allows(&self, topic: &str, partition: i32) -> bool {
        let partition = match &self.partitions {
            Partitions::Between(from, to) => (*from..*to).contains(&partition),
            Partitions::These(ids) => ids.is_empty() || ids.contains(&partition),
        };
        partition && self.topics.as_ref().is_none_or(|topics| topics.matches(topic))
    }
}

/// Reads a JSON file.
pub(super) fn json_file(path: &str) -> Result<Value, Failure> {
    let text = std::fs::read_to_string(path).map_err(|_| Failure::said(format!("Unable to read file {path}")))?;
    serde_json::from_str(&text).map_err(|_| Failure::said("The input string is not a valid JSON"))
}

/// The objects in the list `partitions` of a JSON document, each with the partition that it names.
pub(super) fn partitions_of(document: &Value) -> Result<Vec<(TopicPartition, &Value)>, Failure> {
    let missing = |field: &str| Failure::said(format!("No such field exists: `{field}`"));
    let list = document.get("partitions").and_then(Value::as_array).ok_or_else(|| missing("partitions"))?;
    let partition = |entry| {
        let topic = Value::get(entry, "topic").and_then(Value::as_str).ok_or_else(|| missing("topic"))?;
        let partition = Value::get(entry, "partition").and_then(Value::as_i64).ok_or_else(|| missing("partition"))?;
        let partition = i32::try_from(partition).map_err(|_| missing("partition"))?;
        Ok((TopicPartition::new(topic, partition), entry))
    };
    list.iter().map(partition).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_topics_with_partitions_and_ranges_are_open_at_the_end() {
        let rules = Rules::of_list("a:1,b:2-4,c:-1,:9").unwrap();
        let allowed = [("a", 1), ("a", 2), ("b", 3), ("b", 4), ("c", 0), ("c", 1), ("z", 9)];
        assert_eq!(
            allowed.map(|(topic, partition)| rules.allow(topic, partition)),
            [true, false, true, false, true, false, true]
        );
        assert!(Rules::of_list("a:x").is_err());
        assert!(Rules::of_topic(None, Some("1,x")).is_err());
        assert!(Rules::of_topic(Some("a"), None).unwrap().allow("a", 7));
    }
}
