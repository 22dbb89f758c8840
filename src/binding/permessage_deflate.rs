//! The class `PerMessageDeflate`: negotiation of the extension, and compression by itself.

use std::cell::RefCell;
use std::collections::HashMap;
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
    /// The contexts of this thread's connections, by their budget in bytes.
    static POOLS: RefCell<HashMap<usize, ContextPool>> = RefCell::default();
}

/// Returns the pool that this thread's connections with the same budget share.
fn pool(budget: usize) -> ContextPool {
    POOLS.with_borrow_mut(|pools| {
        if let Some(pool) = pools.get(&budget) {
            return pool.clone();
        }
        pools.retain(|_, pool| pool.is_shared());
        pools
            .entry(budget)
            .or_insert_with(|| ContextPool::new(budget))
            .clone()
    })
}

/// Its output is as small as that of zlib's level 6, and it is faster. The back end's
/// own level 6 is faster still, but its output is 4 % larger.
const DEFAULT_LEVEL: u8 = 7;

/// The default of zlib.
const DEFAULT_MEM_LEVEL: u8 = 8;

/// The largest budget, in bytes: `Number.MAX_SAFE_INTEGER`.
const MAX_BUDGET: u64 = (1 << 53) - 1;

/// The configuration of one end.
#[napi(object)]
pub struct DeflateConfig {
    /// Whether the server compresses each message without the context of the one before.
    pub server_no_context_takeover: Option<bool>,
    /// Whether the client compresses each message without the context of the one before.
    pub client_no_context_takeover: Option<bool>,
    /// The window of the server, 8 to 15, or whether the parameter is accepted.
    pub server_max_window_bits: Option<Either<bool, f64>>,
    /// The window of the client, 8 to 15, or whether the parameter is accepted.
    pub client_max_window_bits: Option<Either<bool, f64>>,
    /// The memory for compression, 1 to 9.
    pub mem_level: Option<f64>,
    /// The effort for compression, 0 to 9, or -1 for the default.
    pub level: Option<f64>,
    /// The maximum memory of the contexts that this thread's connections with the same
    /// value keep between messages, in bytes.
    pub memory_budget: Option<f64>,
}

/// The name of a parameter, and its value if it has one.
type Param = (String, Option<String>);

/// The permessage-deflate extension of one connection.
#[napi]
pub struct PerMessageDeflate {
    role: Role,
    options: Options,
    level: u8,
    mem_level: u8,
    memory_budget: usize,
    agreed: Params,
    deflater: RefCell<Slot<Deflater>>,
    inflater: RefCell<Slot<Inflater>>,
}

#[napi]
impl PerMessageDeflate {
    /// Creates the extension of a server or client. Throws if an option is out of range.
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
                Some(level) => within("level", level, 0, 9)? as u8,
            },
            mem_level: match config.mem_level {
                None => DEFAULT_MEM_LEVEL,
                Some(level) => within("memLevel", level, 1, 9)? as u8,
            },
            memory_budget: match config.memory_budget {
                None => ContextPool::DEFAULT_BUDGET,
                Some(bytes) => {
                    let bytes = within("memoryBudget", bytes, 0, MAX_BUDGET)?;
                    usize::try_from(bytes).unwrap_or(usize::MAX)
                }
            },
            agreed: Params::default(),
            deflater: RefCell::default(),
            inflater: RefCell::default(),
        })
    }

    /// The memory of the contexts that this thread's connections with the same value
    /// keep between messages, in bytes.
    #[napi(getter)]
    pub fn memory_budget(&self) -> f64 {
        self.memory_budget as f64
    }

    /// Returns the parameters that a client offers.
    #[napi]
    pub fn offer(&self) -> Vec<Param> {
        self.options.offer().to_extension().params
    }

    /// Accepts one of the offers (server), or checks the response (client). Returns the
    /// parameters that were agreed on. Throws if there is no agreement.
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

    /// Sets parameters that JavaScript has negotiated. Throws if they are invalid.
    #[napi]
    pub fn agree(&mut self, params: Vec<Param>) -> Result<()> {
        self.agreed = Params::read(&params, self.role).map_err(invalid)?;
        Ok(())
    }

    /// Compresses `data`, and returns it as the payload of a frame. `fin` is true if
    /// `data` ends its message.
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

    /// Like `compress`, but on another thread. Only one call may be in progress.
    #[napi(ts_return_type = "Promise<Buffer>")]
    pub fn compress_async(&self, data: &[u8], fin: bool) -> AsyncTask<Work> {
        let (slot, deflater) = self.take_deflater();
        let data = data.to_vec();
        Work::task(move || Ok(deflate(&slot, deflater, &data, fin)))
    }

    /// Decompresses `data`, the payload of a frame. `fin` is true if it ends its
    /// message. Throws if the result is longer than `limit` bytes; 0 for no limit.
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

    /// Like `decompress`, but on another thread. Only one call may be in progress. If
    /// the peer is at fault, the error's message is the name of the violation.
    #[napi(ts_return_type = "Promise<Buffer>")]
    pub fn decompress_async(&self, data: &[u8], fin: bool, limit: f64) -> AsyncTask<Work> {
        let (slot, inflater) = self.take_inflater();
        let data = data.to_vec();
        Work::task(move || {
            inflate(&slot, inflater, &data, fin, limit)
                .map_err(|error| Error::from_reason(error.name()))
        })
    }

    /// Frees the contexts. A context that is in use is freed after its use.
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

    /// Creates a compressor for what this end sends, with the agreed parameters.
    pub(super) fn deflater(&self) -> Deflater {
        let options = self.agreed.deflate(self.role, self.level, self.mem_level);
        Deflater::new(options, pool(self.memory_budget))
    }

    /// Creates a decompressor for what this end receives, with the agreed parameters.
    pub(super) fn inflater(&self) -> Inflater {
        Inflater::new(self.agreed.inflate(self.role), pool(self.memory_budget))
    }
}

/// Holds a context between calls, which may run on different threads. If a call fails,
/// its context is lost, and the next call creates a new one.
struct Slot<T>(Arc<Mutex<Option<T>>>);

impl<T> Slot<T> {
    fn take(&self) -> Option<T> {
        self.content().take()
    }

    fn put(&self, context: T) {
        *self.content() = Some(context);
    }

    /// The lock is held only for a moment, and never while a context is in use.
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
    deflater.compress_to_boundary(data, fin, &mut out);
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

/// A task that makes a Buffer on a thread of libuv's pool.
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
            WindowOption::Bits(within(name, bits, least.into(), most.into())? as u8)
        }
    })
}

fn within(name: &str, value: f64, least: u64, most: u64) -> Result<u64> {
    if value.fract() == 0.0 && (least as f64..=most as f64).contains(&value) {
        return Ok(value as u64);
    }
    // As JavaScript writes it.
    let value = value.to_string().replace("inf", "Infinity");
    Err(Error::new(
        Status::InvalidArg,
        format!("perMessageDeflate.{name} must be an integer from {least} to {most}: {value}"),
    ))
}
