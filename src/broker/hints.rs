//! Recognises peers that speak another protocol, so that the log can say what to change.

/// What the first bytes on a connection look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ForeignProtocol {
    /// A TLS ClientHello (or alert).
    Tls,
    /// An HTTP request.
    Http,
}

impl ForeignProtocol {
    /// Judges by the four bytes where a Kafka client puts the length of its first request.
    pub fn recognise(first: [u8; 4]) -> Option<Self> {
        match &first {
            [0x15 | 0x16, 0x03, 0x00..=0x04, _] => Some(Self::Tls),
            b"GET " | b"POST" | b"PUT " | b"HEAD" | b"OPTI" | b"DELE" | b"PRI " => Some(Self::Http),
            _ => None,
        }
    }

    /// What the operator should look at.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Tls => {
                "the client speaks TLS to a plaintext listener: set its security.protocol to PLAINTEXT, or give it the port of an SSL listener"
            }
            Self::Http => "the client speaks HTTP to a Kafka listener: check the port it was given",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_protocols_are_named_and_kafka_is_not() {
        assert_eq!(ForeignProtocol::recognise(*b"GET "), Some(ForeignProtocol::Http));
        assert_eq!(ForeignProtocol::recognise([0x16, 0x03, 0x01, 0x02]), Some(ForeignProtocol::Tls));
        assert_eq!(ForeignProtocol::recognise(369_295_616_i32.to_be_bytes()), Some(ForeignProtocol::Tls));
        assert_eq!(ForeignProtocol::recognise(35_i32.to_be_bytes()), None);
        assert_eq!(ForeignProtocol::recognise((-1_i32).to_be_bytes()), None);
    }
}
