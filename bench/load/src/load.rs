//! The event loop of all clients.

use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{bail, ensure, Context, Result};
use mio::{Events, Poll, Token};

use crate::client::{Client, Common, Received};

/// The maximum number of clients that connect at the same time. If there are more than
/// the server's backlog holds, the others have to wait for a second.
const MAX_CONNECTING: usize = 100;

/// The maximum number of bytes per read.
const READ: usize = 256 * 1024;

/// How long the server may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// All clients.
pub(crate) struct Load {
    common: Rc<Common>,
    poll: Poll,
    events: Events,
    pub(crate) clients: Vec<Client>,
    buffer: Vec<u8>,
    received: Vec<Received>,
}

impl Load {
    pub(crate) fn new(common: Common) -> Result<Self> {
        Ok(Self {
            common: Rc::new(common),
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            clients: Vec::new(),
            buffer: vec![0; READ],
            received: Vec::new(),
        })
    }

    /// Adds a client, which starts to connect.
    pub(crate) fn add(&mut self) -> Result<()> {
        let token = Token(self.clients.len());
        let client = Client::connect(&self.common, self.poll.registry(), token)?;
        self.clients.push(client);
        Ok(())
    }

    /// Replaces a client with a new one, which starts to connect.
    pub(crate) fn replace(&mut self, index: usize) -> Result<()> {
        self.clients[index] = Client::connect(&self.common, self.poll.registry(), Token(index))?;
        Ok(())
    }

    /// Drops every second client, which resets its connection.
    pub(crate) fn drop_every_second(&mut self) -> Result<()> {
        let mut is_kept = false;
        self.clients.retain(|_| {
            is_kept = !is_kept;
            is_kept
        });
        for (index, client) in self.clients.iter_mut().enumerate() {
            client.set_token(self.poll.registry(), Token(index))?;
        }
        Ok(())
    }

    /// Opens `count` clients.
    pub(crate) fn open(&mut self, count: usize) -> Result<()> {
        let first = self.clients.len();
        let mut opened = 0;
        while opened < count {
            let waiting = self.clients.len() - first - opened;
            let missing = count - (self.clients.len() - first);
            for _ in 0..missing.min(MAX_CONNECTING - waiting) {
                self.add()?;
            }
            self.turn(|_, _, what| {
                ensure!(!matches!(what, Received::Closed), "a connection was closed");
                opened += usize::from(matches!(what, Received::Opened));
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Keeps all clients open and idle. Returns only if one receives something.
    pub(crate) fn hold(&mut self) -> Result<()> {
        loop {
            self.poll.poll(&mut self.events, None)?;
            self.handle(&mut |_, _, what| match what {
                Received::Closed => bail!("an idle connection was closed"),
                _ => bail!("an idle connection received a message"),
            })?;
        }
    }

    /// Runs the loop until `deadline`.
    pub(crate) fn turn_until(
        &mut self,
        deadline: Instant,
        mut handle: impl FnMut(&mut Client, usize, Received) -> Result<()>,
    ) -> Result<()> {
        while Instant::now() < deadline {
            self.turn(&mut handle)?;
        }
        Ok(())
    }

    /// Waits for events, and calls `handle` with what clients have received. Then
    /// writes what they have to send.
    pub(crate) fn turn(
        &mut self,
        mut handle: impl FnMut(&mut Client, usize, Received) -> Result<()>,
    ) -> Result<()> {
        self.poll.poll(&mut self.events, Some(PATIENCE))?;
        ensure!(!self.events.is_empty(), "the server is silent");
        self.handle(&mut handle)
    }

    /// Handles the events of one poll.
    fn handle(
        &mut self,
        handle: &mut impl FnMut(&mut Client, usize, Received) -> Result<()>,
    ) -> Result<()> {
        for event in &self.events {
            let Token(index) = event.token();
            let Some(client) = self.clients.get_mut(index) else {
                continue;
            };
            if event.is_readable() {
                (client.read(&mut self.buffer, &mut self.received))
                    .with_context(|| format!("client {index}"))?;
                for what in self.received.drain(..) {
                    handle(client, index, what)?;
                }
            }
            client.write().with_context(|| format!("client {index}"))?;
        }
        Ok(())
    }
}
