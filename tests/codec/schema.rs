//! The schemas obey Kafka's rules for schemas.

use ottla::protocol::{ApiKey, FieldSchema, FieldType};

use crate::codecs::{Codec, Part, all};

fn check(place: &str, fields: &[FieldSchema], codec: &Codec) {
    let tags: Vec<u32> = fields.iter().filter_map(|field| field.tag).collect();
    assert!(tags.is_sorted_by(|one, next| one < next), "{place}: tags {tags:?} must rise");
    for field in fields {
        let place = format!("{place}.{}", field.name);
        assert!(field.versions.0 <= field.versions.1, "{place}");
        assert!(field.tag.is_none() || field.versions.0 >= codec.flexible_from, "{place} is tagged too early");
        assert!(field.name.ends_with("error_code") == (field.field_type == FieldType::ErrorCode), "{place}");
        let mut inner = &field.field_type;
        while let FieldType::Array(element) = inner {
            inner = element;
        }
        if let FieldType::Struct(fields) = inner {
            check(&place, fields, codec);
        }
    }
}

#[test]
fn tags_and_versions_are_in_order() {
    for codec in all() {
        check(codec.name, &codec.fields, &codec);
    }
}

#[test]
fn request_and_response_have_the_same_versions() {
    for key in ApiKey::ALL {
        let parts: Vec<_> = all()
            .into_iter()
            .filter(|codec| codec.part == Part::Request(*key) || codec.part == Part::Response(*key))
            .map(|codec| (codec.versions, codec.flexible_from))
            .collect();
        let expected = key.schema_versions().map(|schema| (schema.versions, schema.flexible_from));
        assert!(parts.iter().all(|part| Some(part) == expected.as_ref()), "{key}: {parts:?}");
        assert_eq!(parts.len(), if expected.is_some() { 2 } else { 0 }, "{key}");
    }
}
