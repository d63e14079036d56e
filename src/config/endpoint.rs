//! `NAME://host:port`, and what can be spoken there.

use std::fmt;

/// What a listener speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecurityProtocol {
    /// Neither encrypted nor authenticated.
    Plaintext,
    /// TLS.
    Ssl,
    /// SASL without encryption.
    SaslPlaintext,
    /// SASL over TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// The protocol with Kafka's name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Plaintext, Self::Ssl, Self::SaslPlaintext, Self::SaslSsl]
            .into_iter()
            .find(|protocol| protocol.name().eq_ignore_ascii_case(name))
    }

    /// Kafka's number.
    pub fn code(self) -> i16 {
        match self {
            Self::Plaintext => 0,
            Self::Ssl => 1,
            Self::SaslPlaintext => 2,
            Self::SaslSsl => 3,
        }
    }

    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }
}

/// `NAME://host:port`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    /// Listener name, in capitals.
    pub name: String,
    /// Host name or address, an IPv6 address without its brackets; empty means every interface.
    pub host: String,
    /// 0 lets the operating system choose.
    pub port: u16,
}

impl Endpoint {
    /// Parses one item of `listeners` or `advertised.listeners`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no listener; one looks like PLAINTEXT://host:9092");
        let (name, address) = text.trim().split_once("://").ok_or_else(wrong)?;
        let (host, port) = split_address(address).ok_or_else(wrong)?;
        if name.is_empty() {
            return Err(wrong());
        }
        Ok(Self { name: name.to_ascii_uppercase(), host, port })
    }

    /// True when it listens on every interface, so that the address says nothing about where to connect.
    pub fn is_wildcard(&self) -> bool {
        matches!(self.host.as_str(), "" | "0.0.0.0" | "::")
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.name, join_address(&self.host, self.port))
    }
}

/// Splits `host:port`, with brackets around an IPv6 address.
pub(super) fn split_address(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.trim().rsplit_once(':')?;
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?,
        None => host,
    };
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | ':' | '%');
    host.chars().all(allowed).then_some(())?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// `host:port`, with brackets around an IPv6 address.
pub fn join_address(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn endpoint(name: &str, host: &str, port: u16) -> Endpoint {
        Endpoint { name: name.to_owned(), host: host.to_owned(), port }
    }

    #[test]
    fn endpoints_are_read_as_kafka_writes_them() {
        let cases = [
            ("PLAINTEXT://:9092", endpoint("PLAINTEXT", "", 9092)),
            ("plaintext://0.0.0.0:0", endpoint("PLAINTEXT", "0.0.0.0", 0)),
            ("EXTERNAL://broker-1.example.org:19092", endpoint("EXTERNAL", "broker-1.example.org", 19092)),
            ("CONTROLLER://[::1]:9093", endpoint("CONTROLLER", "::1", 9093)),
            (" SSL://[fe80::1%eth0]:1 ", endpoint("SSL", "fe80::1%eth0", 1)),
        ];
        for (text, expected) in cases {
            assert_eq!(Endpoint::parse(text).as_ref(), Ok(&expected), "{text}");
        }
        for text in ["", "9092", "host:9092", "://host:1", "PLAINTEXT://host", "PLAINTEXT://host:65536", "P://a b:1"] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_ipv6_endpoint_prints_with_brackets() {
        assert_eq!(endpoint("A", "::1", 1).to_string(), "A://[::1]:1");
    }

    proptest! {
        #[test]
        fn no_text_makes_parsing_panic(text in ".*") {
            let _ = Endpoint::parse(&text);
        }

        #[test]
        fn what_is_printed_is_read_back(name in "[A-Z_]{1,8}", host in "[a-z0-9.-]{0,12}", port: u16) {
            let endpoint = Endpoint { name, host, port };
            prop_assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
        }
    }
}
