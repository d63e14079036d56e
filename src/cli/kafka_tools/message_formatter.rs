//! From a record to a line of output, as Kafka's DefaultMessageFormatter writes it.

use std::io::{self, Write};

use super::failure::Failure;
use crate::client::Consumed;
use crate::record::{Header, Headers, TimestampType};

/// How the bytes of a key, value or header are shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deserializer {
    /// As they are.
    Plain,
    /// Big-endian numbers.
    Short,
    Integer,
    Long,
}

/// What of a record is printed, and how.
#[derive(Clone, Debug)]
pub(super) struct MessageFormatter {
    timestamp: bool,
    partition: bool,
    offset: bool,
    delivery: bool,
    epoch: bool,
    headers: bool,
    key: bool,
    value: bool,
    key_separator: String,
    line_separator: String,
    headers_separator: String,
    null_literal: String,
    deserializers: [Deserializer; 3],
}

impl MessageFormatter {
    /// Reads the properties; of two with the same name the later one counts.
    pub(super) fn new(properties: &[(String, String)]) -> Result<Self, Failure> {
        let value = |name: &str| properties.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        let flag =
            |name: &str, default: bool| value(name).map_or(default, |value| value.trim().eq_ignore_ascii_case("true"));
        let text = |name: &str, default: &str| value(name).unwrap_or_else(|| default.to_owned());
        let deserializer = |name: &str| value(name).map_or(Ok(Deserializer::Plain), |class| Deserializer::new(&class));
        Ok(Self {
            timestamp: flag("print.timestamp", false),
            partition: flag("print.partition", false),
            offset: flag("print.offset", false),
            delivery: flag("print.delivery", false),
            epoch: flag("print.epoch", false),
            headers: flag("print.headers", false),
            key: flag("print.key", false),
            value: flag("print.value", true),
            key_separator: text("key.separator", "\t"),
            line_separator: text("line.separator", "\n"),
            headers_separator: text("headers.separator", ","),
            null_literal: text("null.literal", "null"),
            deserializers: [
                deserializer("key.deserializer")?,
                deserializer("value.deserializer")?,
                deserializer("headers.deserializer")?,
            ],
        })
    }

    /// Writes a record.
    pub(super) fn write(&self, out: &mut impl Write, consumed: &Consumed<'_>) -> io::Result<()> {
        let record = consumed.record;
        let [of_key, of_value, of_headers] = self.deserializers;
        let mut columns: Vec<Vec<u8>> = Vec::new();
        if self.timestamp {
            let kind = match consumed.batch.timestamp_type() {
                TimestampType::CreateTime => "CreateTime",
                TimestampType::LogAppendTime => "LogAppendTime",
            };
            columns.push(format!("{kind}:{}", record.timestamp).into_bytes());
        }
        if self.partition {
            columns.push(format!("Partition:{}", consumed.partition.partition).into_bytes());
        }
        if self.offset {
            columns.push(format!("Offset:{}", record.offset).into_bytes());
        }
        if self.delivery {
            columns.push(b"Delivery:NOT_PRESENT".to_vec());
        }
        if self.epoch {
            // Kafka's consumer knows the epoch, its formatter is not told.
            columns.push(b"Epoch:NOT_PRESENT".to_vec());
        }
        if self.headers {
            columns.push(self.headers_text(record.headers, of_headers));
        }
        if self.key {
            columns.push(self.text(record.key, of_key));
        }
        if self.value {
            columns.push(self.text(record.value, of_value));
        }
        if columns.is_empty() {
            return Ok(());
        }
        out.write_all(&columns.join(self.key_separator.as_bytes()))?;
        out.write_all(self.line_separator.as_bytes())
    }

    fn headers_text(&self, headers: Headers<'_>, deserializer: Deserializer) -> Vec<u8> {
        let text = |header: Header<'_>| {
            let mut text = header.key.to_vec();
            text.push(b':');
            text.extend(self.text(header.value, deserializer));
            text
        };
        let texts: Vec<Vec<u8>> = headers.map(text).collect();
        if texts.is_empty() { b"NO_HEADERS".to_vec() } else { texts.join(self.headers_separator.as_bytes()) }
    }

    fn text(&self, bytes: Option<&[u8]>, deserializer: Deserializer) -> Vec<u8> {
        match bytes {
            Some(bytes) => deserializer.text(bytes),
            None => self.null_literal.as_bytes().to_vec(),
        }
    }
}

impl Deserializer {
    fn new(class: &str) -> Result<Self, Failure> {
        match class.strip_prefix("org.apache.kafka.common.serialization.").unwrap_or(class) {
            "StringDeserializer" => Ok(Self::Plain),
            "ShortDeserializer" => Ok(Self::Short),
            "IntegerDeserializer" => Ok(Self::Integer),
            "LongDeserializer" => Ok(Self::Long),
            _ => Err(Failure::said(format!(
                "kafka-console-consumer: the deserializer {class} is not served; String, Short, Integer and Long are."
            ))),
        }
    }

    /// Numbers of another length are shown as they are.
    fn text(self, bytes: &[u8]) -> Vec<u8> {
        let number = match self {
            Self::Plain => None,
            Self::Short => bytes.try_into().ok().map(|bytes| i64::from(i16::from_be_bytes(bytes))),
            Self::Integer => bytes.try_into().ok().map(|bytes| i64::from(i32::from_be_bytes(bytes))),
            Self::Long => bytes.try_into().ok().map(i64::from_be_bytes),
        };
        number.map_or_else(|| bytes.to_vec(), |number| number.to_string().into_bytes())
    }
}
