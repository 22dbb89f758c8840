//! `Encoder`: what a connection sends, for transports whose bytes go through
//! JavaScript.

use napi::bindgen_prelude::{AsyncTask, BufferSlice, Result};
use napi::{Env, Error, Status, Task};
use napi_derive::napi;
use oxws_protocol::frame::{FrameHead, Opcode, MAX_CONTROL_LEN, MAX_HEAD_LEN};
use oxws_protocol::{mask, Encoder as Inner, MessageKind, MessageOptions};

use super::panic::guard;
use super::permessage_deflate::PerMessageDeflate;
use crate::engine::mask_keys;

/// What a frame is to be, as bits of a number. The low eight are the first byte of
/// its head (RFC 6455, 5.2); RSV1 asks for compression.
#[derive(Clone, Copy)]
struct Flags(u32);

impl Flags {
    const FIN: u32 = 0x80;
    const RSV1: u32 = 0x40;
    const MASK: u32 = 0x100;

    fn fin(self) -> bool {
        self.0 & Self::FIN != 0
    }

    fn rsv1(self) -> bool {
        self.0 & Self::RSV1 != 0
    }

    fn opcode(self) -> Result<Opcode> {
        Ok(match self.0 & 0x0f {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xa => Opcode::Pong,
            opcode => {
                let text = format!("invalid opcode: {opcode}");
                return Err(Error::new(Status::InvalidArg, text));
            }
        })
    }

    fn kind(self) -> Result<MessageKind> {
        match self.opcode()? {
            Opcode::Text => Ok(MessageKind::Text),
            Opcode::Binary => Ok(MessageKind::Binary),
            _ => Err(Error::new(Status::InvalidArg, "no opcode of a message")),
        }
    }

    fn mask(self) -> Result<Option<[u8; 4]>> {
        if self.0 & Self::MASK == 0 {
            return Ok(None);
        }
        mask_keys::next()
            .map(Some)
            .map_err(|error| Error::from_reason(format!("no masking key: {error}")))
    }

    fn options(self) -> Result<MessageOptions> {
        Ok(MessageOptions {
            fin: self.fin(),
            compress: self.rsv1(),
            mask: self.mask()?,
        })
    }

    /// The head of a frame that is what the flags say, whatever came before it.
    fn head(self, len: usize) -> Result<FrameHead> {
        let opcode = self.opcode()?;
        let is_control = matches!(opcode, Opcode::Close | Opcode::Ping | Opcode::Pong);
        if is_control && len > MAX_CONTROL_LEN {
            return Err(Error::new(
                Status::InvalidArg,
                "The data size must not be greater than 125 bytes",
            ));
        }
        Ok(FrameHead {
            fin: self.fin(),
            rsv1: self.rsv1(),
            opcode,
            len,
            mask: self.mask()?,
        })
    }
}

/// Bytes to keep free before a payload for its frame's head.
#[napi]
pub const HEAD_ROOM: u32 = MAX_HEAD_LEN as u32;

/// Writes `head` right before the payload in `target`, masks that, and gives the
/// position at which the frame begins.
fn frame_in_place(head: &FrameHead, target: &mut [u8]) -> u32 {
    let mut bytes = [0; MAX_HEAD_LEN];
    let len = head.write(&mut bytes);
    let start = MAX_HEAD_LEN - len;
    target[start..MAX_HEAD_LEN].copy_from_slice(&bytes[..len]);
    if let Some(key) = head.mask {
        mask::apply(&mut target[MAX_HEAD_LEN..], key, 0);
    }
    start as u32
}

fn payload_len(target: &[u8]) -> Result<usize> {
    target
        .len()
        .checked_sub(MAX_HEAD_LEN)
        .ok_or_else(|| Error::new(Status::InvalidArg, "no room for a frame's head"))
}

/// Makes a frame of the payload that stands in `target` behind `HEAD_ROOM` bytes:
/// the position at which it begins. It is what `flags` say, whatever came before.
#[napi]
pub fn frame(mut target: BufferSlice<'_>, flags: u32) -> Result<u32> {
    guard(|| {
        let head = Flags(flags).head(payload_len(&target)?)?;
        Ok(frame_in_place(&head, &mut target))
    })
}

/// Turns messages into frames.
#[napi]
pub struct Encoder {
    /// `None` while a task on another thread compresses with it, and once closed.
    inner: Option<Inner>,
}

fn in_use() -> Error {
    Error::from_reason("the encoder is closed, or in use by compressAsync")
}

#[napi]
impl Encoder {
    /// An encoder at the beginning of a connection. Messages whose first fragment
    /// is shorter than `threshold` bytes are not compressed.
    #[napi(constructor)]
    pub fn new(deflate: Option<&PerMessageDeflate>, threshold: Option<f64>) -> Self {
        let threshold = threshold.unwrap_or_default().max(0.0) as usize;
        Self {
            inner: Some(Inner::new(
                deflate.map(PerMessageDeflate::deflater),
                threshold,
            )),
        }
    }

    /// Whether a message, or fragment, of `length` bytes would be compressed.
    #[napi]
    pub fn compresses(&self, length: f64, flags: u32) -> Result<bool> {
        let inner = self.inner.as_ref().ok_or_else(in_use)?;
        Ok(inner.compresses(length as usize, Flags(flags).rsv1()))
    }

    /// Makes a message, or its next fragment, of the payload that stands in
    /// `target` behind `HEAD_ROOM` bytes: the position at which its frame begins.
    /// It is not compressed.
    #[napi]
    pub fn frame(&mut self, mut target: BufferSlice<'_>, flags: u32) -> Result<u32> {
        let inner = self.inner.as_mut().ok_or_else(in_use)?;
        guard(|| {
            let flags = Flags(flags);
            let len = payload_len(&target)?;
            let head = inner.plain_head(flags.kind()?, len, flags.options()?);
            Ok(frame_in_place(&head, &mut target))
        })
    }

    /// Writes the head of an unmasked message, or fragment, of `length` bytes to
    /// the end of `target`, which is `HEAD_ROOM` bytes long: the position at which
    /// it begins. The payload is for the caller to write.
    #[napi]
    pub fn head(&mut self, mut target: BufferSlice<'_>, length: f64, flags: u32) -> Result<u32> {
        let inner = self.inner.as_mut().ok_or_else(in_use)?;
        guard(|| {
            payload_len(&target)?;
            let flags = Flags(flags & !Flags::MASK);
            let head = inner.plain_head(flags.kind()?, length as usize, flags.options()?);
            Ok(frame_in_place(&head, &mut target[..MAX_HEAD_LEN]))
        })
    }

    /// The frame that carries `data` compressed.
    #[napi]
    pub fn compress<'env>(
        &mut self,
        env: &'env Env,
        data: &[u8],
        flags: u32,
    ) -> Result<BufferSlice<'env>> {
        let inner = self.inner.as_mut().ok_or_else(in_use)?;
        let frame = guard(|| compress(inner, data, Flags(flags)))?;
        BufferSlice::copy_from(env, frame)
    }

    /// As `compress`, on another thread, which has this encoder until `restore`: until
    /// then nothing else may be called.
    #[napi]
    pub fn compress_async(&mut self, data: &[u8], flags: u32) -> Result<AsyncTask<CompressTask>> {
        let inner = self.inner.take().ok_or_else(in_use)?;
        Ok(AsyncTask::new(CompressTask {
            inner: Some(inner),
            data: data.to_vec(),
            flags: Flags(flags),
        }))
    }

    /// Takes the encoder back from the task that `compressAsync` started.
    #[napi]
    pub fn restore(&mut self, compressed: &mut Compressed) {
        self.inner = compressed.inner.take();
    }

    /// Frees what is held. Nothing can be sent any more.
    #[napi]
    pub fn close(&mut self) {
        self.inner = None;
    }
}

/// The frame whose payload is `data` compressed.
fn compress(inner: &mut Inner, data: &[u8], flags: Flags) -> Result<Vec<u8>> {
    let options = flags.options()?;
    let mut frame = vec![0; MAX_HEAD_LEN];
    let head = inner.compress(flags.kind()?, data, options, &mut frame);
    let start = frame_in_place(&head, &mut frame) as usize;
    frame.drain(..start);
    Ok(frame)
}

/// Compresses on a thread of libuv's pool.
pub struct CompressTask {
    inner: Option<Inner>,
    data: Vec<u8>,
    flags: Flags,
}

/// What `compressAsync` resolves to.
#[napi]
pub struct Compressed {
    inner: Option<Inner>,
    frame: Vec<u8>,
}

#[napi]
impl Compressed {
    /// The frame.
    #[napi]
    pub fn take_frame<'env>(&mut self, env: &'env Env) -> Result<BufferSlice<'env>> {
        BufferSlice::from_data(env, std::mem::take(&mut self.frame))
    }
}

impl Task for CompressTask {
    type Output = Compressed;
    type JsValue = Compressed;

    fn compute(&mut self) -> Result<Compressed> {
        guard(|| {
            let mut inner = self.inner.take().ok_or_else(in_use)?;
            let frame = compress(&mut inner, &self.data, self.flags)?;
            Ok(Compressed {
                inner: Some(inner),
                frame,
            })
        })
    }

    fn resolve(&mut self, _env: Env, output: Compressed) -> Result<Compressed> {
        Ok(output)
    }
}
