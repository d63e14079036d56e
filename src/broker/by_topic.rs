//! Results of partitions, one list for each topic, as answers have them.

/// Gathers what belongs to the same topic; topics come in the order in which they were first named.
pub fn by_topic<T>(results: impl IntoIterator<Item = (String, T)>) -> Vec<(String, Vec<T>)> {
    let mut topics: Vec<(String, Vec<T>)> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (topic, result) in results {
        let place = *places.entry(topic.clone()).or_insert_with(|| {
            topics.push((topic, Vec::new()));
            topics.len() - 1
        });
        topics[place].1.push(result);
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_topic_once_in_the_order_of_first_mention() {
        let results = [("b", 1), ("a", 2), ("b", 3)].map(|(topic, partition)| (topic.to_owned(), partition));
        assert_eq!(by_topic(results), [("b".to_owned(), vec![1, 3]), ("a".to_owned(), vec![2])]);
    }
}
