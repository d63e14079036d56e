//! Opens the listeners' sockets, before anything else of a node starts: a port that is taken is told at once.

use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{Endpoint, HttpConfig, Listener, join_address};

/// Scrapes and probes come one at a time.
const HTTP_BACKLOG: i32 = 64;

/// An address that cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {endpoint}: {source}{}", hint(key, .source))]
pub struct BindError {
    key: &'static str,
    endpoint: String,
    source: io::Error,
}

fn hint(key: &str, source: &io::Error) -> String {
    match source.kind() {
        io::ErrorKind::AddrInUse => format!("; is a broker running already? Otherwise choose another port in {key}"),
        io::ErrorKind::AddrNotAvailable => format!("; {key} must name addresses of this machine"),
        io::ErrorKind::PermissionDenied => "; ports below 1024 need a privilege".to_owned(),
        _ => String::new(),
    }
}

/// A listener that accepts connections.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) listener: Listener,
    pub(super) socket: TcpListener,
    pub(super) address: SocketAddr,
}

impl Bound {
    /// The host others are told. Where nothing says it, the machine's own name.
    pub(super) fn advertised_host(&self) -> String {
        self.listener.advertised_host.clone().unwrap_or_else(host_name)
    }

    /// The port others are told.
    pub(super) fn advertised_port(&self) -> u16 {
        self.listener.advertised_port.unwrap_or(self.address.port())
    }

    /// A host at which this process reaches the listener itself.
    pub(super) fn reachable_host(&self) -> String {
        let ip = self.address.ip();
        if ip.is_unspecified() { "127.0.0.1".to_owned() } else { ip.to_string() }
    }

    /// `NAME://host:port` as others are told.
    pub(super) fn advertised(&self) -> String {
        let address = join_address(&self.advertised_host(), self.advertised_port());
        format!("{}://{address}", self.listener.endpoint.name)
    }
}

/// How sockets are opened.
#[derive(Clone, Debug, Default)]
pub(super) struct SocketOptions {
    /// `socket.listen.backlog.size`.
    pub(super) backlog: i32,
    /// `socket.receive.buffer.bytes`; `None` leaves it to the operating system.
    pub(super) receive_buffer_bytes: Option<usize>,
    /// `socket.send.buffer.bytes`; `None` leaves it to the operating system.
    pub(super) send_buffer_bytes: Option<usize>,
}

/// Opens one listener's socket.
pub(super) fn bind(listener: &Listener, options: &SocketOptions) -> Result<Bound, BindError> {
    let failed = |source| BindError { key: "listeners", endpoint: listener.endpoint.to_string(), source };
    let socket = open(&listener.endpoint, options).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    Ok(Bound { listener: listener.clone(), socket, address })
}

/// Opens the socket for health and metrics.
pub(super) fn bind_http(http: &HttpConfig) -> Result<TcpListener, BindError> {
    let endpoint = Endpoint { name: "HTTP".to_owned(), host: http.host.clone(), port: http.port };
    let options = SocketOptions { backlog: HTTP_BACKLOG, ..SocketOptions::default() };
    open(&endpoint, &options).map_err(|source| BindError {
        key: "ottla.http.listener",
        endpoint: endpoint.to_string(),
        source,
    })
}

fn open(endpoint: &Endpoint, options: &SocketOptions) -> io::Result<TcpListener> {
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the name has no address");
    for address in addresses(endpoint)? {
        match listen(address, options) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Every interface in both families where there is IPv6; for a name, its IPv4 addresses first, because that is
/// what `localhost` means to most clients.
fn addresses(endpoint: &Endpoint) -> io::Result<Vec<SocketAddr>> {
    let port = endpoint.port;
    if endpoint.host.is_empty() {
        return Ok(vec![SocketAddr::from(([0_u16; 8], port)), SocketAddr::from(([0_u8; 4], port))]);
    }
    let mut addresses: Vec<_> = (endpoint.host.as_str(), port).to_socket_addrs()?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    Ok(addresses)
}

fn listen(address: SocketAddr, options: &SocketOptions) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Accepted sockets inherit the sizes; they must be known before the first handshake.
    options.receive_buffer_bytes.map_or(Ok(()), |bytes| socket.set_recv_buffer_size(bytes))?;
    options.send_buffer_bytes.map_or(Ok(()), |bytes| socket.set_send_buffer_size(bytes))?;
    socket.bind(&address.into())?;
    socket.listen(options.backlog)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SecurityProtocol;

    fn listener(host: &str, port: u16) -> Listener {
        Listener {
            endpoint: Endpoint { name: "PLAINTEXT".to_owned(), host: host.to_owned(), port },
            protocol: SecurityProtocol::Plaintext,
            advertised_host: Some("broker".to_owned()),
            advertised_port: None,
        }
    }

    #[test]
    fn port_0_is_advertised_as_what_was_bound() {
        let bound = bind(&listener("127.0.0.1", 0), &SocketOptions::default()).expect("a free port");
        assert_eq!(bound.advertised(), format!("PLAINTEXT://broker:{}", bound.address.port()));
        assert_ne!(bound.address.port(), 0);
    }

    #[test]
    fn a_port_that_is_taken_is_named() {
        let first = bind(&listener("127.0.0.1", 0), &SocketOptions::default()).expect("a free port");
        let error = bind(&listener("127.0.0.1", first.address.port()), &SocketOptions::default()).unwrap_err();
        assert!(
            error.to_string().starts_with(&format!("cannot listen on PLAINTEXT://127.0.0.1:{}", first.address.port()))
        );
        assert!(error.to_string().contains("is a broker running already?"), "{error}");
    }

    #[test]
    fn an_empty_host_is_every_interface() {
        let bound = bind(&listener("", 0), &SocketOptions::default()).expect("a free port");
        assert!(bound.address.ip().is_unspecified());
    }
}
