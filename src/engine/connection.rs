//! One connection: the state that JavaScript's commands and the connection's task share.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use oxws_protocol::{BufferPool, Encoder};

use super::batch::Batch;
use super::outbox::{Chain, Content, Entry, Flags, Links, Outbox};
use super::socket::Socket;
use super::traffic::Traffic;
use super::write_queue::{Compression, Held, HeldContent, WriteQueue};

/// The options of a connection.
#[derive(Clone, Copy)]
pub(crate) struct ConnectionOptions {
    /// Whether automatic pongs are masked.
    pub(crate) masks: bool,
    /// Whether pings are answered automatically. Otherwise JavaScript answers them.
    pub(crate) answers: bool,
    /// Whether JavaScript takes texts as strings. Otherwise it takes their bytes.
    pub(crate) texts_are_strings: bool,
}

/// The sending direction of a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sending {
    Open,
    /// It ends when everything is written.
    Ending,
    Ended,
    /// It has ended, and JavaScript knows.
    Reported,
}

pub(crate) struct Connection {
    pub(crate) id: u32,
    pub(crate) options: ConnectionOptions,
    /// `None` once the connection is destroyed.
    socket: RefCell<Option<Rc<Socket>>>,
    queue: RefCell<WriteQueue>,
    /// Wakes the task, which reads, and waits for the socket to become writable.
    driver: RefCell<Option<Waker>>,
    /// Set while the connection is queued in `Exchange::dirty`.
    pub(crate) dirty: Cell<bool>,
    /// Messages in the outbox that are written directly from there.
    deferred: Cell<Option<Chain>>,
    sending: Cell<Sending>,
    /// Whether the connection is released when everything is written.
    released: Cell<bool>,
    paused: Cell<bool>,
    /// A new maximum length of messages, in bytes, until the task passes it to the decoder.
    max_payload: Cell<Option<u64>>,
    /// Whether texts and close reasons have to be UTF-8 from now on, until the task
    /// passes it to the decoder.
    validates: Cell<Option<bool>>,
}

impl Connection {
    pub(crate) fn new(
        id: u32,
        socket: Rc<Socket>,
        encoder: Encoder,
        options: ConnectionOptions,
        traffic: Traffic,
        buffers: BufferPool,
    ) -> Self {
        Self {
            id,
            options,
            socket: RefCell::new(Some(socket)),
            queue: RefCell::new(WriteQueue::new(encoder, traffic, buffers)),
            driver: RefCell::new(None),
            dirty: Cell::new(false),
            deferred: Cell::new(None),
            sending: Cell::new(Sending::Open),
            released: Cell::new(false),
            paused: Cell::new(false),
            max_payload: Cell::new(None),
            validates: Cell::new(None),
        }
    }

    /// Sends the response that ends the handshake, if there is one.
    pub(crate) fn open(&self, response: &[u8]) {
        if let Some(socket) = self.socket.borrow().as_ref() {
            if !response.is_empty() {
                let queue = &mut *self.queue.borrow_mut();
                queue.write_response(response, socket);
                queue.publish();
            }
        }
    }

    /// Appends a message or control frame. Returns it if it has to be compressed on
    /// another thread.
    pub(crate) fn send(&self, flags: Flags, content: Content<'_>) -> Option<Compression> {
        let queue = &mut *self.queue.borrow_mut();
        if queue.must_hold(flags, content) {
            return queue.hold(Held::of(flags, content));
        }
        queue.append(flags, content);
        None
    }

    /// Returns whether a message may be written directly from the outbox.
    pub(crate) fn may_defer(&self, entry: &Entry<'_>) -> bool {
        let is_writable = self.socket.borrow().is_some();
        is_writable && (self.queue.borrow()).may_write_directly(entry.flags, entry.content)
    }

    /// Has a message in the outbox written directly from there, after those before it.
    pub(crate) fn defer(&self, row: usize, links: &mut Links) {
        self.deferred.set(Some(links.add(self.deferred.get(), row)));
    }

    pub(crate) fn take_deferred(&self) -> Option<Chain> {
        self.deferred.take()
    }

    /// Writes deferred messages.
    pub(crate) fn write_deferred(
        &self,
        chain: Chain,
        links: &Links,
        outbox: Outbox<'_>,
        batch: &mut Batch,
    ) {
        let queue = &mut *self.queue.borrow_mut();
        if let Some(socket) = self.socket.borrow().as_ref() {
            let entries = links.entries(chain, outbox);
            queue.write_batch(entries, outbox.bytes, batch, socket);
            self.wake_if_blocked(queue);
        }
    }

    /// Sends a long message. Only what the socket does not take at once is copied.
    /// Returns the message if it has to be compressed on another thread.
    pub(crate) fn send_long(&self, flags: Flags, payload: Cow<'_, [u8]>) -> Option<Compression> {
        let queue = &mut *self.queue.borrow_mut();
        let content = Content::Payload(&payload);
        if queue.must_hold(flags, content) {
            let content = HeldContent::Payload(payload.into_owned());
            return queue.hold(Held { flags, content });
        }
        if flags.raw() || flags.mask() || queue.compresses(flags, payload.len()) {
            queue.append(flags, content);
            return None;
        }
        let socket = self.socket.borrow();
        match socket.as_ref() {
            Some(socket) if queue.may_write_directly(flags, content) => {
                queue.write_directly(flags, payload, socket);
                self.wake_if_blocked(queue);
            }
            _ => queue.append_segment(flags, payload),
        }
        None
    }

    /// Wakes the task if the socket takes no more for now, or has failed.
    fn wake_if_blocked(&self, queue: &WriteQueue) {
        if queue.is_blocked() || queue.error().is_some() {
            self.wake();
        }
    }

    /// Takes the encoder and the frame of a finished compression, and appends what waited
    /// for it. Returns the next message that has to be compressed on another thread.
    pub(crate) fn end_compression(&self, done: Compression) -> Option<Compression> {
        self.queue.borrow_mut().end_compression(done)
    }

    /// Counts posted bytes as arrived, so that they are not counted twice.
    pub(crate) fn count_arrived(&self, bytes: usize) {
        self.queue.borrow_mut().count_arrived(bytes);
    }

    /// Answers a ping, unless the sending direction of the socket is ending.
    pub(crate) fn answer(&self, payload: &[u8]) {
        if self.sending.get() == Sending::Open {
            let masks = self.options.masks;
            self.queue.borrow_mut().answer(payload, masks);
        }
    }

    /// Writes as much as the socket takes.
    pub(crate) fn flush(&self) {
        let queue = &mut *self.queue.borrow_mut();
        if let Some(socket) = self.socket.borrow().as_ref() {
            if !queue.is_blocked() {
                self.write(queue, socket);
            }
        }
        queue.publish();
    }

    fn write(&self, queue: &mut WriteQueue, socket: &Socket) {
        queue.flush(socket);
        self.wake_if_blocked(queue);
        let is_sent = queue.is_idle() && !queue.has_failed();
        if is_sent && self.sending.get() == Sending::Ending {
            self.sending.set(Sending::Ended);
            socket.shutdown();
            self.wake();
        }
    }

    /// Writes more when the socket becomes writable. Returns `Pending` while something
    /// waits for that.
    pub(crate) fn poll_flush(&self, context: &mut Context<'_>) -> Poll<()> {
        while self.queue.borrow().is_blocked() {
            match self.socket.borrow().as_ref() {
                None => return Poll::Ready(()),
                Some(socket) => {
                    if socket.poll_writable(context).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
            self.queue.borrow_mut().unblock(self.options.masks);
            self.flush();
        }
        Poll::Ready(())
    }

    /// Drops what is not yet framed.
    pub(crate) fn drop_unframed(&self) {
        self.queue.borrow_mut().end();
    }

    /// Ends the sending direction of the socket when all frames are written. What is
    /// not yet framed is dropped.
    pub(crate) fn end(&self) {
        self.drop_unframed();
        self.finish();
    }

    /// Ends the sending direction of the socket when everything is written.
    fn finish(&self) {
        if self.sending.get() == Sending::Open {
            self.sending.set(Sending::Ending);
            self.flush();
        }
    }

    /// Releases the connection when everything is written.
    pub(crate) fn release(&self) {
        self.released.set(true);
        self.finish();
        self.wake();
    }

    /// Releases the connection at once.
    pub(crate) fn destroy(&self) {
        self.released.set(true);
        self.queue.borrow_mut().fail(None);
        // The peer notices when Node closes its own descriptor.
        self.socket.replace(None);
        self.wake();
    }

    /// Returns whether the connection is to be released. Only its last event is
    /// then reported.
    pub(crate) fn is_released(&self) -> bool {
        self.released.get()
    }

    /// Returns whether the connection is destroyed.
    pub(crate) fn is_destroyed(&self) -> bool {
        self.socket.borrow().is_none()
    }

    /// Returns whether everything has been written.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.borrow().is_idle()
    }

    /// Returns the system's error number if a write failed.
    pub(crate) fn write_error(&self) -> Option<i32> {
        self.queue.borrow().error()
    }

    /// Returns whether the sending direction of the socket has ended and JavaScript does
    /// not know yet.
    pub(crate) fn has_end_to_report(&self) -> bool {
        self.sending.get() == Sending::Ended
    }

    pub(crate) fn note_end_reported(&self) {
        self.sending.set(Sending::Reported);
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused.get()
    }

    /// Pauses or resumes receiving.
    pub(crate) fn set_paused(&self, paused: bool) {
        // Pausing also wakes the task, so that it watches for the end of the connection.
        if self.paused.replace(paused) != paused {
            self.wake();
        }
    }

    /// Sets the maximum length of a message, in bytes.
    pub(crate) fn set_max_payload(&self, bytes: u64) {
        self.max_payload.set(Some(bytes));
    }

    /// Takes the new maximum length, if there is one for the decoder.
    pub(crate) fn take_max_payload(&self) -> Option<u64> {
        self.max_payload.take()
    }

    /// Sets whether texts and close reasons have to be UTF-8.
    pub(crate) fn set_validates(&self, validates: bool) {
        self.validates.set(Some(validates));
    }

    /// Takes the new value, if there is one for the decoder.
    pub(crate) fn take_validates(&self) -> Option<bool> {
        self.validates.take()
    }

    /// Sets the task to wake.
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

    /// Takes the number of messages that have been sent but not reported.
    pub(crate) fn take_acked(&self) -> u32 {
        self.queue.borrow_mut().take_acked()
    }

    /// Returns whether messages have been sent but not reported.
    pub(crate) fn has_acked(&self) -> bool {
        self.queue.borrow().has_acked()
    }
}
