//! A client's socket, with or without TLS.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use socket2::SockRef;

/// What a client waits for.
const INTEREST: Interest = Interest::READABLE.add(Interest::WRITABLE);

/// The address of the server.
#[derive(Clone)]
pub(crate) struct Address {
    port: u16,
    tls: Option<Arc<ClientConfig>>,
}

impl Address {
    /// Creates the address of a server on this machine. `authority` is the file of the
    /// certificate that signed the server's, if the server uses TLS.
    pub(crate) fn new(port: u16, authority: Option<&str>) -> Result<Self> {
        let tls = match authority {
            None => None,
            Some(file) => {
                let mut roots = RootCertStore::empty();
                let certificate = CertificateDer::from_pem_file(file)
                    .with_context(|| format!("no certificate in {file}"))?;
                roots.add(certificate)?;
                let config = ClientConfig::builder()
                    .with_root_certificates(roots)
                    .with_no_client_auth();
                Some(Arc::new(config))
            }
        };
        Ok(Self { port, tls })
    }
}

/// A socket, plain or with TLS.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Starts to connect.
    pub(crate) fn connect(address: &Address, registry: &Registry, token: Token) -> Result<Self> {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, address.port));
        let mut socket = TcpStream::connect(target)?;
        socket.set_nodelay(true)?;
        // Closing resets the connection, so that the ports of thousands of connections
        // do not stay in the state TIME_WAIT.
        SockRef::from(&socket).set_linger(Some(Duration::ZERO))?;
        registry.register(&mut socket, token, INTEREST)?;
        Ok(match &address.tls {
            None => Self::Plain(socket),
            Some(config) => {
                let name = ServerName::try_from("localhost")?;
                let session = ClientConnection::new(config.clone(), name)?;
                Self::Tls(Box::new(StreamOwned::new(session, socket)))
            }
        })
    }

    /// Changes the token of its events.
    pub(crate) fn set_token(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let socket = match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut stream.sock,
        };
        registry.reregister(socket, token, INTEREST)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
