//! One connection: what JavaScript and the task of the connection do with it.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use oxws_protocol::{BufferPool, Encoder};

use super::out::{Compression, Held, Out};
use super::outbox::{Deferred, Entry, Flags};
use super::socket::Socket;
use super::traffic::Traffic;

/// What this end does by itself.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    /// Whether it masks what it sends.
    pub(crate) masks: bool,
    /// Whether it answers pings; otherwise JavaScript does.
    pub(crate) answers: bool,
    /// Whether texts become strings of JavaScript, and not their bytes.
    pub(crate) texts_are_strings: bool,
}

/// One connection.
pub(crate) struct Connection {
    pub(crate) id: u32,
    pub(crate) manner: Manner,
    /// `None` once it is not even written to any more.
    socket: RefCell<Option<Rc<Socket>>>,
    out: RefCell<Out>,
    /// The task that receives, and waits for the socket to take more.
    driver: RefCell<Option<Waker>>,
    /// Whether it stands in the list of those to be flushed.
    pub(crate) dirty: Cell<bool>,
    /// What it sends, while it is in the outbox.
    deferred: Cell<Option<Deferred>>,
    /// Whether this direction of the socket ends when all is written.
    ending: Cell<bool>,
    /// Whether it has ended.
    has_ended: Cell<bool>,
    /// Whether the connection is let go of when all is written.
    released: Cell<bool>,
    paused: Cell<bool>,
    /// The longest message from now on, in bytes, until the decoder knows it.
    max_payload: Cell<Option<u64>>,
    /// Whether texts have to be UTF-8 from now on, until the decoder knows it.
    validates: Cell<Option<bool>>,
}

impl Connection {
    pub(crate) fn new(
        id: u32,
        socket: Rc<Socket>,
        encoder: Encoder,
        manner: Manner,
        traffic: Traffic,
        buffers: BufferPool,
    ) -> Self {
        Self {
            id,
            manner,
            socket: RefCell::new(Some(socket)),
            out: RefCell::new(Out::new(encoder, traffic, buffers)),
            driver: RefCell::new(None),
            dirty: Cell::new(false),
            deferred: Cell::new(None),
            ending: Cell::new(false),
            has_ended: Cell::new(false),
            released: Cell::new(false),
            paused: Cell::new(false),
            max_payload: Cell::new(None),
            validates: Cell::new(None),
        }
    }

    /// Appends a message or a control frame. A message that is to be compressed on
    /// another thread comes back.
    pub(crate) fn send(&self, flags: Flags, payload: &[u8]) -> Option<Compression> {
        let out = &mut *self.out.borrow_mut();
        if out.must_copy(flags, payload.len()) {
            let payload = payload.to_vec();
            return out.hold(Held { flags, payload });
        }
        out.append(flags, payload);
        None
    }

    /// Whether a message may be written right from the outbox, if it stays alone.
    pub(crate) fn may_defer(&self, entry: &Entry<'_>) -> bool {
        let is_writable = self.socket.borrow().is_some();
        is_writable && (self.out.borrow()).may_send_through(entry.flags, entry.payload.len())
    }

    pub(crate) fn defer(&self, deferred: Deferred) {
        self.deferred.set(Some(deferred));
    }

    pub(crate) fn take_deferred(&self) -> Option<Deferred> {
        self.deferred.take()
    }

    /// Writes a message that was deferred, and that was counted when it set out or not.
    pub(crate) fn send_through(&self, flags: Flags, payload: &[u8], counted: bool) {
        let out = &mut *self.out.borrow_mut();
        if let Some(socket) = self.socket.borrow().as_ref() {
            out.send_through(flags, payload.into(), counted, socket);
            self.look_at(out);
        }
    }

    /// Sends a long message: what the socket takes at once goes from where it is, and
    /// only the rest is copied. It comes back as with [`send`](Self::send).
    pub(crate) fn send_long(&self, flags: Flags, payload: Cow<'_, [u8]>) -> Option<Compression> {
        let out = &mut *self.out.borrow_mut();
        let len = payload.len();
        if out.must_copy(flags, len) {
            let payload = payload.into_owned();
            return out.hold(Held { flags, payload });
        }
        let socket = self.socket.borrow();
        match socket.as_ref() {
            Some(socket) if out.may_send_through(flags, len) => {
                out.send_through(flags, payload, false, socket);
                self.look_at(out);
            }
            _ if flags.raw() || flags.mask() || out.compresses(flags, len) => {
                out.append(flags, &payload);
            }
            _ => out.append_segment(flags, payload),
        }
        None
    }

    /// Has the task look at what the socket does not take.
    fn look_at(&self, out: &Out) {
        if out.is_blocked() || out.error().is_some() {
            self.wake();
        }
    }

    /// Takes back what was compressed elsewhere, and appends what waited for it, up
    /// to the next that has to be compressed elsewhere, which comes back.
    pub(crate) fn end_compression(&self, done: Compression) -> Option<Compression> {
        self.out.borrow_mut().end_compression(done)
    }

    /// Counts no more what was on its way, now that it is appended.
    pub(crate) fn settle(&self, bytes: usize) {
        self.out.borrow_mut().settle(bytes);
    }

    /// Answers a ping.
    pub(crate) fn answer(&self, payload: &[u8]) {
        if !self.ending.get() {
            let masks = self.manner.masks;
            self.out.borrow_mut().answer(payload, masks);
        }
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&self) {
        let out = &mut *self.out.borrow_mut();
        if let Some(socket) = self.socket.borrow().as_ref() {
            if !out.is_blocked() {
                self.write(out, socket);
            }
        }
        out.publish();
    }

    fn write(&self, out: &mut Out, socket: &Socket) {
        out.flush(socket);
        self.look_at(out);
        let is_sent = out.is_idle() && !out.has_failed();
        if self.ending.get() && is_sent && !self.has_ended.replace(true) {
            socket.shutdown();
            self.wake();
        }
    }

    /// Writes on when the socket takes more; pending while something waits for that.
    pub(crate) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<()> {
        while self.out.borrow().is_blocked() {
            match self.socket.borrow().as_ref() {
                None => return Poll::Ready(()),
                Some(socket) => {
                    if socket.poll_writable(context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
            self.out.borrow_mut().unblock(self.manner.masks);
            self.flush();
        }
        Poll::Ready(())
    }

    /// Ends this direction of the socket when all that is framed is written; what is not,
    /// is dropped.
    pub(crate) fn end(&self) {
        self.out.borrow_mut().end();
        self.finish();
    }

    /// Ends this direction of the socket when all is written.
    fn finish(&self) {
        if !self.ending.replace(true) {
            self.flush();
        }
    }

    /// Lets go of the connection when all is written.
    pub(crate) fn release(&self) {
        self.released.set(true);
        self.finish();
        self.wake();
    }

    /// Lets go of the connection now.
    pub(crate) fn destroy(&self) {
        self.released.set(true);
        self.out.borrow_mut().fail(None);
        // Node's descriptor tells the other end.
        self.socket.replace(None);
        self.wake();
    }

    /// Whether it is let go of, so that no event but the last is of interest.
    pub(crate) fn is_released(&self) -> bool {
        self.released.get()
    }

    /// Whether the socket is not even written to any more.
    pub(crate) fn is_destroyed(&self) -> bool {
        self.socket.borrow().is_none()
    }

    /// Whether all that was to be sent is written.
    pub(crate) fn is_idle(&self) -> bool {
        self.out.borrow().is_idle()
    }

    /// The system's error number of writing that failed.
    pub(crate) fn write_error(&self) -> Option<i32> {
        self.out.borrow().error()
    }

    /// Whether this direction of the socket has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.get()
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.get()
    }

    /// Stops receiving, or goes on.
    pub(crate) fn set_paused(&self, paused: bool) {
        // Also when it stops: the task then watches for the end.
        if self.paused.replace(paused) != paused {
            self.wake();
        }
    }

    /// Sets the longest message, in bytes.
    pub(crate) fn set_max_payload(&self, bytes: u64) {
        self.max_payload.set(Some(bytes));
    }

    /// The longest message that was set and that the decoder does not know yet.
    pub(crate) fn take_max_payload(&self) -> Option<u64> {
        self.max_payload.take()
    }

    /// Sets whether texts have to be UTF-8.
    pub(crate) fn set_validates(&self, validates: bool) {
        self.validates.set(Some(validates));
    }

    /// Whether they have to, if that was set and the decoder does not know it yet.
    pub(crate) fn take_validates(&self) -> Option<bool> {
        self.validates.take()
    }

    /// Remembers the task to wake.
    pub(crate) fn set_driver(&self, context: &Context<'_>) {
        let mut driver = self.driver.borrow_mut();
        match driver.as_mut() {
            Some(waker) => waker.clone_from(context.waker()),
            None => *driver = Some(context.waker().clone()),
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.driver.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// The number of messages that are sent, and that was not told yet.
    pub(crate) fn take_acked(&self) -> u32 {
        self.out.borrow_mut().take_acked()
    }

    /// Whether there are some.
    pub(crate) fn has_news(&self) -> bool {
        self.out.borrow().has_news()
    }
}
