//! `ottla.create.topics`: topics that a node creates when it starts, in the words of `KAFKA_CREATE_TOPICS`.

use super::layers::Layers;

/// A topic to create unless it exists.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InitialTopic {
    /// Its name.
    pub name: String,
    /// Number of partitions; -1 is the default of the cluster.
    pub num_partitions: i32,
    /// Number of replicas; -1 is the default of the cluster.
    pub replication_factor: i16,
    /// `cleanup.policy`, where it was given.
    pub cleanup_policy: Option<String>,
}

/// Reads the topics, and says what is wrong with them.
pub(super) fn resolve(layers: Layers<'_>, problems: &mut Vec<String>) -> Vec<InitialTopic> {
    let text = layers.text("ottla.create.topics").unwrap_or_default();
    let mut topics = Vec::new();
    for item in items(&text) {
        match parse(item) {
            Some(topic) => topics.push(topic),
            None => problems.push(format!(
                "{}: {item:?} is no topic; one looks like name:partitions:replicas or \
                 name:partitions:replicas:cleanup.policy",
                layers.start.named("ottla.create.topics")
            )),
        }
    }
    topics
}

/// Items stand in lines of their own, or between commas.
fn items(text: &str) -> impl Iterator<Item = &str> {
    let separator = if text.trim().contains('\n') { '\n' } else { ',' };
    text.split(separator).map(|item| item.trim().trim_end_matches(',')).filter(|item| !item.is_empty())
}

fn parse(item: &str) -> Option<InitialTopic> {
    let mut parts = item.split(':').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty())?.to_owned();
    let count = |part: Option<&str>| part.map_or(Some(-1), |part| part.parse::<i16>().ok().filter(|count| *count > 0));
    let num_partitions = count(parts.next())?.into();
    let replication_factor = count(parts.next())?;
    let cleanup_policy = parts.next().filter(|policy| !policy.is_empty()).map(str::to_owned);
    parts.next().is_none().then_some(InitialTopic { name, num_partitions, replication_factor, cleanup_policy })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::StaticConfig;

    fn resolve_text(text: &str) -> (Vec<InitialTopic>, Vec<String>) {
        let start = StaticConfig::from_overrides(&[("ottla.create.topics", text)]);
        let mut problems = Vec::new();
        (resolve(Layers::at_start(&start), &mut problems), problems)
    }

    fn topic(name: &str, num_partitions: i32, replication_factor: i16, policy: Option<&str>) -> InitialTopic {
        let cleanup_policy = policy.map(str::to_owned);
        InitialTopic { name: name.to_owned(), num_partitions, replication_factor, cleanup_policy }
    }

    #[test]
    fn topics_are_read_as_the_old_image_reads_them() {
        let expected = vec![topic("Topic1", 1, 3, None), topic("Topic2", 2, 1, Some("compact"))];
        for text in
            ["Topic1:1:3,Topic2:2:1:compact", " Topic1:1:3, Topic2:2:1:compact ,", "Topic1:1:3\nTopic2:2:1:compact\n"]
        {
            assert_eq!(resolve_text(text), (expected.clone(), vec![]), "{text:?}");
        }
        assert_eq!(
            resolve_text("both:1:1:compact,delete\nnext"),
            (vec![topic("both", 1, 1, Some("compact,delete")), topic("next", -1, -1, None)], vec![])
        );
    }

    #[test]
    fn what_is_no_topic_is_named() {
        for text in ["a:x:1", "a:1:0", ":1:1", "a:1:1:compact:more"] {
            let (_, problems) = resolve_text(text);
            assert!(problems[0].contains(&format!("{text:?} is no topic")), "{problems:?}");
        }
    }
}
