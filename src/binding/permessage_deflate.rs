//! `PerMessageDeflate`: negotiation of the extension, and compression by itself.

use std::cell::RefCell;

use napi::bindgen_prelude::{BufferSlice, Either, Result};
use napi::{Env, Error, Status};
use napi_derive::napi;
use oxws_protocol::deflate::{ContextPool, Deflater, Inflater, WINDOW_BITS};
use oxws_protocol::handshake::permessage_deflate::{Options, Params, Role, WindowOption};

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
    deflater: Option<Deflater>,
    inflater: Option<Inflater>,
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
            deflater: None,
            inflater: None,
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
        let invalid = |error| Error::new(Status::GenericFailure, format!("{error}"));
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

    /// The payload of a frame that carries `data`, which ends its message if `fin`.
    #[napi]
    pub fn compress<'env>(
        &mut self,
        env: &'env Env,
        data: &[u8],
        fin: bool,
    ) -> Result<BufferSlice<'env>> {
        let mut out = Vec::new();
        let mut deflater = self.deflater.take().unwrap_or_else(|| self.deflater());
        guard(|| {
            deflater.compress(data, fin, &mut out);
            Ok(())
        })?;
        self.deflater = Some(deflater);
        BufferSlice::from_data(env, out)
    }

    /// What `data`, the payload of a frame, carries; it ends its message if `fin`.
    /// It throws on more than `limit` bytes, where that is not 0.
    #[napi]
    pub fn decompress<'env>(
        &mut self,
        env: &'env Env,
        data: &[u8],
        fin: bool,
        limit: f64,
    ) -> Result<BufferSlice<'env>> {
        let limit = if limit > 0.0 {
            limit as usize
        } else {
            usize::MAX
        };
        let mut out = Vec::new();
        let mut inflater = self.inflater.take().unwrap_or_else(|| self.inflater());
        guard(|| {
            inflater
                .decompress(data, &mut out, limit)
                .and_then(|()| match fin {
                    true => inflater.finish(&mut out, limit),
                    false => Ok(()),
                })
                .map_err(|error| Error::from_reason(error.to_string()))
        })?;
        self.inflater = Some(inflater);
        BufferSlice::from_data(env, out)
    }

    /// Frees the contexts of `compress` and `decompress`.
    #[napi]
    pub fn cleanup(&mut self) {
        self.deflater = None;
        self.inflater = None;
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
