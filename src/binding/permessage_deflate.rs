//! `PerMessageDeflate`: negotiation of the extension, and compression by itself.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use napi::bindgen_prelude::{AsyncTask, BufferSlice, Either, Result};
use napi::{Env, Error, ScopedTask, Status};
use napi_derive::napi;
use oxws_protocol::deflate::{ContextPool, Deflater, Inflater, WINDOW_BITS};
use oxws_protocol::handshake::permessage_deflate::{
    NegotiationError, Options, Params, Role, WindowOption,
};
use oxws_protocol::ProtocolError;

use super::bytes;
use super::panic::guard;

thread_local! {
    /// The idle contexts that this thread's connections share.
    static POOL: RefCell<ContextPool> = RefCell::default();
}

fn pool() -> ContextPool {
    POOL.with_borrow(ContextPool::clone)
}

/// As small as level 6 of zlib makes it, and faster: the back end's own 6 is quicker
/// still, but 4 % larger.
const DEFAULT_LEVEL: u8 = 7;

/// The default of zlib.
const DEFAULT_MEM_LEVEL: u8 = 8;

/// The options that one end is configured with.
#[napi(object)]
pub struct DeflateConfig {
    /// Whether the server compresses each message on its own.
    pub server_no_context_takeover: Option<bool>,
    /// Whether the client compresses each message on its own.
    pub client_no_context_takeover: Option<bool>,
    /// The server's window, 8 to 15, or whether to agree to the parameter.
    pub server_max_window_bits: Option<Either<bool, f64>>,
    /// The client's window, 8 to 15, or whether to agree to the parameter.
    pub client_max_window_bits: Option<Either<bool, f64>>,
    /// Memory for compression, 1 to 9.
    pub mem_level: Option<f64>,
    /// Effort of compression, 0 to 9, or -1 for the default.
    pub level: Option<f64>,
}

/// A parameter's name, and its value where it has one.
type Param = (String, Option<String>);

/// The permessage-deflate extension of one connection.
#[napi]
pub struct PerMessageDeflate {
    role: Role,
    options: Options,
    level: u8,
    mem_level: u8,
    agreed: Params,
    deflater: RefCell<Slot<Deflater>>,
    inflater: RefCell<Slot<Inflater>>,
}

#[napi]
impl PerMessageDeflate {
    /// The extension of a server or a client; it throws on an option that is out of
    /// its range.
    #[napi(constructor)]
    pub fn new(config: DeflateConfig, is_server: bool) -> Result<Self> {
        Ok(Self {
            role: if is_server {
                Role::Server
            } else {
                Role::Client
            },
            options: Options {
                server_no_context_takeover: config.server_no_context_takeover,
                client_no_context_takeover: config.client_no_context_takeover,
                server_max_window_bits: window(
                    "serverMaxWindowBits",
                    config.server_max_window_bits,
                )?,
                client_max_window_bits: window(
                    "clientMaxWindowBits",
                    config.client_max_window_bits,
                )?,
            },
            level: match config.level {
                None | Some(-1.0) => DEFAULT_LEVEL,
                Some(level) => within("level", level, 0, 9)?,
            },
            mem_level: match config.mem_level {
                None => DEFAULT_MEM_LEVEL,
                Some(level) => within("memLevel", level, 1, 9)?,
            },
            agreed: Params::default(),
            deflater: RefCell::default(),
            inflater: RefCell::default(),
        })
    }

    /// What a client offers.
    #[napi]
    pub fn offer(&self) -> Vec<Param> {
        self.options.offer().to_extension().params
    }

    /// Agrees on one of the offers (server), or on the answer (client), and tells
    /// what is agreed on. It throws if that cannot be.
    #[napi]
    pub fn accept(&mut self, offers: Vec<Vec<Param>>) -> Result<Vec<Param>> {
        let offers = offers
            .iter()
            .map(|params| Params::read(params, self.role))
            .collect::<std::result::Result<Vec<_>, _>>()
            .map_err(invalid)?;
        self.agreed = match self.role {
            Role::Server => self.options.accept(&offers),
            Role::Client => {
                let answer = offers.first().copied().unwrap_or_default();
                self.options.accept_answer(answer)
            }
        }
        .map_err(invalid)?;
        Ok(self.agreed.to_extension().params)
    }

    /// Takes what JavaScript has agreed on itself. It throws on what cannot be.
    #[napi]
    pub fn agree(&mut self, params: Vec<Param>) -> Result<()> {
        self.agreed = Params::read(&params, self.role).map_err(invalid)?;
        Ok(())
    }

    /// The payload of a frame that carries `data`, which ends its message if `fin`.
    #[napi]
    pub fn compress<'env>(
        &self,
        env: &'env Env,
        data: &[u8],
        fin: bool,
    ) -> Result<BufferSlice<'env>> {
        let (slot, deflater) = self.take_deflater();
        let compressed = guard(|| Ok(deflate(&slot, deflater, data, fin)))?;
        bytes::buffer(env, compressed)
    }

    /// As `compress`, on another thread. Only one may be under way.
    #[napi(ts_return_type = "Promise<Buffer>")]
    pub fn compress_async(&self, data: &[u8], fin: bool) -> AsyncTask<Work> {
        let (slot, deflater) = self.take_deflater();
        let data = data.to_vec();
        Work::task(move || Ok(deflate(&slot, deflater, &data, fin)))
    }

    /// What `data`, the payload of a frame, carries; it ends its message if `fin`.
    /// It throws on more than `limit` bytes, where that is not 0.
    #[napi]
    pub fn decompress<'env>(
        &self,
        env: &'env Env,
        data: &[u8],
        fin: bool,
        limit: f64,
    ) -> Result<BufferSlice<'env>> {
        let (slot, inflater) = self.take_inflater();
        let inflated = guard(|| Ok(inflate(&slot, inflater, data, fin, limit)))?;
        let decompressed = inflated.map_err(|error| Error::from_reason(error.to_string()))?;
        bytes::buffer(env, decompressed)
    }

    /// As `decompress`, on another thread. Only one may be under way. Where the other end
    /// is to blame, the error's message is the violation's name.
    #[napi(ts_return_type = "Promise<Buffer>")]
    pub fn decompress_async(&self, data: &[u8], fin: bool, limit: f64) -> AsyncTask<Work> {
        let (slot, inflater) = self.take_inflater();
        let data = data.to_vec();
        Work::task(move || {
            inflate(&slot, inflater, &data, fin, limit)
                .map_err(|error| Error::from_reason(error.name()))
        })
    }

    /// Frees the contexts of all these; those in use, when they are used no more.
    #[napi]
    pub fn cleanup(&self) {
        self.deflater.take();
        self.inflater.take();
    }

    fn take_deflater(&self) -> (Slot<Deflater>, Deflater) {
        let slot = self.deflater.borrow().clone();
        let deflater = slot.take().unwrap_or_else(|| self.deflater());
        (slot, deflater)
    }

    fn take_inflater(&self) -> (Slot<Inflater>, Inflater) {
        let slot = self.inflater.borrow().clone();
        let inflater = slot.take().unwrap_or_else(|| self.inflater());
        (slot, inflater)
    }

    /// Compresses what this end sends, as agreed.
    pub(super) fn deflater(&self) -> Deflater {
        let options = self.agreed.deflate(self.role, self.level, self.mem_level);
        Deflater::new(options, pool())
    }

    /// Decompresses what this end receives, as agreed.
    pub(super) fn inflater(&self) -> Inflater {
        Inflater::new(self.agreed.inflate(self.role), pool())
    }
}

/// Where a context is between the calls that take it, on whichever thread. One that a
/// call fails with is lost, and the next call begins anew.
struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T> Slot<T> {
    fn take(&self) -> Option<T> {
        self.content().take()
    }

    fn put(&self, context: T) {
        *self.content() = Some(context);
    }

    /// It is locked for a moment only, and not while a context is in use.
    fn content(&self) -> MutexGuard<'_, Option<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Default for Slot<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Compresses a frame's payload, and puts the context back.
fn deflate(slot: &Slot<Deflater>, mut deflater: Deflater, data: &[u8], fin: bool) -> Vec<u8> {
    let mut out = Vec::new();
    deflater.compress_to_border(data, fin, &mut out);
    slot.put(deflater);
    out
}

/// Decompresses a frame's payload, and puts the context back.
fn inflate(
    slot: &Slot<Inflater>,
    mut inflater: Inflater,
    data: &[u8],
    fin: bool,
    limit: f64,
) -> std::result::Result<Vec<u8>, ProtocolError> {
    let limit = if limit > 0.0 {
        limit as usize
    } else {
        usize::MAX
    };
    let mut out = Vec::new();
    inflater.decompress(data, &mut out, limit)?;
    if fin {
        inflater.finish(&mut out, limit)?;
    }
    slot.put(inflater);
    Ok(out)
}

/// What makes a Buffer on a thread of libuv's pool.
pub struct Work(Option<Box<dyn FnOnce() -> Result<Vec<u8>> + Send>>);

impl Work {
    fn task(work: impl FnOnce() -> Result<Vec<u8>> + Send + 'static) -> AsyncTask<Self> {
        AsyncTask::new(Self(Some(Box::new(work))))
    }
}

impl<'env> ScopedTask<'env> for Work {
    type Output = Vec<u8>;
    type JsValue = BufferSlice<'env>;

    fn compute(&mut self) -> Result<Vec<u8>> {
        let done = || Error::from_reason("the work is done already");
        guard(self.0.take().ok_or_else(done)?)
    }

    fn resolve(&mut self, env: &'env Env, output: Vec<u8>) -> Result<BufferSlice<'env>> {
        bytes::buffer(env, output)
    }
}

fn invalid(error: NegotiationError) -> Error {
    Error::new(Status::GenericFailure, error.to_string())
}

fn window(name: &str, value: Option<Either<bool, f64>>) -> Result<WindowOption> {
    Ok(match value {
        None => WindowOption::Unset,
        Some(Either::A(false)) => WindowOption::Refused,
        Some(Either::A(true)) => WindowOption::Accepted,
        Some(Either::B(bits)) => {
            let (least, most) = (*WINDOW_BITS.start(), *WINDOW_BITS.end());
            WindowOption::Bits(within(name, bits, least, most)?)
        }
    })
}

fn within(name: &str, value: f64, least: u8, most: u8) -> Result<u8> {
    if value.fract() == 0.0 && (f64::from(least)..=f64::from(most)).contains(&value) {
        return Ok(value as u8);
    }
    Err(Error::new(
        Status::InvalidArg,
        format!("perMessageDeflate.{name} must be an integer from {least} to {most}: {value}"),
    ))
}
