//! The class `Engine`: listeners and connections, their events and their messages.

use std::cell::RefCell;
use std::io;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::rc::Rc;
use std::sync::{Arc, Weak};

use napi::bindgen_prelude::{Buffer, BufferSlice, FnArgs, Function, Object, Result, Uint32Array};
use napi::{sys, Env, Error, JsString, Status};
use napi_derive::napi;
use oxws_protocol::handshake::server::plain_response;
use oxws_protocol::BufferPool;

use super::caller::Caller;
use super::decoder::payload_limit;
use super::panic::guard;
use super::permessage_deflate::PerMessageDeflate;
use super::prepared::PreparedMessage;
use super::settings::ConnectionSettings;
use super::text::Text;
use super::upgrade::{duplicate, hand_over, over, system, Upgrade};
use super::{bytes, text};
use crate::engine::accepted::Accepted;
use crate::engine::core::{Command, Opening, Source};
use crate::engine::host::inline::Inline;
use crate::engine::host::thread::Threaded;
use crate::engine::host::{Boundary, Dispatch, Host, Unavailable};
use crate::engine::outbox::Flags;
use crate::engine::region::Region;
use crate::engine::registry::Registry;
use crate::engine::socket::{self, Descriptor, ListenerSocket};
use crate::engine::traffic::Traffic;
use crate::engine::uv::Loop;

/// The engine of one environment.
#[napi]
pub struct Engine {
    host: Rc<dyn Host>,
    registry: Registry,
    buffers: BufferPool,
    /// The prepared messages to which the outbox refers.
    prepared: RefCell<Vec<Arc<oxws_protocol::PreparedMessage>>>,
    /// The bytes of the text that JavaScript took last.
    last_text: RefCell<Option<Arc<Text>>>,
    /// Keeps the shared memory alive.
    _memory: (Uint32Array, Buffer, Uint32Array, Buffer),
}

#[napi]
impl Engine {
    /// Starts the engine on the host `inline` or `thread`. If `inline` is not supported
    /// here, `thread` is used. Throws if the host cannot start. The error's code is
    /// `Cancelled` if it may start later.
    #[napi(constructor)]
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        env: Env,
        host: String,
        threads: u32,
        dispatch: Function<'_, FnArgs<(u32, u32, u32)>, bool>,
        resource: Object<'_>,
        mut inbox_rows: Uint32Array,
        mut inbox_bytes: Buffer,
        mut outbox_rows: Uint32Array,
        mut outbox_bytes: Buffer,
    ) -> Result<Self> {
        let mut uv_loop = ptr::null_mut();
        // SAFETY: this is the environment's thread.
        let status = unsafe { sys::napi_get_uv_event_loop(env.raw(), &mut uv_loop) };
        if status != sys::Status::napi_ok {
            return Err(Error::from_reason("there is no libuv"));
        }
        let buffers = BufferPool::default();
        let caller = Rc::new(Caller::new(&env, &dispatch, &resource)?);
        // SAFETY: `_memory` keeps the memory alive until the host is closed, and the
        // host is closed before the environment's values are freed. JavaScript does not
        // run while the engine uses the memory, and the engine does not use it while
        // JavaScript runs.
        let boundary = unsafe {
            Boundary {
                inbox_rows: region(inbox_rows.as_mut()),
                inbox_bytes: region(&mut inbox_bytes),
                outbox_rows: region(outbox_rows.as_mut()),
                outbox_bytes: region(&mut outbox_bytes),
                buffers: buffers.clone(),
            }
        };
        let registry = Registry::default();
        let wanted = Wanted {
            inline: host != "thread",
            threads: threads as usize,
        };
        let dispatching = caller.clone();
        let dispatch = Box::new(move |filled| dispatching.dispatch(filled));
        // SAFETY: this is the loop of this thread. The clean-up hook closes the host
        // before the loop ends.
        let started = unsafe { start(uv_loop.cast(), wanted, boundary, dispatch, &registry) };
        let host = started.map_err(|reason| {
            caller.release();
            unavailable(&reason)
        })?;
        env.add_env_cleanup_hook((host.clone(), caller), |(host, caller)| {
            host.close();
            caller.release();
        })?;
        Ok(Self {
            host,
            registry,
            buffers,
            prepared: RefCell::default(),
            last_text: RefCell::default(),
            _memory: (inbox_rows, inbox_bytes, outbox_rows, outbox_bytes),
        })
    }

    /// The name of the host: `inline` or `thread`.
    #[napi(getter)]
    pub fn host(&self) -> &'static str {
        self.host.name()
    }

    /// Adopts a socket that Node no longer reads from. `fd` is its descriptor, and `head` is
    /// what Node has read already. Throws if the descriptor cannot be duplicated.
    #[napi]
    pub fn adopt(
        &self,
        id: u32,
        fd: i32,
        settings: &ConnectionSettings,
        head: &[u8],
        deflate: Option<&PerMessageDeflate>,
    ) -> Result<()> {
        guard(|| {
            // SAFETY: JavaScript has the socket open, and does not run during the call.
            let descriptor = unsafe { Descriptor::duplicate(fd) }.map_err(system)?;
            let traffic = Traffic::default();
            self.registry.add(id, &traffic, Weak::new());
            self.open(Opening {
                id,
                source: Source::Descriptor(descriptor),
                decoder: settings.decoder(deflate),
                encoder: settings.encoder(deflate),
                options: settings.options,
                traffic,
                head: head.to_vec(),
                response: Vec::new(),
            });
            Ok(())
        })
    }

    /// Opens the accepted connection with this number, with the response that agrees to
    /// no subprotocol and no extension. Call it only while `dispatch` is being called.
    #[napi]
    pub fn accept(&self, number: u32, id: u32, settings: &ConnectionSettings) -> Result<()> {
        guard(|| {
            let accepted = self.host.take_accepted(number).ok_or_else(over)?;
            let response = plain_response(&accepted.accept);
            self.open_accepted(accepted, id, settings, response, None);
            Ok(())
        })
    }

    /// Opens the connection of an upgrade request with this response, by default one that
    /// agrees to no subprotocol and no extension. `more` follows what was read.
    #[napi]
    pub fn accept_upgrade(
        &self,
        upgrade: &Upgrade,
        id: u32,
        settings: &ConnectionSettings,
        response: Option<String>,
        more: &[u8],
        deflate: Option<&PerMessageDeflate>,
    ) -> Result<()> {
        guard(|| {
            let mut accepted = upgrade.take()?;
            accepted.rest.extend_from_slice(more);
            let response = response.unwrap_or_else(|| plain_response(&accepted.accept));
            self.open_accepted(accepted, id, settings, response, deflate);
            Ok(())
        })
    }

    /// Takes the accepted connection with this number, which asks for an upgrade. Call it
    /// only while `dispatch` is being called.
    #[napi]
    pub fn take_upgrade(&self, number: u32) -> Upgrade {
        Upgrade::new(self.host.take_accepted(number))
    }

    /// Hands the accepted connection with this number over: returns its descriptor, which
    /// the caller has to close. Call it only while `dispatch` is being called.
    #[napi]
    pub fn hand_over(&self, number: u32) -> Result<i32> {
        guard(|| hand_over(self.host.take_accepted(number)))
    }

    /// Returns a duplicate of the descriptor of an accepted connection.
    #[napi]
    pub fn duplicate(&self, id: u32) -> Result<i32> {
        guard(|| duplicate(self.registry.descriptor(id)))
    }

    fn open_accepted(
        &self,
        accepted: Accepted,
        id: u32,
        settings: &ConnectionSettings,
        response: String,
        deflate: Option<&PerMessageDeflate>,
    ) {
        let Accepted { socket, rest, .. } = accepted;
        let traffic = socket.traffic().clone();
        self.registry.add(id, &traffic, socket.descriptor());
        self.open(Opening {
            id,
            source: Source::Socket(socket),
            decoder: settings.decoder(deflate),
            encoder: settings.encoder(deflate),
            options: settings.options,
            traffic,
            head: rest,
            response: response.into(),
        });
    }

    fn open(&self, opening: Opening) {
        self.host.run(Command::Open(Box::new(opening)));
    }

    /// Has the bound socket `fd` listen, and accepts its connections. Upgrade requests with
    /// a head of at most `max_head` bytes are reported as `kind.UPGRADE`, and all other
    /// connections as `kind.OTHER`. Returns 0, or the negative number of the system's error.
    #[napi]
    pub fn listen(&self, id: u32, fd: i32, backlog: i32, max_head: u32) -> Result<i32> {
        guard(|| {
            // SAFETY: JavaScript has the socket open, and does not run during the call.
            let socket = match unsafe { ListenerSocket::listen(fd, backlog) } {
                Ok(socket) => socket,
                Err(error) => return Ok(negative(&error)),
            };
            self.host.run(Command::Listen {
                id,
                socket,
                max_head: max_head as usize,
            });
            Ok(0)
        })
    }

    /// Closes a listener, and the connections whose request has not arrived.
    #[napi]
    pub fn unlisten(&self, id: u32) -> Result<()> {
        guard(|| {
            self.host.unlisten(id);
            Ok(())
        })
    }

    /// Sets whether a listener hands over each connection before it is read.
    #[napi]
    pub fn set_hands_over(&self, id: u32, hands_over: bool) -> Result<()> {
        self.run(Command::SetHandsOver { id, hands_over })
    }

    /// Hands over the connections of a listener whose request has not arrived since the
    /// sweep before. Call it a second after `kind.SWEEP`.
    #[napi]
    pub fn sweep(&self, id: u32) -> Result<()> {
        self.run(Command::Sweep(id))
    }

    /// Sends the first `rows` rows of the outbox.
    #[napi]
    pub fn flush(&self, rows: u32) -> Result<()> {
        guard(|| {
            self.host.flush(rows as usize, self.prepared.take());
            Ok(())
        })
    }

    /// Has the outbox refer to a prepared message until the next `flush`. Returns its number
    /// there.
    #[napi]
    pub fn post_prepared(&self, message: &PreparedMessage) -> u32 {
        let mut prepared = self.prepared.borrow_mut();
        prepared.push(message.message.clone());
        prepared.len() as u32 - 1
    }

    /// Waits until everything is written that the system takes without waiting. Called
    /// before the process ends.
    #[napi]
    pub fn settle(&self) -> Result<()> {
        guard(|| {
            self.host.settle();
            Ok(())
        })
    }

    /// Sends a long message. Only what the system does not take at once is copied.
    /// `data` is not used after the call.
    #[napi]
    pub fn send_long(&self, id: u32, flags: u32, data: &[u8]) -> Result<()> {
        guard(|| {
            self.host.send_long(id, Flags(flags), data.into());
            Ok(())
        })
    }

    /// Sends a long text.
    #[napi]
    pub fn send_long_text(&self, id: u32, flags: u32, text: JsString<'_>) -> Result<()> {
        guard(|| {
            let bytes = text::encode(text, &self.buffers)?;
            self.host.send_long(id, Flags(flags), bytes.into());
            Ok(())
        })
    }

    /// Returns how many bytes of a connection are in the engine and not yet taken
    /// by the system.
    #[napi]
    pub fn queued_bytes(&self, id: u32) -> f64 {
        self.count(id, Traffic::queued)
    }

    /// Returns how many bytes a connection was given to send, including the heads
    /// of its frames.
    #[napi]
    pub fn accepted_bytes(&self, id: u32) -> f64 {
        self.count(id, Traffic::accepted)
    }

    /// Returns how many bytes were received on a connection.
    #[napi]
    pub fn received_bytes(&self, id: u32) -> f64 {
        self.count(id, Traffic::received)
    }

    /// Returns how many messages of a connection that were sent with `flag.ACK` the
    /// system has taken so far.
    #[napi]
    pub fn sent_messages(&self, id: u32) -> f64 {
        self.count(id, Traffic::sent)
    }

    fn count(&self, id: u32, which: impl FnOnce(&Traffic) -> u64) -> f64 {
        self.registry.with_traffic(id, which).unwrap_or(0) as f64
    }

    /// Stops receiving on a connection.
    #[napi]
    pub fn pause(&self, id: u32) -> Result<()> {
        self.run(Command::Pause(id))
    }

    /// Resumes receiving on a connection.
    #[napi]
    pub fn resume(&self, id: u32) -> Result<()> {
        self.run(Command::Resume(id))
    }

    /// Sets the maximum length of a message from now on, in bytes; 0 for no limit.
    #[napi]
    pub fn set_max_payload(&self, id: u32, bytes: f64) -> Result<()> {
        self.run(Command::SetMaxPayload {
            id,
            bytes: payload_limit(bytes),
        })
    }

    /// Sets whether texts, from the next message on, and close reasons have to be UTF-8.
    #[napi]
    pub fn set_validates(&self, id: u32, validates: bool) -> Result<()> {
        self.run(Command::SetValidates { id, validates })
    }

    /// Drops the messages that are being compressed, and those that wait for them.
    #[napi]
    pub fn drop_unframed(&self, id: u32) -> Result<()> {
        self.run(Command::DropUnframed(id))
    }

    /// Ends the sending direction of the socket when all frames are written. Messages
    /// that are being compressed are dropped.
    #[napi]
    pub fn end(&self, id: u32) -> Result<()> {
        self.run(Command::End(id))
    }

    /// Releases a connection, and closes the engine's descriptor, when everything is written.
    #[napi]
    pub fn release(&self, id: u32) -> Result<()> {
        self.run(Command::Release(id))
    }

    /// Releases a connection at once. What is not yet written is dropped.
    #[napi]
    pub fn destroy(&self, id: u32) -> Result<()> {
        self.run(Command::Destroy(id))
    }

    /// Panics. For tests only.
    #[napi]
    pub fn panic(&self) -> Result<()> {
        self.run(Command::Panic)
    }

    fn run(&self, command: Command) -> Result<()> {
        guard(|| {
            self.host.run(command);
            Ok(())
        })
    }

    /// Takes a long payload of the inbox, which is UTF-8, as a string.
    #[napi]
    pub fn take_text<'env>(
        &self,
        env: &'env Env,
        number: u32,
        is_ascii: bool,
    ) -> Result<JsString<'env>> {
        let bytes = self.host.take_large(number);
        let (string, text) = text::decode(env, bytes, is_ascii, &self.buffers)?;
        self.last_text.replace(Some(text));
        Ok(string)
    }

    /// Sends the text that `take_text` has returned last. Returns false if it is not known
    /// any more.
    #[napi]
    pub fn send_last_text(&self, id: u32, flags: u32) -> Result<bool> {
        guard(|| {
            let Some(text) = self.last_text.borrow().clone() else {
                return Ok(false);
            };
            self.host.send_long(id, Flags(flags), (&**text).into());
            Ok(true)
        })
    }

    /// Forgets the text that `take_text` has returned last, so that its memory can be freed.
    #[napi]
    pub fn forget_last_text(&self) {
        self.last_text.take();
    }

    /// Takes a long payload of the inbox.
    #[napi]
    pub fn take_buffer<'env>(&self, env: &'env Env, number: u32) -> Result<BufferSlice<'env>> {
        bytes::pooled(env, self.host.take_large(number), &self.buffers)
    }

    /// Sets whether open connections keep the event loop alive.
    #[napi]
    pub fn keep_alive(&self, alive: bool) {
        self.host.keep_alive(alive);
    }
}

/// Returns the descriptor of a socket that is bound to an address that other sockets may
/// share (`SO_REUSEPORT`), without an `ip` to all addresses. Returns the negative number of
/// the system's error if it fails. The caller has to close the descriptor.
#[napi]
pub fn bind_shared(ip: Option<String>, port: u16) -> Result<i32> {
    let ip = match ip.map(|ip| ip.parse()).transpose() {
        Ok(ip) => ip,
        Err(_) => return Ok(-libc::EINVAL),
    };
    Ok(socket::bind_shared(ip, port).map_or_else(|error| negative(&error), OwnedFd::into_raw_fd))
}

/// Returns the negative number of a system's error, as libuv does.
fn negative(error: &io::Error) -> i32 {
    -error.raw_os_error().unwrap_or(libc::EIO)
}

/// The requested host.
struct Wanted {
    inline: bool,
    threads: usize,
}

/// Starts the requested host. If `inline` is requested but not supported here,
/// starts `thread`.
///
/// # Safety
///
/// `uv_loop` is the loop of this thread, and outlives the host.
unsafe fn start(
    uv_loop: Loop,
    wanted: Wanted,
    mut boundary: Boundary,
    mut dispatch: Dispatch,
    registry: &Registry,
) -> std::result::Result<Rc<dyn Host>, Unavailable> {
    if wanted.inline {
        // SAFETY: promised by the caller.
        match unsafe { Inline::start(uv_loop, boundary, dispatch) } {
            Ok(host) => return Ok(host),
            Err(failed) => match failed.reason {
                Unavailable::Unsupported => {
                    (boundary, dispatch) = (failed.boundary, failed.dispatch)
                }
                reason @ Unavailable::Exhausted(_) => return Err(reason),
            },
        }
    }
    let (threads, registry) = (wanted.threads, registry.clone());
    // SAFETY: promised by the caller.
    let host = unsafe { Threaded::start(uv_loop, boundary, dispatch, threads, registry) }?;
    Ok(host)
}

/// Returns the error for a host that did not start. The code `Cancelled` means that it
/// may start later.
fn unavailable(reason: &Unavailable) -> Error {
    match reason {
        Unavailable::Unsupported => Error::from_reason("the engine has no host here"),
        Unavailable::Exhausted(error) => Error::new(Status::Cancelled, error.to_string()),
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // The host uses the memory, so it has to end before the memory is freed.
        self.host.close();
    }
}

/// Returns a region of JavaScript's memory.
///
/// # Safety
///
/// As for [`Region::borrowed`].
unsafe fn region<T>(memory: &mut [T]) -> Region<T> {
    let start = NonNull::from(&mut *memory).cast();
    // SAFETY: promised by the caller.
    unsafe { Region::borrowed(start, memory.len()) }
}
