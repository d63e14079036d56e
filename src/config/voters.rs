//! How the controllers are named: `id@host:port` for voters, `host:port` for where controllers are found.

use super::endpoint::{join_address, split_address};

/// A voter of the controller quorum.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Voter {
    /// Its `node.id`.
    pub node_id: i32,
    /// Its host.
    pub host: String,
    /// The port of its controller listener.
    pub port: u16,
}

impl Voter {
    /// `host:port`.
    pub fn address(&self) -> String {
        join_address(&self.host, self.port)
    }
}

/// Parses `id@host:port` items.
pub(super) fn parse_voters(items: &[String]) -> Result<Vec<Voter>, String> {
    let mut voters: Vec<Voter> = Vec::new();
    for item in items {
        let parsed = item.split_once('@').and_then(|(id, address)| {
            let node_id = id.trim().parse::<i32>().ok().filter(|id| *id >= 0)?;
            let (host, port) = split_address(address)?;
            Some(Voter { node_id, host, port })
        });
        let voter = parsed.filter(|voter| !voter.host.is_empty() && voter.port != 0);
        let voter = voter.ok_or_else(|| format!("{item:?} is no voter; one looks like 1@host:9093"))?;
        if voters.iter().any(|earlier| earlier.node_id == voter.node_id) {
            return Err(format!("voter {} is there twice", voter.node_id));
        }
        voters.push(voter);
    }
    Ok(voters)
}

/// Parses `host:port` items.
pub(super) fn parse_servers(items: &[String]) -> Result<Vec<(String, u16)>, String> {
    let parse = |item: &String| {
        let server = split_address(item).filter(|(host, port)| !host.is_empty() && *port != 0);
        server.ok_or_else(|| format!("{item:?} is no address; one looks like host:9093"))
    };
    items.iter().map(parse).collect()
}
