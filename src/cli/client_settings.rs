//! Properties files of Kafka's clients, as `--command-config` names them.

use std::fs;

/// Settings in a file: pairs of a key and a value, sorted.
#[derive(Clone, Default, Debug)]
pub(super) struct ClientSettings(Vec<(String, String)>);

impl ClientSettings {
    /// Reads a properties file. The error is a sentence about the file.
    pub(super) fn read(path: &str) -> Result<Self, String> {
        let text = fs::read(path).map_err(|error| format!("cannot read {path}: {error}"))?;
        let properties = java_properties::read(text.as_slice());
        let properties = properties.map_err(|error| format!("{path} is not a properties file: {error}"))?;
        let mut properties: Vec<_> = properties.into_iter().collect();
        properties.sort();
        Ok(Self(properties))
    }

    /// The value of a key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        value(&self.0, key)
    }

    /// All of them.
    pub(super) fn into_pairs(self) -> Vec<(String, String)> {
        self.0
    }

    /// Refuses what commands cannot speak yet, rather than speak something else.
    pub(super) fn refuse_unserved(&self) -> Result<(), String> {
        refuse_unserved(&self.0)
    }
}

/// The value of a key; the last one wins.
pub(super) fn value<'a>(settings: &'a [(String, String)], key: &str) -> Option<&'a str> {
    settings.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

/// See [`ClientSettings::refuse_unserved`].
pub(super) fn refuse_unserved(settings: &[(String, String)]) -> Result<(), String> {
    match value(settings, "security.protocol") {
        None | Some("PLAINTEXT") => Ok(()),
        Some(protocol) => {
            Err(format!("security.protocol={protocol} is not served by Ottla's tools yet; use a PLAINTEXT listener"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_its_settings_and_what_cannot_be_spoken_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("client.properties");
        fs::write(&path, "# a comment\nclient.id = me\nsecurity.protocol=SASL_SSL\n").expect("written");
        let settings = ClientSettings::read(path.to_str().expect("UTF-8")).expect("it is read");
        assert_eq!(settings.get("client.id"), Some("me"));
        assert!(settings.refuse_unserved().unwrap_err().contains("security.protocol=SASL_SSL"));
        assert!(ClientSettings::read("/nowhere/client.properties").unwrap_err().starts_with("cannot read /nowhere/"));
    }
}
