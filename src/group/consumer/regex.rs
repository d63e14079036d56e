//! Topics by regular expression. Kafka's expressions are RE2's; those of the `regex` crate come from the same
//! source. Topic names are ASCII, and so are the classes: `\d`, `\w` and `\s` mean what they mean there.

use std::collections::BTreeSet;
use std::sync::Arc;

use regex::bytes::{Regex, RegexBuilder};

/// A compiled expression takes no more memory than this.
const COMPILED_BYTES_MAX: usize = 1024 * 1024;

/// What is wrong with an expression.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct InvalidRegex(String);

/// Compiles an expression; it must match a whole name.
pub(super) fn compile(expression: &str) -> Result<Regex, InvalidRegex> {
    // An expression that is only whole with our parentheses is none.
    let checked = |text: &str| {
        let built = RegexBuilder::new(text).unicode(false).size_limit(COMPILED_BYTES_MAX).build();
        built.map_err(|error| InvalidRegex(error.to_string().lines().last().unwrap_or_default().to_owned()))
    };
    let expression = without_quotations(expression);
    checked(&expression)?;
    checked(&format!(r"\A(?:{expression})\z"))
}

/// The names that an expression matches; none when it is not one.
pub(super) fn resolve(expression: &str, names: &[Arc<str>]) -> BTreeSet<String> {
    let Ok(regex) = compile(expression) else { return BTreeSet::new() };
    names.iter().filter(|name| regex.is_match(name.as_bytes())).map(|name| name.to_string()).collect()
}

/// `\Q...\E` is a text without any special characters.
fn without_quotations(expression: &str) -> String {
    let mut plain = String::new();
    let mut rest = expression;
    while let Some(at) = quotation(rest) {
        let (before, quoted) = rest.split_at(at);
        let quoted = &quoted[r"\Q".len()..];
        let (text, after) = quoted.split_once(r"\E").unwrap_or((quoted, ""));
        plain.push_str(before);
        plain.push_str(&regex::escape(text));
        rest = after;
    }
    plain + rest
}

/// Where the next quotation begins; in `\\Q` the Q is only a letter.
fn quotation(expression: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, character) in expression.char_indices() {
        match (escaped, character) {
            (true, 'Q') => return Some(at - 1),
            (false, '\\') => escaped = true,
            _ => escaped = false,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(expression: &str, name: &str) -> bool {
        compile(expression).unwrap().is_match(name.as_bytes())
    }

    #[test]
    fn an_expression_matches_whole_names() {
        assert!(matches("orders", "orders") && !matches("orders", "orders-eu") && !matches("orders", "old-orders"));
        assert!(matches("a|b", "b") && !matches("a|b", "ab"));
        assert!(matches("(?i)ORDERS.*", "orders-eu") && matches(r"t-\d+", "t-17") && matches("[^_].*", "t"));
        assert!(!matches("[^_].*", "__consumer_offsets"));
    }

    #[test]
    fn quotations_are_plain_text() {
        assert!(matches(r"\Qa.b\E-.*", "a.b-1") && !matches(r"\Qa.b\E-.*", "axb-1"));
        assert!(matches(r"\Qa.b", "a.b") && matches(r"a\\?Q", r"a\Q"));
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for expression in ["(", "a)(b", "[a", r"(?=a)", "a{9999}{9999}"] {
            assert!(compile(expression).is_err(), "{expression}");
        }
    }
}
