//! `Engine`: adopted sockets, their events and messages.

use std::cell::Cell;
use std::ptr::{self, NonNull};
use std::rc::Rc;

use napi::bindgen_prelude::{Buffer, BufferSlice, FnArgs, Function, Object, Result, Uint32Array};
use napi::{sys, Env, Error, JsString, JsValue, Status};
use napi_derive::napi;
use oxws_protocol::{BufferPool, Encoder};

use super::decoder::{payload_limit, Limits};
use super::panic::guard;
use super::permessage_deflate::PerMessageDeflate;
use super::{bytes, text};
use crate::engine::connection::Manner;
use crate::engine::core::{Command, Opening};
use crate::engine::host::inline::Inline;
use crate::engine::host::thread::Threaded;
use crate::engine::host::{Boundary, Dispatch, Host, Unavailable};
use crate::engine::inbox::Filled;
use crate::engine::outbox::Flags;
use crate::engine::region::Region;
use crate::engine::socket::Adopted;
use crate::engine::traffic::{Counters, Traffic};
use crate::engine::uv::Loop;

/// Calls the JavaScript function that takes events.
struct Caller {
    env: sys::napi_env,
    function: sys::napi_ref,
    context: sys::napi_async_context,
    /// Counts the batches, so that JavaScript knows a further call for the same one.
    batch: Cell<u32>,
}

/// What a call came to.
enum Called {
    Returned,
    /// It has returned, and the rest is still to be told.
    ForMore,
    Threw,
    /// JavaScript cannot run any more.
    Over,
}

impl Caller {
    fn new(
        env: &Env,
        function: &Function<'_, FnArgs<(u32, u32, u32)>, bool>,
        resource: &Object<'_>,
    ) -> Result<Self> {
        let env = env.raw();
        let mut reference = ptr::null_mut();
        let mut name = ptr::null_mut();
        let mut context = ptr::null_mut();
        // SAFETY: called on the environment's thread with values of its own.
        let statuses = unsafe {
            [
                sys::napi_create_reference(env, function.raw(), 1, &mut reference),
                sys::napi_create_string_utf8(env, c"OXWS".as_ptr(), 4, &mut name),
                sys::napi_async_init(env, resource.raw(), name, &mut context),
            ]
        };
        if statuses
            .iter()
            .any(|status| *status != sys::Status::napi_ok)
        {
            return Err(Error::from_reason("the engine cannot call JavaScript"));
        }
        Ok(Self {
            env,
            function: reference,
            context,
            batch: Cell::new(0),
        })
    }

    /// Gives back what `new` has taken; nothing is called any more.
    fn release(&self) {
        // SAFETY: on the environment's thread, with what `new` has made, once.
        unsafe {
            sys::napi_delete_reference(self.env, self.function);
            sys::napi_async_destroy(self.env, self.context);
        }
    }

    /// Calls it with the number of rows in the inbox, that of the batch, and that of the
    /// inbox's bytes; and again for the rest if a listener throws, or if it asks for that
    /// by `true`. Each time it returns, promises and ticks run.
    fn dispatch(&self, filled: Filled) {
        self.batch.set(self.batch.get().wrapping_add(1));
        while let Called::Threw | Called::ForMore = self.call(filled) {}
    }

    fn call(&self, filled: Filled) -> Called {
        let env = self.env;
        // SAFETY: on the environment's thread, outside of any other call; every value
        // lives within the scope.
        unsafe {
            let mut scope = ptr::null_mut();
            if sys::napi_open_handle_scope(env, &mut scope) != sys::Status::napi_ok {
                return Called::Over;
            }
            let mut function = ptr::null_mut();
            let mut receiver = ptr::null_mut();
            let mut arguments = [ptr::null_mut(); 3];
            let mut result = ptr::null_mut();
            sys::napi_get_reference_value(env, self.function, &mut function);
            sys::napi_get_global(env, &mut receiver);
            sys::napi_create_uint32(env, filled.rows as u32, &mut arguments[0]);
            sys::napi_create_uint32(env, self.batch.get(), &mut arguments[1]);
            sys::napi_create_uint32(env, filled.bytes as u32, &mut arguments[2]);
            let status = sys::napi_make_callback(
                env,
                self.context,
                receiver,
                function,
                arguments.len(),
                arguments.as_ptr(),
                &mut result,
            );
            let called = match status {
                sys::Status::napi_ok => {
                    let mut for_more = false;
                    sys::napi_get_value_bool(env, result, &mut for_more);
                    if for_more {
                        Called::ForMore
                    } else {
                        Called::Returned
                    }
                }
                sys::Status::napi_pending_exception => {
                    let mut error = ptr::null_mut();
                    sys::napi_get_and_clear_last_exception(env, &mut error);
                    match sys::napi_fatal_exception(env, error) {
                        sys::Status::napi_ok => Called::Threw,
                        _ => Called::Over,
                    }
                }
                _ => Called::Over,
            };
            sys::napi_close_handle_scope(env, scope);
            called
        }
    }
}

/// The engine of one environment.
#[napi]
pub struct Engine {
    host: Rc<dyn Host>,
    counters: Counters,
    buffers: BufferPool,
    /// Keeps the memory that is shared.
    _memory: (Uint32Array, Buffer, Uint32Array, Buffer),
}

/// What a connection begins with.
#[napi(object)]
pub struct Adoption {
    /// The connection's number.
    pub id: u32,
    /// The descriptor of Node's socket.
    pub fd: i32,
    /// Whether this end masks what it sends by itself.
    pub masks: bool,
    /// Whether it answers pings by itself.
    pub answers: bool,
    /// Whether texts are taken as strings, and not as their bytes.
    pub texts_are_strings: bool,
    /// Payloads shorter than this are not compressed, in bytes.
    pub threshold: f64,
}

#[napi]
impl Engine {
    /// The engine, on the host `inline` or `thread`; where `inline` cannot be, `thread`
    /// is used. It throws where neither can be.
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
        // SAFETY: on the environment's thread.
        let status = unsafe { sys::napi_get_uv_event_loop(env.raw(), &mut uv_loop) };
        if status != sys::Status::napi_ok {
            return Err(Error::from_reason("there is no libuv"));
        }
        let buffers = BufferPool::default();
        let caller = Rc::new(Caller::new(&env, &dispatch, &resource)?);
        // SAFETY: `_memory` keeps the memory for as long as the host, which `close`
        // ends before the environment's values go. JavaScript does not run while the
        // engine uses it, and the engine does not while JavaScript runs.
        let boundary = unsafe {
            Boundary {
                inbox_rows: region(inbox_rows.as_mut()),
                inbox_bytes: region(&mut inbox_bytes),
                outbox_rows: region(outbox_rows.as_mut()),
                outbox_bytes: region(&mut outbox_bytes),
                buffers: buffers.clone(),
            }
        };
        let counters = Counters::default();
        let wanted = Wanted {
            inline: host != "thread",
            threads: threads as usize,
        };
        let dispatching = caller.clone();
        let dispatch = Box::new(move |filled| dispatching.dispatch(filled));
        // SAFETY: the loop is that of this thread; the clean-up hook closes the host
        // before the loop goes.
        let started = unsafe { start(uv_loop.cast(), wanted, boundary, dispatch, &counters) };
        let host = started.map_err(|reason| {
            caller.release();
            unavailable(&reason)
        })?;
        let hosted = host.clone();
        env.add_env_cleanup_hook(hosted, |host| host.close())?;
        Ok(Self {
            host,
            counters,
            buffers,
            _memory: (inbox_rows, inbox_bytes, outbox_rows, outbox_bytes),
        })
    }

    /// `inline` or `thread`.
    #[napi(getter)]
    pub fn host(&self) -> &'static str {
        self.host.name()
    }

    /// Takes over a socket that Node does not read from any more; `head` is what it
    /// had read. It throws if the descriptor cannot be duplicated.
    #[napi]
    pub fn adopt(
        &self,
        adoption: Adoption,
        limits: Limits,
        head: BufferSlice<'_>,
        deflate: Option<&PerMessageDeflate>,
    ) -> Result<()> {
        guard(|| {
            // SAFETY: JavaScript has the socket open, and does not run meanwhile.
            let socket = unsafe { Adopted::duplicate(adoption.fd) }
                .map_err(|error| Error::from_reason(error.to_string()))?;
            let threshold = adoption.threshold.max(0.0) as usize;
            self.host.run(Command::Open(Box::new(Opening {
                id: adoption.id,
                socket,
                decoder: limits.decoder(deflate),
                encoder: Encoder::new(deflate.map(PerMessageDeflate::deflater), threshold),
                manner: Manner {
                    masks: adoption.masks,
                    answers: adoption.answers,
                    texts_are_strings: adoption.texts_are_strings,
                },
                traffic: self.counters.open(adoption.id),
                head: head.to_vec(),
            })));
            Ok(())
        })
    }

    /// Sends the first rows of the outbox.
    #[napi]
    pub fn flush(&self, rows: u32) -> Result<()> {
        guard(|| {
            self.host.flush(rows as usize);
            Ok(())
        })
    }

    /// Waits, before the process ends, until what was handed over is written, as far as
    /// the system takes it at once.
    #[napi]
    pub fn settle(&self) -> Result<()> {
        guard(|| {
            self.host.settle();
            Ok(())
        })
    }

    /// Sends a long message. What the system takes at once is not copied; the memory is
    /// the caller's again when this returns.
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

    /// The bytes of a connection that the engine has and the system has not taken.
    #[napi]
    pub fn queued_bytes(&self, id: u32) -> f64 {
        self.count(id, Traffic::queued)
    }

    /// The bytes of a connection that the engine was given to send, with those of its
    /// frames' heads.
    #[napi]
    pub fn accepted_bytes(&self, id: u32) -> f64 {
        self.count(id, Traffic::accepted)
    }

    /// The bytes of a connection that the system has handed to the engine.
    #[napi]
    pub fn received_bytes(&self, id: u32) -> f64 {
        self.count(id, Traffic::received)
    }

    /// How many messages of a connection, of those whose sending is to be told, the
    /// system has taken since its beginning.
    #[napi]
    pub fn sent_messages(&self, id: u32) -> f64 {
        self.count(id, Traffic::sent)
    }

    fn count(&self, id: u32, which: impl FnOnce(&Traffic) -> u64) -> f64 {
        self.counters.with(id, which).unwrap_or(0) as f64
    }

    /// Stops receiving.
    #[napi]
    pub fn pause(&self, id: u32) -> Result<()> {
        self.run(Command::Pause(id))
    }

    /// Goes on receiving.
    #[napi]
    pub fn resume(&self, id: u32) -> Result<()> {
        self.run(Command::Resume(id))
    }

    /// Sets the longest message from now on, in bytes; 0 for no limit.
    #[napi]
    pub fn set_max_payload(&self, id: u32, bytes: f64) -> Result<()> {
        self.run(Command::SetMaxPayload {
            id,
            bytes: payload_limit(bytes),
        })
    }

    /// Sets whether texts have to be UTF-8, from the next message on.
    #[napi]
    pub fn set_validates(&self, id: u32, validates: bool) -> Result<()> {
        self.run(Command::SetValidates { id, validates })
    }

    /// Ends this direction of the socket when all that is framed is written; what is
    /// being compressed is dropped.
    #[napi]
    pub fn end(&self, id: u32) -> Result<()> {
        self.run(Command::End(id))
    }

    /// Lets go of a connection when all is written.
    #[napi]
    pub fn release(&self, id: u32) -> Result<()> {
        self.run(Command::Release(id))
    }

    /// Lets go of a connection at once.
    #[napi]
    pub fn destroy(&self, id: u32) -> Result<()> {
        self.run(Command::Destroy(id))
    }

    /// Fails, as nothing should: for tests.
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
    pub fn take_text<'env>(&self, env: &'env Env, number: u32) -> Result<JsString<'env>> {
        text::decode(env, self.host.take_large(number), &self.buffers)
    }

    /// Takes a long payload of the inbox.
    #[napi]
    pub fn take_buffer<'env>(&self, env: &'env Env, number: u32) -> Result<BufferSlice<'env>> {
        bytes::buffer(env, self.host.take_large(number))
    }

    /// Whether the loop stays alive for the sake of open connections.
    #[napi]
    pub fn keep_alive(&self, alive: bool) {
        self.host.keep_alive(alive);
    }
}

/// The host that is asked for.
struct Wanted {
    inline: bool,
    threads: usize,
}

/// Starts a host: where `inline` is asked for and cannot be, `thread`.
///
/// # Safety
///
/// `uv_loop` is the loop of this thread, and outlives the host.
unsafe fn start(
    uv_loop: Loop,
    wanted: Wanted,
    mut boundary: Boundary,
    mut dispatch: Dispatch,
    counters: &Counters,
) -> std::result::Result<Rc<dyn Host>, Unavailable> {
    if wanted.inline {
        // SAFETY: promised by the caller.
        match unsafe { Inline::start(uv_loop, boundary, dispatch) } {
            Ok(host) => return Ok(host),
            Err(failed) => match failed.reason {
                Unavailable::Here => (boundary, dispatch) = (failed.boundary, failed.dispatch),
                reason @ Unavailable::Now(_) => return Err(reason),
            },
        }
    }
    let (threads, counters) = (wanted.threads, counters.clone());
    // SAFETY: promised by the caller.
    let host = unsafe { Threaded::start(uv_loop, boundary, dispatch, threads, counters) }?;
    Ok(host)
}

/// The error for a host that does not start: `Cancelled` as its code says that it may
/// later.
fn unavailable(reason: &Unavailable) -> Error {
    match reason {
        Unavailable::Here => Error::from_reason("the engine has no host here"),
        Unavailable::Now(error) => Error::new(Status::Cancelled, error.to_string()),
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Before the memory goes that the host has.
        self.host.close();
    }
}

/// Memory of JavaScript's.
///
/// # Safety
///
/// As [`Region::borrowed`].
unsafe fn region<T>(memory: &mut [T]) -> Region<T> {
    let start = NonNull::from(&mut *memory).cast();
    // SAFETY: promised by the caller.
    unsafe { Region::borrowed(start, memory.len()) }
}
