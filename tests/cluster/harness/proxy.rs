//! A network between nodes that can be cut: a port that passes on what comes to another, or nothing.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Passes connections on to one address until it is cut. Ends with this value.
pub struct Proxy {
    address: SocketAddr,
    network: Arc<Mutex<Network>>,
}

#[derive(Default)]
struct Network {
    cut: bool,
    ended: bool,
    open: Vec<TcpStream>,
}

impl Proxy {
    /// A port of its own in front of `target`, `host:port`, where nobody needs to listen yet.
    pub fn to(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let network = Arc::new(Mutex::new(Network::default()));
        let (target, passing) = (target.to_owned(), Arc::clone(&network));
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if passing.lock().expect("no panic").ended {
                    return;
                }
                // Whoever cannot be reached is as good as gone.
                let _ = pass(client, &target, &passing);
            }
        });
        Self { address, network }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends all connections, and every one to come at once.
    pub fn cut(&self) {
        let mut network = self.network.lock().expect("no panic");
        network.cut = true;
        for stream in network.open.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Passes on again.
    pub fn heal(&self) {
        self.network.lock().expect("no panic").cut = false;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.network.lock().expect("no panic").ended = true;
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn pass(client: TcpStream, target: &str, network: &Mutex<Network>) -> io::Result<()> {
    let mut network = network.lock().expect("no panic");
    if network.cut {
        return Ok(());
    }
    let server = TcpStream::connect(target)?;
    network.open.extend([client.try_clone()?, server.try_clone()?]);
    for (from, to) in [(client.try_clone()?, server.try_clone()?), (server, client)] {
        thread::spawn(move || copy(from, to));
    }
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
