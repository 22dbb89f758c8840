//! The class `PreparedMessage`.

use std::sync::Arc;

use napi::bindgen_prelude::{AsyncTask, BufferSlice, ObjectFinalize, Result};
use napi::{Env, Error, Status, Task};
use napi_derive::napi;
use oxws_protocol::deflate::WINDOW_BITS;
use oxws_protocol::{MessageKind, PreparedFrame, PreparedMessage as Inner};

use super::panic::guard;

/// A message that is framed and compressed once, and sent to many connections.
#[napi(custom_finalize)]
pub struct PreparedMessage {
    pub(super) message: Arc<Inner>,
}

#[napi]
impl PreparedMessage {
    /// Creates a message. `compress` tells whether it is compressed for connections that
    /// have agreed on permessage-deflate.
    #[napi(constructor)]
    pub fn new(env: Env, data: &[u8], is_binary: bool, compress: bool) -> Result<Self> {
        let kind = if is_binary {
            MessageKind::Binary
        } else {
            MessageKind::Text
        };
        // V8 frees old messages in time only if it knows how much memory they have.
        env.adjust_external_memory(data.len() as i64)?;
        Ok(Self {
            message: Arc::new(Inner::new(kind, data, compress)),
        })
    }

    /// Returns a copy of the message, as it was given.
    #[napi]
    pub fn data<'env>(&self, env: &'env Env) -> Result<BufferSlice<'env>> {
        BufferSlice::copy_from(env, self.message.payload())
    }

    /// Returns a copy of its frame, without masking. `window` is the window for which it is
    /// compressed, as the base-2 logarithm of bytes; 0 if it is not compressed.
    #[napi]
    pub fn frame<'env>(&self, env: &'env Env, window: u32) -> Result<BufferSlice<'env>> {
        let frame = guard(|| self.prepare(window))?;
        BufferSlice::copy_from(env, frame.bytes())
    }

    /// Returns a copy of the payload of that frame.
    #[napi]
    pub fn payload<'env>(&self, env: &'env Env, window: u32) -> Result<BufferSlice<'env>> {
        let frame = guard(|| self.prepare(window))?;
        BufferSlice::copy_from(env, frame.payload())
    }

    /// Returns whether the message has been compressed for this window.
    #[napi]
    pub fn is_compressed(&self, window: u32) -> Result<bool> {
        Ok(self.message.is_compressed(window_bits(window)?))
    }

    /// Compresses the message for this window on another thread.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn compress_async(&self, window: u32) -> Result<AsyncTask<Compress>> {
        Ok(AsyncTask::new(Compress {
            message: self.message.clone(),
            window: window_bits(window)?,
        }))
    }

    fn prepare(&self, window: u32) -> Result<PreparedFrame> {
        if window == 0 {
            return Ok(self.message.plain().clone());
        }
        Ok(self.message.compressed(window_bits(window)?).clone())
    }
}

impl ObjectFinalize for PreparedMessage {
    fn finalize(self, env: Env) -> Result<()> {
        let len = self.message.payload().len();
        env.adjust_external_memory(-(len as i64))?;
        Ok(())
    }
}

fn window_bits(window: u32) -> Result<u8> {
    u8::try_from(window)
        .ok()
        .filter(|window| WINDOW_BITS.contains(window))
        .ok_or_else(|| Error::new(Status::InvalidArg, format!("no window: {window}")))
}

/// Compresses on a thread of libuv's pool.
pub struct Compress {
    message: Arc<Inner>,
    window: u8,
}

impl Task for Compress {
    type Output = ();
    type JsValue = ();

    fn compute(&mut self) -> Result<()> {
        guard(|| {
            self.message.compressed(self.window);
            Ok(())
        })
    }

    fn resolve(&mut self, _env: Env, (): ()) -> Result<()> {
        Ok(())
    }
}
