//! Gathers what a node is started with: server.properties, then the environment, then `--override`; the later wins.
//!
//! A wrong value is a problem and the node does not start; an unknown key is a warning that names its neighbour.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use java_properties::{LineContent, PropertiesIter};

use super::cluster_size;
use super::image;
use super::key::ConfigType;
use super::names::{self, Variable};
use super::old_address::OldAddress;
use super::static_config::{Origin, StaticConfig};
use super::table::{broker_key, broker_keys, nearest_name};
use super::update::validate_value;

/// Where to look for configuration.
#[derive(Clone, Default, Debug)]
pub struct Sources {
    /// A properties file.
    pub file: Option<PathBuf>,
    /// Environment variables; only those that start with `KAFKA_`, and `CLUSTER_ID`, count.
    pub environment: Vec<(String, String)>,
    /// `key=value` pairs from the command line.
    pub overrides: Vec<String>,
}

/// Why a node cannot start with what it was given.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The properties file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Everything that is wrong with the configuration, one sentence each.
    #[error("the configuration is wrong:\n  - {}", .0.join("\n  - "))]
    Wrong(Vec<String>),
}

impl ConfigError {
    /// Whoever mends what is wrong wants to know in the same go what is doubtful.
    pub(super) fn wrong(problems: Vec<String>, warnings: &[String]) -> Self {
        let doubtful = warnings.iter().map(|warning| format!("also doubtful: {warning}"));
        Self::Wrong(problems.into_iter().chain(doubtful).collect())
    }
}

/// What was gathered.
#[derive(Clone, Default, Debug)]
pub struct Loaded {
    /// The values.
    pub config: StaticConfig,
    /// What the operator should know, one sentence each.
    pub warnings: Vec<String>,
}

/// Gathers the configuration.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut gathering = Gathering::default();
    let is_image = sources.environment.iter().any(|(name, _)| name == image::VARIABLE);
    let mounted = if is_image && sources.file.is_none() { image::mounted_file() } else { None };
    if let Some(path) = sources.file.as_ref().or(mounted.as_ref()) {
        gathering.file(path)?;
    }
    let mut environment: Vec<_> = sources.environment.iter().collect();
    environment.sort();
    for (variable, value) in environment {
        gathering.variable(variable, value);
    }
    for pair in &sources.overrides {
        gathering.override_pair(pair);
    }
    gathering.translate_old_address();
    if is_image {
        gathering.fill_from_image();
    }
    gathering.fill_from_cluster_size();
    gathering.finish()
}

#[derive(Default)]
struct Gathering {
    loaded: Loaded,
    problems: Vec<String>,
    wrong_values: BTreeMap<String, String>,
    not_needed: Vec<String>,
    old_address: OldAddress,
}

impl Gathering {
    fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        let shared: Arc<Path> = Arc::from(path);
        let mut lines: BTreeMap<String, usize> = BTreeMap::new();
        // Without the line end the parser panics on a file that is nothing but the beginning of a byte order mark.
        let text = io::BufReader::new(file).chain(&b"\n"[..]);
        for line in PropertiesIter::new(text) {
            let line = match line {
                Ok(line) => line,
                Err(error) => {
                    self.problems.push(format!("{}: {error}", path.display()));
                    break;
                }
            };
            let number = line.line_number();
            if let LineContent::KVPair(key, value) = line.consume_content() {
                if let Some(earlier) = lines.insert(key.clone(), number) {
                    self.loaded.warnings.push(format!(
                        "{}: {key} is set in line {earlier} and again in line {number}; the later one counts",
                        path.display()
                    ));
                }
                self.set(&key, &value, Origin::File { path: Arc::clone(&shared), line: number });
            }
        }
        Ok(())
    }

    fn variable(&mut self, variable: &str, value: &str) {
        match names::variable(variable) {
            // Compose files pass on what is not set as an empty text.
            Variable::Key(_) if value.trim().is_empty() => {}
            Variable::Key(key) => {
                let value = self.without_quotes(&key, variable, value);
                self.set(&key, value, Origin::Environment { variable: variable.to_owned() });
            }
            Variable::NotNeeded => self.not_needed.push(variable.to_owned()),
            Variable::Other => {}
        }
    }

    /// A list entry of a compose file, or a line of an env file, keeps the quotes that somebody put around its value.
    fn without_quotes<'v>(&mut self, key: &str, variable: &str, value: &'v str) -> &'v str {
        let trimmed = value.trim();
        let inner = ['"', '\''].iter().find_map(|quote| trimmed.strip_prefix(*quote)?.strip_suffix(*quote));
        let is_secret = broker_key(key).is_some_and(|key| key.config_type == ConfigType::Password);
        match inner {
            Some(inner) if !is_secret => {
                let warning = format!("environment variable {variable}: the quotes around the value are left out");
                self.loaded.warnings.push(warning);
                inner
            }
            _ => value,
        }
    }

    fn override_pair(&mut self, pair: &str) {
        match pair.split_once('=') {
            Some((key, value)) => self.set(key.trim(), value, Origin::Override),
            None => self.problems.push(format!("--override {pair}: expected key=value")),
        }
    }

    fn set(&mut self, name: &str, value: &str, origin: Origin) {
        let Some(key) = broker_key(name) else {
            return self.unknown(name, value, &origin);
        };
        // A wrong value that a later source replaces does no harm.
        self.wrong_values.remove(name);
        match validate_value(key, value) {
            Ok(()) => self.loaded.config.set(name, value, origin),
            Err(error) => _ = self.wrong_values.insert(name.to_owned(), format!("{origin}: {error}")),
        }
    }

    fn unknown(&mut self, name: &str, value: &str, origin: &Origin) {
        if self.old_address.note(name, value, origin) {
            return;
        }
        if names::is_gone(name) {
            return self.not_needed.push(format!("{name} ({origin})"));
        }
        let known_base = names::listener_prefixed(name).filter(|(_, base)| broker_key(base).is_some());
        let what = if let Some(successor) = names::successor(name) {
            format!("{name} is a key of the past and changes nothing; use {successor}")
        } else if let Some((_, base)) = known_base {
            format!("{name} changes nothing: {base} holds for all listeners alike")
        } else {
            let hint = nearest_name(name, broker_keys()).map(|near| format!("; did you mean {near}?"));
            format!("unknown key {name}{}", hint.unwrap_or_default())
        };
        self.loaded.warnings.push(format!("{origin}: {what}"));
    }

    fn translate_old_address(&mut self) {
        for (name, value, origin) in self.old_address.todays(&self.loaded.config) {
            self.loaded.warnings.push(format!("{origin}: a key of the past; it is read as {name}={value}"));
            self.set(name, &value, origin);
        }
    }

    fn fill_from_image(&mut self) {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for (name, value) in image::defaults(&self.loaded.config, &mounts) {
            self.set(name, value, Origin::Image);
        }
    }

    fn fill_from_cluster_size(&mut self) {
        for (name, value) in cluster_size::defaults(&self.loaded.config) {
            self.set(name, value, Origin::ClusterSize);
        }
    }

    fn finish(mut self) -> Result<Loaded, ConfigError> {
        self.problems.extend(self.wrong_values.into_values());
        if !self.problems.is_empty() {
            return Err(ConfigError::wrong(self.problems, &self.loaded.warnings));
        }
        if !self.not_needed.is_empty() {
            self.loaded.warnings.push(format!("not needed here and ignored: {}", self.not_needed.join(", ")));
        }
        Ok(self.loaded)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn load_text(text: &[u8], environment: &[(&str, &str)], overrides: &[&str]) -> Result<Loaded, ConfigError> {
        let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
        file.write_all(text).expect("written");
        load(&Sources {
            file: Some(file.path().to_owned()),
            environment: environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            overrides: overrides.iter().map(|pair| (*pair).to_owned()).collect(),
        })
    }

    #[test]
    fn the_later_source_wins_and_each_value_knows_its_own() {
        let text = b"# comment\nnum.partitions=1\nlog.dirs = /data\nnode.id=7\n";
        let environment = [("KAFKA_NUM_PARTITIONS", "2"), ("KAFKA_NODE_ID", "8")];
        let loaded = load_text(text, &environment, &["num.partitions=3"]).expect("it loads");
        assert_eq!(loaded.config.value("num.partitions"), Some("3"));
        assert_eq!(loaded.config.origin("num.partitions"), Some(&Origin::Override));
        assert_eq!(loaded.config.value("node.id"), Some("8"));
        assert_eq!(loaded.config.origin("node.id").expect("set").to_string(), "environment variable KAFKA_NODE_ID");
        assert_eq!(loaded.config.value("log.dirs"), Some("/data"));
        let origin = loaded.config.origin("log.dirs").expect("set").to_string();
        assert!(origin.ends_with(":3"), "{origin}");
        assert_eq!(loaded.warnings, Vec::<String>::new());
    }

    #[test]
    fn unknown_keys_warn_with_the_nearest_name() {
        let loaded = load_text(b"num.partitons=3\n", &[("KAFKA_NOD_ID", "1")], &[]).expect("it loads");
        assert!(loaded.config.is_empty());
        assert!(loaded.warnings[0].ends_with(":1: unknown key num.partitons; did you mean num.partitions?"));
        assert_eq!(loaded.warnings[1], "environment variable KAFKA_NOD_ID: unknown key nod.id; did you mean node.id?");
    }

    #[test]
    fn zookeeper_and_the_jvm_are_named_once() {
        let text = b"zookeeper.connect=localhost:2181\nbroker.id=4\n";
        let loaded = load_text(text, &[("KAFKA_HEAP_OPTS", "-Xmx1G"), ("KAFKA_OPTS", "")], &[]).expect("it loads");
        assert_eq!(loaded.warnings.len(), 1);
        let warning = &loaded.warnings[0];
        for name in ["not needed here and ignored: ", "zookeeper.connect (", "KAFKA_HEAP_OPTS", "KAFKA_OPTS"] {
            assert!(warning.contains(name), "{warning}");
        }
        assert_eq!(loaded.config.value("broker.id"), Some("4"));
    }

    #[test]
    fn every_wrong_value_is_named_with_its_place() {
        let text = b"num.partitions=x\nremote.log.storage.system.enable=true\nlog.segment.bytes=1\n";
        let error = load_text(text, &[], &["novalue"]).unwrap_err().to_string();
        for part in [":1: invalid value \"x\" for num.partitions", ":2: remote.log", ":3: ", "--override novalue"] {
            assert!(error.contains(part), "{part} in {error}");
        }
    }

    #[test]
    fn what_is_doubtful_is_told_with_what_is_wrong() {
        let error = load_text(b"num.partitons=3\nnode.id=x\n", &[], &[]).unwrap_err().to_string();
        assert!(error.contains("invalid value \"x\" for node.id"), "{error}");
        assert!(error.contains("also doubtful: ") && error.contains("did you mean num.partitions?"), "{error}");
    }

    #[test]
    fn a_key_set_twice_is_a_warning() {
        let loaded = load_text(b"num.partitions=1\nnum.partitions=2\n", &[], &[]).expect("it loads");
        assert_eq!(loaded.config.value("num.partitions"), Some("2"));
        assert!(loaded.warnings[0].contains("line 1 and again in line 2"), "{:?}", loaded.warnings);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let sources = Sources { file: Some("/no/such.properties".into()), ..Sources::default() };
        assert!(load(&sources).unwrap_err().to_string().starts_with("cannot read /no/such.properties: "));
    }

    #[test]
    fn the_beginning_of_a_byte_order_mark_is_no_reason_to_panic() {
        for text in [&b"\xef"[..], b"\xef\xbb", b"\xef\xbb\xbf", b"\xfe", b"\xff"] {
            let _ = load_text(text, &[], &[]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_file_and_no_environment_make_loading_panic(
            text in proptest::collection::vec(any::<u8>(), 0..200),
            variable in "(KAFKA_)?[A-Z_]{0,20}",
            value in ".{0,40}",
            pair in ".{0,40}",
        ) {
            let _ = load_text(&text, &[(&variable, &value)], &[&pair]);
        }
    }
}
