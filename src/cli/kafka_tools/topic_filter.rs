//! Which topics a regular expression or a list of them means: `--topic`, `--include`.

use regex::Regex;

use super::failure::Failure;

/// Topics that are the brokers' own.
const INTERNAL: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// A list of regular expressions, separated by commas, each for whole names.
#[derive(Debug)]
pub(super) struct TopicFilter(Regex);

impl TopicFilter {
    pub(super) fn new(list: &str) -> Result<Self, Failure> {
        let alternatives = list.trim().replace(',', "|").replace(' ', "");
        let alternatives = alternatives.trim_matches(['"', '\'']);
        let regex = Regex::new(&format!("^(?:{alternatives})$"));
        Ok(Self(regex.map_err(|_| Failure::said(format!("{list} is an invalid regex.")))?))
    }

    pub(super) fn matches(&self, topic: &str) -> bool {
        self.0.is_match(topic)
    }
}

/// True for topics that the brokers keep for themselves.
pub(super) fn is_internal(topic: &str) -> bool {
    INTERNAL.contains(&topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_a_whole_and_lists_are_alternatives() {
        let filter = TopicFilter::new("or.*, pay").unwrap();
        let matches = ["orders", "pay", "payments", "floor"].map(|topic| filter.matches(topic));
        assert_eq!(matches, [true, true, false, false]);
        assert!(TopicFilter::new("a(").is_err());
    }
}
