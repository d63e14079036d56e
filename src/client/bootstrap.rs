//! The list of brokers that a client starts from: `host:port,host:port`.

use std::fmt;
use std::str::FromStr;

/// Kafka's port, taken where a server is named without one.
pub const DEFAULT_PORT: u16 = 9092;

/// The brokers to ask first, each as `host:port`; at least one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BootstrapServers(Vec<String>);

/// A list of servers that cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidBootstrap {
    /// Nothing between the commas.
    #[error("no server is named; write host:port, several with commas")]
    Empty,
    /// Not `host:port`.
    #[error("{0:?} is not host:port; write for example localhost:9092, and an IPv6 address as [::1]:9092")]
    NotHostPort(String),
    /// A listener's address with its protocol in front.
    #[error("{0:?} names a protocol; a bootstrap server is only host:port")]
    NamesProtocol(String),
}

impl BootstrapServers {
    /// The servers in the order they were given, each as `host:port`.
    pub fn addresses(&self) -> &[String] {
        &self.0
    }
}

impl FromStr for BootstrapServers {
    type Err = InvalidBootstrap;

    fn from_str(list: &str) -> Result<Self, InvalidBootstrap> {
        let named = list.split(',').map(str::trim).filter(|server| !server.is_empty());
        let servers = named.map(host_port).collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() { Err(InvalidBootstrap::Empty) } else { Ok(Self(servers)) }
    }
}

impl fmt::Display for BootstrapServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

/// `host:port`, the port being Kafka's where none is given. IPv6 addresses stand in brackets.
fn host_port(server: &str) -> Result<String, InvalidBootstrap> {
    let invalid = || InvalidBootstrap::NotHostPort(server.to_owned());
    if server.contains("://") {
        return Err(InvalidBootstrap::NamesProtocol(server.to_owned()));
    }
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse::<u16>().map_err(|_| invalid())?),
        _ => (server, DEFAULT_PORT),
    };
    let bracketed = host.starts_with('[') && host.ends_with(']') && host.len() > 2;
    let plain = !host.is_empty() && !host.contains([':', '[', ']', ' ', '/']);
    if port != 0 && (bracketed || plain) { Ok(format!("{host}:{port}")) } else { Err(invalid()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(list: &str) -> Result<String, InvalidBootstrap> {
        list.parse::<BootstrapServers>().map(|servers| servers.to_string())
    }

    #[test]
    fn ports_default_to_kafkas_and_order_is_kept() {
        assert_eq!(parse("b").as_deref(), Ok("b:9092"));
        assert_eq!(parse(" b:1, a ,[::1],[::1]:7,").as_deref(), Ok("b:1,a:9092,[::1]:9092,[::1]:7"));
    }

    #[test]
    fn what_is_no_server_is_refused() {
        assert_eq!(parse(" , "), Err(InvalidBootstrap::Empty));
        assert_eq!(parse("PLAINTEXT://b:1"), Err(InvalidBootstrap::NamesProtocol("PLAINTEXT://b:1".to_owned())));
        for bad in ["b:", "b:x", "b:70000", "b:0", ":9092", "::1", "a b:1", "[]:1"] {
            assert_eq!(parse(bad), Err(InvalidBootstrap::NotHostPort(bad.to_owned())), "{bad}");
        }
    }
}
