//! Sockets, with or without TLS.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
};
use socket2::SockRef;

/// What a socket waits for.
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

/// Reads the files of a server's private key and certificate.
pub(crate) fn credentials(key: &str, certificate: &str) -> Result<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .with_context(|| format!("no certificate in {certificate}"))?;
    let key =
        PrivateKeyDer::from_pem_file(key).with_context(|| format!("no private key in {key}"))?;
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// A socket, plain or with TLS.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
    TlsServer(Box<StreamOwned<ServerConnection, TcpStream>>),
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

    /// Takes a socket that a server has accepted. `tls` is `None` for a plain one.
    pub(crate) fn accepted(
        mut socket: TcpStream,
        tls: Option<&Arc<ServerConfig>>,
        registry: &Registry,
        token: Token,
    ) -> Result<Self> {
        socket.set_nodelay(true)?;
        registry.register(&mut socket, token, INTEREST)?;
        Ok(match tls {
            None => Self::Plain(socket),
            Some(config) => {
                let session = ServerConnection::new(config.clone())?;
                Self::TlsServer(Box::new(StreamOwned::new(session, socket)))
            }
        })
    }

    /// Whether a read that does not fill the buffer has emptied the socket.
    pub(crate) fn fills_buffers(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Changes the token of its events.
    pub(crate) fn set_token(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let socket = match self {
            Self::Plain(socket) => socket,
            Self::Tls(stream) => &mut stream.sock,
            Self::TlsServer(stream) => &mut stream.sock,
        };
        registry.reregister(socket, token, INTEREST)
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
            Self::TlsServer(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
            Self::TlsServer(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(socket) => socket.flush(),
            Self::Tls(stream) => stream.flush(),
            Self::TlsServer(stream) => stream.flush(),
        }
    }
}
