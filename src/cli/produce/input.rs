//! From a line of input to a record.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// How lines are read, and what all records have in common.
#[derive(Clone, Default, Debug)]
pub(super) struct Reading {
    pub(super) json: bool,
    pub(super) key: Option<Vec<u8>>,
    pub(super) key_separator: Option<Vec<u8>>,
    pub(super) null: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
    pub(super) partition: Option<i32>,
}

/// A record as it was read.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(super) struct InputRecord {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(String, Option<Vec<u8>>)>,
    /// Milliseconds since the Unix epoch; now if `None`.
    pub(super) timestamp: Option<i64>,
    pub(super) partition: Option<i32>,
}

/// Reads one line.
pub(super) fn read(reading: &Reading, line: &[u8]) -> Result<InputRecord, String> {
    let mut record = if reading.json { read_json(line)? } else { read_plain(reading, line)? };
    record.headers.extend(reading.headers.iter().cloned());
    if reading.key.is_some() {
        record.key.clone_from(&reading.key);
    }
    record.partition = reading.partition.or(record.partition);
    Ok(record)
}

fn read_plain(reading: &Reading, line: &[u8]) -> Result<InputRecord, String> {
    let (key, value) = match &reading.key_separator {
        None => (None, line),
        Some(separator) => {
            let at = line.windows(separator.len().max(1)).position(|window| window == separator.as_slice());
            let at = at.ok_or_else(|| {
                let separator = String::from_utf8_lossy(separator);
                format!("there is no key separator {separator:?} in {:?}", String::from_utf8_lossy(line))
            })?;
            (Some(line[..at].to_vec()), &line[at + separator.len()..])
        }
    };
    let value = (reading.null.as_deref() != Some(value)).then(|| value.to_vec());
    Ok(InputRecord { key, value, ..InputRecord::default() })
}

fn read_json(line: &[u8]) -> Result<InputRecord, String> {
    let object: Value = serde_json::from_slice(line).map_err(|error| format!("no JSON object: {error}"))?;
    let object = object.as_object().ok_or("no JSON object")?;
    let headers = match object.get("headers") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(headers)) => headers.iter().map(header).collect::<Result<_, _>>()?,
        Some(_) => return Err("\"headers\" is no list of {\"key\", \"value\"}".to_owned()),
    };
    Ok(InputRecord {
        key: bytes(object, "key")?,
        value: bytes(object, "value")?,
        headers,
        timestamp: object.get("timestamp").and_then(Value::as_i64),
        partition: None,
    })
}

fn header(header: &Value) -> Result<(String, Option<Vec<u8>>), String> {
    let object = header.as_object().ok_or("a header is no object")?;
    let key = object.get("key").and_then(Value::as_str).ok_or("a header has no \"key\"")?;
    Ok((key.to_owned(), bytes(object, "value")?))
}

/// `name` as text, `name_base64` as any bytes; anything else than text is stored as the JSON it is.
fn bytes(object: &serde_json::Map<String, Value>, name: &str) -> Result<Option<Vec<u8>>, String> {
    let encoded = format!("{name}_base64");
    if let Some(text) = object.get(&encoded).and_then(Value::as_str) {
        return STANDARD.decode(text).map(Some).map_err(|error| format!("{encoded:?}: {error}"));
    }
    Ok(match object.get(name) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text.clone().into_bytes()),
        Some(other) => Some(other.to_string().into_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &Option<Vec<u8>>) -> Option<&str> {
        bytes.as_deref().map(|bytes| std::str::from_utf8(bytes).unwrap())
    }

    #[test]
    fn lines_have_keys_and_tombstones_where_they_are_asked_for() {
        let reading =
            Reading { key_separator: Some(b"::".to_vec()), null: Some(b"NULL".to_vec()), ..Reading::default() };
        let record = read(&reading, b"k::v::w").unwrap();
        assert_eq!((text(&record.key), text(&record.value)), (Some("k"), Some("v::w")));
        assert_eq!(read(&reading, b"k::NULL").unwrap().value, None);
        assert!(read(&reading, b"novalue").unwrap_err().contains("\"::\""));
        assert_eq!(text(&read(&Reading::default(), b"k::v").unwrap().value), Some("k::v"));
    }

    #[test]
    fn json_lines_carry_whole_records() {
        let reading = Reading { json: true, headers: vec![("h".to_owned(), None)], ..Reading::default() };
        let line = br#"{"key":"k","value":{"a":1},"timestamp":7,"headers":[{"key":"x","value_base64":"/w=="}]}"#;
        let record = read(&reading, line).unwrap();
        assert_eq!((text(&record.key), text(&record.value)), (Some("k"), Some("{\"a\":1}")));
        assert_eq!(record.timestamp, Some(7));
        assert_eq!(record.headers, [("x".to_owned(), Some(vec![0xff])), ("h".to_owned(), None)]);
        for bad in [&b"[]"[..], b"{", br#"{"headers":1}"#, br#"{"value_base64":"?"}"#] {
            assert!(read(&reading, bad).is_err());
        }
    }
}
