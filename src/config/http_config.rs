//! The node's HTTP port.

use super::endpoint::split_address;
use super::layers::Layers;
use super::static_config::Origin;

/// Where health and metrics are served.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HttpConfig {
    /// An address of this machine, or a name of one.
    pub host: String,
    /// 0 for a free one.
    pub port: u16,
    /// Somebody asked for this very address: the node does not start without it. The default gives way to another
    /// process that has the port.
    pub is_required: bool,
}

impl HttpConfig {
    /// Resolves `ottla.http.listener`; `None` when it is empty.
    pub(super) fn resolve(layers: Layers<'_>, problems: &mut Vec<String>) -> Option<Self> {
        let key = "ottla.http.listener";
        let text = layers.text(key)?;
        let origin = layers.start.origin(key);
        match split_address(&text).filter(|(host, _)| !host.is_empty()) {
            Some((host, port)) => {
                Some(Self { host, port, is_required: origin.is_some_and(|origin| *origin != Origin::Image) })
            }
            None => {
                problems.push(format!(
                    "{}: {text:?} is no address; one looks like 127.0.0.1:9404, and an empty one turns HTTP off",
                    layers.start.named(key)
                ));
                None
            }
        }
    }
}
