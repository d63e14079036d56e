//! From a line of input to a record, as Kafka's LineMessageReader reads it: `HEADERS<tab>KEY<tab>VALUE`.

use super::failure::Failure;

/// A header of a record.
pub(super) type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

/// A record that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct InputRecord {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<OwnedHeader>,
}

/// What stands where in a line.
#[derive(Clone, Debug)]
pub(super) struct LineReader {
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    null_marker: Option<String>,
    ignore_error: bool,
}

fn refused(what: String) -> Failure {
    Failure::said(format!("org.apache.kafka.common.KafkaException: {what}"))
}

impl LineReader {
    /// Reads the properties; of two with the same name the later one counts.
    pub(super) fn new(properties: &[(String, String)]) -> Result<Self, Failure> {
        let value = |name: &str| properties.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let flag = |name: &str| value(name).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        let reader = Self {
            parse_key: flag("parse.key"),
            key_separator: value("key.separator").unwrap_or("\t".to_owned()),
            parse_headers: flag("parse.headers"),
            headers_delimiter: value("headers.delimiter").unwrap_or("\t".to_owned()),
            headers_separator: value("headers.separator").unwrap_or(",".to_owned()),
            headers_key_separator: value("headers.key.separator").unwrap_or(":".to_owned()),
            null_marker: value("null.marker"),
            ignore_error: flag("ignore.error"),
        };
        reader.check()?;
        Ok(reader)
    }

    fn check(&self) -> Result<(), Failure> {
        let named = [
            ("headers.delimiter", &self.headers_delimiter),
            ("headers.separator", &self.headers_separator),
            ("headers.key.separator", &self.headers_key_separator),
        ];
        for (at, (name, text)) in named.iter().enumerate() {
            if let Some((other, _)) = named[at + 1..].iter().find(|(_, other)| other == text) {
                return Err(refused(format!("{name} and {other} may not be equal")));
            }
        }
        let separators = named.into_iter().chain([("key.separator", &self.key_separator)]);
        for (name, text) in separators {
            if self.null_marker.as_ref() == Some(text) {
                return Err(refused(format!("null.marker and {name} may not be equal")));
            }
        }
        Ok(())
    }

    /// Reads a line, counted from 1.
    pub(super) fn read(&self, line: &str, number: u64) -> Result<InputRecord, Failure> {
        let mut rest = line;
        let mut part = |enabled: bool, separator: &str, name: &str| match rest.split_once(separator) {
            _ if !enabled => Ok(None),
            Some((part, after)) => {
                rest = after;
                Ok(Some(part))
            }
            None if self.ignore_error => Ok(None),
            None => Err(refused(format!("No {name} found on line number {number}: '{line}'"))),
        };
        let headers = part(self.parse_headers, &self.headers_delimiter, "headers delimiter")?;
        let key = part(self.parse_key, &self.key_separator, "key separator")?;
        let headers = headers.filter(|headers| !self.is_null(headers)).map(|headers| self.headers(headers, number));
        Ok(InputRecord {
            key: key.filter(|key| !self.is_null(key)).map(|key| key.as_bytes().to_vec()),
            value: (!self.is_null(rest)).then(|| rest.as_bytes().to_vec()),
            headers: headers.transpose()?.unwrap_or_default(),
        })
    }

    fn is_null(&self, text: &str) -> bool {
        self.null_marker.as_deref() == Some(text)
    }

    fn headers(&self, text: &str, number: u64) -> Result<Vec<OwnedHeader>, Failure> {
        let header = |pair: &str| match pair.split_once(&self.headers_key_separator) {
            Some((key, _)) if self.is_null(key) => Err(refused(format!(
                "Header keys should not be equal to the null marker '{key}' as they can't be null"
            ))),
            Some((key, value)) => {
                Ok((key.as_bytes().to_vec(), (!self.is_null(value)).then(|| value.as_bytes().to_vec())))
            }
            None if self.ignore_error => Ok((pair.as_bytes().to_vec(), None)),
            None => Err(refused(format!("No header key separator found in pair '{pair}' on line number {number}"))),
        };
        text.split(&self.headers_separator).map(header).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reader(properties: &[&str]) -> LineReader {
        let pairs: Vec<_> = properties.iter().map(|pair| pair.split_once('=').unwrap()).collect();
        let owned: Vec<_> = pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        LineReader::new(&owned).unwrap()
    }

    fn bytes(text: &str) -> Option<Vec<u8>> {
        Some(text.as_bytes().to_vec())
    }

    #[test]
    fn keys_headers_and_nulls_are_read() {
        let plain = reader(&[]).read("a\tb", 1).unwrap();
        assert_eq!(plain, InputRecord { key: None, value: bytes("a\tb"), headers: vec![] });
        let reader = reader(&["parse.key=true", "parse.headers=TRUE", "null.marker=-"]);
        let full = reader.read("h1:v1,h2:-\tk\t-", 1).unwrap();
        let headers = vec![(b"h1".to_vec(), bytes("v1")), (b"h2".to_vec(), None)];
        assert_eq!(full, InputRecord { key: bytes("k"), value: None, headers });
        let Err(Failure::Said(what)) = reader.read("-\tkv", 7) else { panic!("there is no key") };
        assert!(what.ends_with("No key separator found on line number 7: '-\tkv'"), "{what}");
    }

    #[test]
    fn errors_can_be_ignored() {
        let record = reader(&["parse.key=true", "ignore.error=true"]).read("kv", 1).unwrap();
        assert_eq!(record, InputRecord { key: None, value: bytes("kv"), headers: vec![] });
    }

    #[test]
    fn separators_must_differ() {
        let same = [("headers.separator".to_owned(), ":".to_owned())];
        let Err(Failure::Said(what)) = LineReader::new(&same) else { panic!("they are equal") };
        assert!(what.ends_with("headers.separator and headers.key.separator may not be equal"), "{what}");
    }
}
