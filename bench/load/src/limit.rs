//! A server that does the least possible: it echoes whole messages on one thread, with
//! epoll or its equivalent, and without a runtime or another language. With a key and a
//! certificate it uses TLS.

use std::io::{ErrorKind, Read as _, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{bail, Context, Result};
use base64::prelude::{Engine, BASE64_STANDARD};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;
use sha1::{Digest, Sha1};

use crate::frame::{self, Head};
use crate::stream::Stream;

const LISTENER: Token = Token(usize::MAX);

/// The maximum number of bytes per read.
const READ: usize = 256 * 1024;

/// Prints the server's port, and serves until the process is ended.
pub(crate) fn serve(tls: Option<Arc<ServerConfig>>) -> Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
    let registry = poll.registry().try_clone()?;
    registry.register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("{}", listener.local_addr()?.port());

    let mut events = Events::with_capacity(1024);
    let mut buffer = vec![0; READ];
    let mut peers: Vec<Option<Peer>> = Vec::new();
    let mut free = Vec::new();
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    let place = free.pop().unwrap_or(peers.len());
                    let stream = Stream::accepted(socket, tls.as_ref(), &registry, Token(place))?;
                    peers.resize_with(peers.len().max(place + 1), || None);
                    peers[place] = Some(Peer::new(stream));
                }
                continue;
            }
            let Token(place) = event.token();
            let Some(peer) = &mut peers[place] else {
                continue;
            };
            if !peer.advance(&mut buffer).unwrap_or(false) {
                peers[place] = None;
                free.push(place);
            }
        }
    }
}

/// The result of [`Peer::read`].
enum Read {
    /// There may be more data.
    Some,
    /// There is no more data now.
    All,
    Closed,
}

struct Peer {
    stream: Stream,
    is_upgraded: bool,
    /// Input that is not yet a whole frame.
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
}

impl Peer {
    fn new(stream: Stream) -> Self {
        Self {
            stream,
            is_upgraded: false,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
        }
    }

    /// Answers what has arrived. Returns whether the connection is still open. Does not
    /// read while answers wait to be written.
    fn advance(&mut self, buffer: &mut [u8]) -> Result<bool> {
        loop {
            if !self.write()? {
                return Ok(true);
            }
            match self.read(buffer)? {
                Read::Closed => return Ok(false),
                Read::All => return self.write().map(|_| true),
                Read::Some => {}
            }
        }
    }

    /// Reads once, and adds the answers to the output.
    fn read(&mut self, buffer: &mut [u8]) -> Result<Read> {
        let missing = self.missing();
        // A long message is read directly into the input.
        let is_direct = missing >= buffer.len();
        let before = self.input.len();
        let result = if is_direct {
            self.input.resize(before + missing, 0);
            self.stream.read(&mut self.input[before..])
        } else {
            self.stream.read(buffer)
        };
        let count = result.as_ref().map_or(0, |count| *count);
        if is_direct {
            self.input.truncate(before + count);
        }
        match result {
            Ok(0) => return Ok(Read::Closed),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Read::All),
            Err(error) => return Err(error.into()),
        }
        if self.input.is_empty() && self.is_upgraded {
            let used = answer(&mut buffer[..count], &mut self.output);
            self.input.extend_from_slice(&buffer[used..count]);
        } else {
            if !is_direct {
                self.input.extend_from_slice(&buffer[..count]);
            }
            if !self.is_upgraded {
                self.upgrade()?;
            }
            if !self.answer_in_place() {
                let used = answer(&mut self.input, &mut self.output);
                self.input.drain(..used);
            }
        }
        let room = if is_direct { missing } else { buffer.len() };
        let is_all = count < room && self.stream.fills_buffers();
        Ok(if is_all { Read::All } else { Read::Some })
    }

    /// Returns how many bytes of a partial message are missing.
    fn missing(&self) -> usize {
        Head::parse(&self.input)
            .filter(|_| self.is_upgraded)
            .map_or(0, |head| {
                (head.size + head.len).saturating_sub(self.input.len())
            })
    }

    /// If the input is exactly one message, makes the answer in the input's buffer,
    /// without a copy. The head of the answer fits, because it has no key.
    fn answer_in_place(&mut self) -> bool {
        let Some(head) = Head::parse(&self.input) else {
            return false;
        };
        let is_whole = self.input.len() == head.size + head.len;
        let (Some(key), true, true) = (head.key, is_whole, self.output.is_empty()) else {
            return false;
        };
        frame::xor(&mut self.input[head.size..], key);
        let mut plain = Vec::new();
        frame::append_head(&mut plain, head.opcode, false, None, head.len);
        self.written = head.size - plain.len();
        self.input[self.written..head.size].copy_from_slice(&plain);
        std::mem::swap(&mut self.input, &mut self.output);
        self.input.clear();
        true
    }

    /// Answers the opening handshake, if it has arrived.
    fn upgrade(&mut self) -> Result<()> {
        let Some(end) = self.input.windows(4).position(|end| end == b"\r\n\r\n") else {
            return Ok(());
        };
        let request = String::from_utf8_lossy(&self.input[..end]).into_owned();
        let key = request
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("Sec-WebSocket-Key"))
            .map(|(_, value)| value.trim())
            .context("no key")?;
        let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
        let accept = BASE64_STANDARD.encode(digest);
        write!(
            self.output,
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
        )?;
        self.input.drain(..end + 4);
        self.is_upgraded = true;
        Ok(())
    }

    /// Writes the answers. Returns whether the socket has taken all of them.
    fn write(&mut self) -> Result<bool> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(0) => bail!("the socket takes nothing"),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        self.output.clear();
        self.written = 0;
        // With TLS, some of it may still wait for the socket.
        match self.stream.flush() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            result => Ok(result.map(|()| true)?),
        }
    }
}

/// Answers each whole frame of the input. Returns the length of these frames.
fn answer(input: &mut [u8], output: &mut Vec<u8>) -> usize {
    let mut at = 0;
    while let Some(head) = Head::parse(&input[at..]) {
        let start = at + head.size;
        let Some(payload) = input.get_mut(start..start + head.len) else {
            break;
        };
        if let Some(key) = head.key {
            frame::xor(payload, key);
        }
        frame::append(output, head.opcode, false, None, payload);
        at = start + head.len;
    }
    at
}
