//! How a record is printed.

use std::io::{self, Write};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::cli::time::iso;
use crate::client::Consumed;
use crate::record::Record;

/// The shape of a printed record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Shape {
    /// A JSON object on a line.
    Json,
    /// These pieces, one after the other.
    Template(Vec<Piece>),
}

/// A piece of a template.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    Text(String),
    Topic,
    Partition,
    Offset,
    Timestamp,
    Time,
    Key,
    Value,
    Headers,
}

impl FromStr for Shape {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "json" => Ok(Self::Json),
            "value" => template("{value}\\n"),
            "key-value" => template("{key}\\t{value}\\n"),
            text if text.contains('{') && text.ends_with("\\n") => template(text),
            text if text.contains('{') => template(&format!("{text}\\n")),
            _ => Err("write value, key-value, json, or a template such as '{key}: {value}'".to_owned()),
        }
    }
}

impl Shape {
    /// Prints a record.
    pub(super) fn write(&self, out: &mut impl Write, consumed: &Consumed<'_>) -> io::Result<()> {
        match self {
            Self::Json => {
                serde_json::to_writer(&mut *out, &json(consumed))?;
                out.write_all(b"\n")
            }
            Self::Template(pieces) => pieces.iter().try_for_each(|piece| piece.write(out, consumed)),
        }
    }
}

impl Piece {
    fn write(&self, out: &mut impl Write, consumed: &Consumed<'_>) -> io::Result<()> {
        let Consumed { partition, record, .. } = consumed;
        match self {
            Self::Text(text) => out.write_all(text.as_bytes()),
            Self::Topic => out.write_all(partition.topic.as_bytes()),
            Self::Partition => write!(out, "{}", partition.partition),
            Self::Offset => write!(out, "{}", record.offset),
            Self::Timestamp => write!(out, "{}", record.timestamp),
            Self::Time => out.write_all(iso(record.timestamp).as_bytes()),
            Self::Key => out.write_all(record.key.unwrap_or(b"null")),
            Self::Value => out.write_all(record.value.unwrap_or(b"null")),
            Self::Headers => headers(out, record),
        }
    }
}

/// Headers as `a=1,b=2`.
fn headers(out: &mut impl Write, record: &Record<'_>) -> io::Result<()> {
    for (index, header) in record.headers.enumerate() {
        out.write_all(if index == 0 { b"" } else { b"," })?;
        out.write_all(header.key)?;
        out.write_all(b"=")?;
        out.write_all(header.value.unwrap_or(b"null"))?;
    }
    Ok(())
}

fn json(consumed: &Consumed<'_>) -> Value {
    let Consumed { partition, record, .. } = consumed;
    let mut object = Map::new();
    object.insert("topic".to_owned(), json!(&*partition.topic));
    object.insert("partition".to_owned(), json!(partition.partition));
    object.insert("offset".to_owned(), json!(record.offset));
    object.insert("timestamp".to_owned(), json!(record.timestamp));
    put(&mut object, "key", record.key);
    put(&mut object, "value", record.value);
    let header = |header: crate::record::Header<'_>| {
        let mut object = Map::new();
        object.insert("key".to_owned(), json!(String::from_utf8_lossy(header.key)));
        put(&mut object, "value", header.value);
        Value::Object(object)
    };
    object.insert("headers".to_owned(), Value::Array(record.headers.map(header).collect()));
    Value::Object(object)
}

/// Text as text; bytes that are none as base64 under a name that says so.
fn put(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(std::str::from_utf8) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), json!(text)),
        Some(Err(_)) => object.insert(format!("{name}_base64"), json!(STANDARD.encode(bytes.unwrap_or_default()))),
    };
}

fn template(text: &str) -> Result<Shape, String> {
    let mut pieces = Vec::new();
    let text = text.replace("\\n", "\n").replace("\\t", "\t");
    let mut rest = text.as_str();
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        if !before.is_empty() {
            pieces.push(Piece::Text(before.to_owned()));
        }
        let end = from.find('}').ok_or("a { is not closed")?;
        pieces.push(match &from[1..end] {
            "topic" => Piece::Topic,
            "partition" => Piece::Partition,
            "offset" => Piece::Offset,
            "timestamp" => Piece::Timestamp,
            "time" => Piece::Time,
            "key" => Piece::Key,
            "value" => Piece::Value,
            "headers" => Piece::Headers,
            other => {
                return Err(format!(
                    "there is no {{{other}}}; there are {{topic}} {{partition}} {{offset}} {{timestamp}} {{time}} \
                     {{key}} {{value}} {{headers}}"
                ));
            }
        });
        rest = &from[end + 1..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.to_owned()));
    }
    Ok(Shape::Template(pieces))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::TopicPartition;
    use crate::record::{BatchBuilder, Batches, Header, Records};

    fn printed(shape: &str, value: Option<&[u8]>) -> String {
        let mut batch = BatchBuilder::new().base_offset(5);
        batch.append(
            0,
            Some(b"k"),
            value,
            &[Header { key: b"a", value: Some(b"1") }, Header { key: b"b", value: None }],
        );
        let bytes = batch.build();
        let batch = Batches::new(&bytes).next().unwrap().unwrap();
        let record = Records::new(&batch.header, batch.records_bytes()).next().unwrap().unwrap();
        let mut out = Vec::new();
        let consumed = Consumed { partition: &TopicPartition::new("t", 1), record: &record, batch: &batch.header };
        shape.parse::<Shape>().unwrap().write(&mut out, &consumed).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn records_take_the_shape_that_was_asked_for() {
        assert_eq!(printed("value", Some(b"v")), "v\n");
        assert_eq!(printed("key-value", None), "k\tnull\n");
        let line = printed("{topic}-{partition}@{offset} {time} {key}={value} [{headers}]", Some(b"v"));
        assert_eq!(line, "t-1@5 1970-01-01T00:00:00.000Z k=v [a=1,b=null]\n");
        let json: Value = serde_json::from_str(&printed("json", Some(b"\xff"))).unwrap();
        assert_eq!(json["value_base64"], "/w==");
        assert_eq!(json["headers"][0]["value"], "1");
    }

    #[test]
    fn a_wrong_shape_names_the_right_ones() {
        assert!("{valeu}".parse::<Shape>().unwrap_err().contains("{value}"));
        assert!("{value".parse::<Shape>().is_err());
        assert!("xml".parse::<Shape>().unwrap_err().contains("json"));
    }
}
