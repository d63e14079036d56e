//! What a node says on standard output once it serves: where to connect, where its data lies, what was configured
//! from where. Everything else goes to the log.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::config::{Origin, ServerConfig, StaticConfig};

/// What the banner shows that the configuration does not know.
pub(super) struct Facts<'a> {
    /// `NAME://host:port` as clients are told, port 0 resolved.
    pub(super) listeners: Vec<String>,
    /// Where the controller listens, if there is one here.
    pub(super) controller: Option<String>,
    /// `host:port` of the HTTP listener, if there is one.
    pub(super) http: Option<String>,
    /// The data directories, as absolute paths.
    pub(super) directories: Vec<&'a Path>,
    /// The cluster.
    pub(super) cluster_id: &'a str,
}

/// The banner, several lines.
pub(super) fn banner(config: &ServerConfig, facts: &Facts<'_>) -> String {
    let roles = match (config.node.roles.broker, config.node.roles.controller) {
        (true, true) => "broker and controller",
        (true, false) => "broker",
        _ => "controller",
    };
    let mut text = format!("Ottla {} is ready\n", env!("CARGO_PKG_VERSION"));
    let mut line = |label: &str, value: &str| _ = writeln!(text, "  {label:<11}{value}");
    for listener in &facts.listeners {
        line("clients", listener);
    }
    if let Some(controller) = &facts.controller {
        line("controller", controller);
    }
    if let Some(http) = &facts.http {
        line("http", &format!("http://{http} (/healthz, /readyz, /metrics)"));
    }
    let directories: Vec<String> = facts.directories.iter().map(|path| path.display().to_string()).collect();
    line("data", &directories.join(", "));
    line("node", &format!("{} ({roles}) of cluster {}", config.node.node_id, facts.cluster_id));
    line("configured", &configured_from(&config.start));
    text
}

/// Which keys come from where, in the order of the sources.
fn configured_from(start: &StaticConfig) -> String {
    let mut by_source: BTreeMap<(u8, String), Vec<&str>> = BTreeMap::new();
    for (name, setting) in start.settings() {
        let source = match &setting.origin {
            origin @ Origin::Image => (0, origin.to_string()),
            Origin::File { path, .. } => (1, path.display().to_string()),
            Origin::Environment { .. } => (2, "environment".to_owned()),
            origin @ Origin::Override => (3, origin.to_string()),
            origin @ Origin::ClusterSize => (4, origin.to_string()),
        };
        by_source.entry(source).or_default().push(name);
    }
    if by_source.is_empty() {
        return "nothing; the defaults hold".to_owned();
    }
    let sources: Vec<String> =
        by_source.into_iter().map(|((_, source), names)| format!("{source}: {}", names.join(", "))).collect();
    sources.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Loaded;

    #[test]
    fn the_banner_says_where_everything_is() {
        let start = StaticConfig::from_overrides(&[("node.id", "4"), ("log.dirs", "/data")]);
        let config = ServerConfig::resolve(Loaded { config: start, warnings: Vec::new() }).expect("it resolves");
        let facts = Facts {
            listeners: vec!["PLAINTEXT://localhost:9092".to_owned()],
            controller: None,
            http: None,
            directories: vec![Path::new("/data")],
            cluster_id: "abc",
        };
        let expected = format!(
            "Ottla {} is ready\n  clients    PLAINTEXT://localhost:9092\n  data       /data\n  \
             node       4 (broker and controller) of cluster abc\n  configured --override: log.dirs, node.id\n",
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(banner(&config, &facts), expected);
    }

    #[test]
    fn nothing_configured_is_said_too() {
        assert_eq!(configured_from(&StaticConfig::default()), "nothing; the defaults hold");
    }
}
