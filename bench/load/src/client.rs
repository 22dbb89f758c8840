//! One client: it opens a WebSocket, sends the messages of the corpus in order, and
//! checks the replies.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use base64::prelude::{Engine, BASE64_STANDARD};
use flate2::{Decompress, FlushDecompress};
use mio::{Registry, Token};
use sha1::{Digest, Sha1};

use crate::corpus::Corpus;
use crate::frame::{self, Head, MAX_HEAD};
use crate::plan::Deflate;
use crate::stream::{Address, Stream};

/// The key of every opening handshake. Random keys would make no difference.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The GUID that a server appends to the key before it hashes it (RFC 6455, 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What all clients share.
pub(crate) struct Common {
    pub(crate) address: Address,
    pub(crate) corpus: Corpus,
    pub(crate) deflate: Option<Deflate>,
    /// Whether the server sends the messages of the corpus, in order.
    pub(crate) echoes: bool,
}

/// Something that a client has received.
pub(crate) enum Received {
    /// The opening handshake is done.
    Opened,
    /// A message of the corpus, unchanged. `after` is the time since this client sent
    /// it, if it did.
    Echo { after: Option<Duration> },
    /// Another message.
    Message(Vec<u8>),
    /// The connection has been closed, as expected.
    Closed,
}

pub(crate) struct Client {
    common: Rc<Common>,
    stream: Stream,
    is_open: bool,
    /// Bytes to write before the next message.
    urgent: Vec<u8>,
    /// The number of the next message to write.
    next_out: u64,
    /// How many messages are still to be written.
    owed: u64,
    /// How many bytes of the next message have been written.
    part: usize,
    /// When the messages were written that have not come back.
    sent_at: VecDeque<Instant>,
    /// The part of the current frame's head that has arrived.
    head: Vec<u8>,
    frame: Option<Head>,
    /// How many bytes of the current frame's payload have been read.
    offset: usize,
    /// The number of the next message to receive.
    next_in: u64,
    /// A payload that is compared only once it is complete.
    gathered: Vec<u8>,
    inflater: Option<Decompress>,
    /// The number of bytes received.
    pub(crate) wire: u64,
}

impl Client {
    /// Starts to connect.
    pub(crate) fn connect(common: &Rc<Common>, registry: &Registry, token: Token) -> Result<Self> {
        let extension = match common.deflate {
            None => "",
            Some(Deflate::Takeover) => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
            Some(Deflate::NoTakeover) => {
                "Sec-WebSocket-Extensions: permessage-deflate; \
                 server_no_context_takeover; client_no_context_takeover\r\n"
            }
        };
        let request = format!(
            "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Key: {KEY}\r\n\
             Sec-WebSocket-Version: 13\r\n{extension}\r\n"
        );
        Ok(Self {
            common: common.clone(),
            stream: Stream::connect(&common.address, registry, token)?,
            is_open: false,
            urgent: request.into_bytes(),
            next_out: 0,
            owed: 0,
            part: 0,
            sent_at: VecDeque::new(),
            head: Vec::new(),
            frame: None,
            offset: 0,
            next_in: 0,
            gathered: Vec::new(),
            inflater: None,
            wire: 0,
        })
    }

    /// Changes the token of its events.
    pub(crate) fn set_token(&mut self, registry: &Registry, token: Token) -> Result<()> {
        Ok(self.stream.set_token(registry, token)?)
    }

    /// Sends `count` more messages, at the next [`write`](Self::write).
    pub(crate) fn send(&mut self, count: u64) {
        self.owed += count;
    }

    /// Sends a frame before the next message.
    pub(crate) fn send_frame(&mut self, opcode: u8, payload: &[u8]) {
        assert_eq!(self.part, 0, "no message is half written");
        frame::append(&mut self.urgent, opcode, false, Some([1, 2, 3, 4]), payload);
    }

    /// Writes as much as the socket takes.
    pub(crate) fn write(&mut self) -> Result<()> {
        while !self.urgent.is_empty() {
            match self.stream.write(&self.urgent) {
                Ok(written) => drop(self.urgent.drain(..written)),
                Err(error) if is_wait(&error) => return Ok(()),
                Err(error) => return Err(error).context("writing"),
            }
        }
        while self.owed > 0 && self.is_open {
            let common = self.common.clone();
            let (bytes, _) = common.corpus.frames(self.next_out, self.owed);
            match self.stream.write(&bytes[self.part..]) {
                Ok(written) => self.count_written(self.part + written),
                Err(error) if is_wait(&error) => break,
                Err(error) => return Err(error).context("writing"),
            }
        }
        match self.stream.flush() {
            Err(error) if !is_wait(&error) => Err(error).context("writing"),
            _ => Ok(()),
        }
    }

    /// Counts the messages in the first `bytes` bytes, which have been written.
    fn count_written(&mut self, mut bytes: usize) {
        let now = Instant::now();
        loop {
            let len = self.common.corpus.frame_len(self.next_out);
            if bytes < len || self.owed == 0 {
                self.part = bytes;
                return;
            }
            bytes -= len;
            self.next_out += 1;
            self.owed -= 1;
            if self.common.echoes {
                self.sent_at.push_back(now);
            }
        }
    }

    /// Reads what has arrived, into `buffer`, and adds to `received` what it was.
    pub(crate) fn read(&mut self, buffer: &mut [u8], received: &mut Vec<Received>) -> Result<()> {
        loop {
            let count = match self.stream.read(buffer) {
                Ok(0) => {
                    received.push(Received::Closed);
                    return Ok(());
                }
                Ok(count) => count,
                Err(error) if is_wait(&error) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    received.push(Received::Closed);
                    return Ok(());
                }
                Err(error) => return Err(error).context("reading"),
            };
            let now = Instant::now();
            self.wire += count as u64;
            let bytes = &buffer[..count];
            let rest = if self.is_open {
                bytes
            } else {
                self.gathered.extend_from_slice(bytes);
                let Some(end) = self.gathered.windows(4).position(|end| end == b"\r\n\r\n") else {
                    continue;
                };
                self.check_answer(&self.gathered[..end])?;
                self.is_open = true;
                received.push(Received::Opened);
                let after = self.gathered.len() - end - 4;
                self.gathered.clear();
                &bytes[count - after..]
            };
            self.take(rest, now, received)?;
            if count < buffer.len() && self.stream.fills_buffers() {
                return Ok(());
            }
        }
    }

    fn check_answer(&self, answer: &[u8]) -> Result<()> {
        let answer = String::from_utf8_lossy(answer);
        let has = |line: &str| {
            (answer.lines()).any(|each| each.replace(": ", ":").eq_ignore_ascii_case(line))
        };
        let digest = Sha1::digest(format!("{KEY}{GUID}"));
        let accept = format!("Sec-WebSocket-Accept:{}", BASE64_STANDARD.encode(digest));
        ensure!(answer.starts_with("HTTP/1.1 101"), "refused: {answer}");
        ensure!(has(&accept), "the key is wrong: {answer}");
        let has_extension = answer.contains("permessage-deflate");
        ensure!(
            has_extension == self.common.deflate.is_some(),
            "permessage-deflate is not what was asked for: {answer}"
        );
        Ok(())
    }

    /// Decodes bytes of frames.
    fn take(&mut self, mut bytes: &[u8], now: Instant, received: &mut Vec<Received>) -> Result<()> {
        loop {
            let head = match self.frame {
                Some(head) => head,
                None if bytes.is_empty() => return Ok(()),
                None => {
                    let Some(head) = self.take_head(&mut bytes)? else {
                        return Ok(());
                    };
                    self.frame = Some(head);
                    self.offset = 0;
                    head
                }
            };
            let here = bytes.len().min(head.len - self.offset);
            let (payload, rest) = bytes.split_at(here);
            bytes = rest;
            self.take_payload(head, payload)?;
            self.offset += here;
            if self.offset < head.len {
                return Ok(());
            }
            self.frame = None;
            if head.opcode == frame::CLOSE {
                received.push(Received::Closed);
                return Ok(());
            }
            received.push(self.end_message(head, now)?);
        }
    }

    fn take_head(&mut self, bytes: &mut &[u8]) -> Result<Option<Head>> {
        let before = self.head.len();
        let head = if before == 0 {
            Head::parse(bytes)
        } else {
            let more = bytes.len().min(MAX_HEAD - before);
            self.head.extend_from_slice(&bytes[..more]);
            Head::parse(&self.head)
        };
        let Some(head) = head else {
            if before == 0 {
                self.head.extend_from_slice(bytes);
            }
            return Ok(None);
        };
        *bytes = &bytes[head.size - before..];
        self.head.clear();
        ensure!(head.fin, "a message was fragmented");
        ensure!(head.key.is_none(), "a server has masked");
        let is_close = head.opcode == frame::CLOSE;
        ensure!(
            is_close || !self.common.echoes || head.opcode == self.common.corpus.opcode,
            "the opcode is {}",
            head.opcode
        );
        Ok(Some(head))
    }

    fn take_payload(&mut self, head: Head, payload: &[u8]) -> Result<()> {
        if head.opcode == frame::CLOSE {
            return Ok(());
        }
        if head.compressed || !self.common.echoes {
            self.gathered.extend_from_slice(payload);
            return Ok(());
        }
        let expected = self.common.corpus.message(self.next_in);
        let expected = expected.get(self.offset..self.offset + payload.len());
        ensure!(expected == Some(payload), "a message came back changed");
        Ok(())
    }

    fn end_message(&mut self, head: Head, now: Instant) -> Result<Received> {
        if !self.common.echoes {
            return Ok(Received::Message(std::mem::take(&mut self.gathered)));
        }
        let expected = self.common.corpus.message(self.next_in);
        if head.compressed {
            self.gathered.extend_from_slice(&[0, 0, 0xff, 0xff]);
            let inflater = self.inflater.get_or_insert_with(|| Decompress::new(false));
            if self.common.deflate == Some(Deflate::NoTakeover) {
                inflater.reset(false);
            }
            let message = inflate(inflater, &self.gathered, expected.len())?;
            ensure!(message == expected, "a message came back changed");
            self.gathered.clear();
        } else if expected.len() != head.len {
            bail!("a message came back cut");
        }
        self.next_in += 1;
        let after = self.sent_at.pop_front().map(|sent| now - sent);
        Ok(Received::Echo { after })
    }
}

/// Decompresses a message that should be `len` bytes long.
fn inflate(inflater: &mut Decompress, mut input: &[u8], len: usize) -> Result<Vec<u8>> {
    // A larger buffer, so that a message that is too long is noticed.
    let mut out = Vec::with_capacity(len + 1024);
    while !input.is_empty() && out.len() < out.capacity() {
        let before = inflater.total_in();
        inflater.decompress_vec(input, &mut out, FlushDecompress::Sync)?;
        let used = (inflater.total_in() - before) as usize;
        ensure!(used > 0, "a compressed message does not end");
        input = &input[used..];
    }
    Ok(out)
}

fn is_wait(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::NotConnected | ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use flate2::{Compress, Compression, FlushCompress};

    use super::*;

    #[test]
    fn messages_are_inflated_with_the_context_of_those_before() {
        let mut deflater = Compress::new(Compression::default(), false);
        let mut inflater = Decompress::new(false);
        for number in 0..100u32 {
            let message = format!("message {number}, {}", "and more of it, ".repeat(60));
            let mut payload = Vec::with_capacity(4096);
            deflater
                .compress_vec(message.as_bytes(), &mut payload, FlushCompress::Sync)
                .expect("it is compressed");
            let back = inflate(&mut inflater, &payload, message.len()).expect("it is valid");
            assert_eq!(String::from_utf8_lossy(&back), message);
        }
    }
}
