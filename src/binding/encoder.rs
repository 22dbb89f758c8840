//! `Encoder`: what a connection sends, for transports whose bytes go through
//! JavaScript.

use napi::bindgen_prelude::{AsyncTask, Buffer, BufferSlice, Result};
use napi::{Env, Error, Status, Task};
use napi_derive::napi;
use oxws_protocol::frame::{FrameHead, Opcode, MAX_CONTROL_LEN, MAX_HEAD_LEN};
use oxws_protocol::{mask, Encoder as Inner, MessageKind, MessageOptions};

use super::panic::guard;
use super::permessage_deflate::PerMessageDeflate;
use crate::border::flag;
use crate::engine::mask_keys;

/// What a frame is to be: see [`flag`].
#[derive(Clone, Copy)]
struct Flags(u32);

impl Flags {
    fn fin(self) -> bool {
        self.0 & flag::FIN != 0
    }

    fn rsv1(self) -> bool {
        self.0 & flag::RSV1 != 0
    }

    fn opcode(self) -> Result<Opcode> {
        Ok(match self.0 & flag::OPCODE {
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

    /// The masking key: the given one, or one that is drawn.
    fn mask(self, given: Option<Buffer>) -> Result<Option<[u8; 4]>> {
        if self.0 & flag::MASK == 0 {
            return Ok(None);
        }
        if let Some(given) = given {
            let wrong = || Error::new(Status::InvalidArg, "a masking key has four bytes");
            return (given.as_ref().try_into()).map(Some).map_err(|_| wrong());
        }
        mask_keys::next()
            .map(Some)
            .map_err(|error| Error::from_reason(format!("no masking key: {error}")))
    }

    fn options(self, key: Option<Buffer>) -> Result<MessageOptions> {
        Ok(MessageOptions {
            fin: self.fin(),
            compress: self.rsv1(),
            mask: self.mask(key)?,
        })
    }

    /// The head of a frame that is what the flags say, whatever came before it.
    fn head(self, len: usize, key: Option<Buffer>) -> Result<FrameHead> {
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
            mask: self.mask(key)?,
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
    target.len().checked_sub(MAX_HEAD_LEN).ok_or_else(no_room)
}

fn no_room() -> Error {
    Error::new(Status::InvalidArg, "no room for a frame's head")
}

/// Makes a frame of the payload that stands in `target` behind `HEAD_ROOM` bytes:
/// the position at which it begins. It is what `flags` say, whatever came before.
#[napi]
pub fn frame(mut target: BufferSlice<'_>, flags: u32, key: Option<Buffer>) -> Result<u32> {
    guard(|| {
        let head = Flags(flags).head(payload_len(&target)?, key)?;
        Ok(frame_in_place(&head, &mut target))
    })
}

/// Writes the head of a frame to `target`, which has `HEAD_ROOM` bytes, for a payload of
/// `length` bytes that is written by itself and not masked: how long the head is.
#[napi]
pub fn frame_head(mut target: BufferSlice<'_>, length: f64, flags: u32) -> Result<u32> {
    guard(|| {
        let head = Flags(flags & !flag::MASK).head(length as usize, None)?;
        let room = target.first_chunk_mut().ok_or_else(no_room)?;
        Ok(head.write(room) as u32)
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
    pub fn frame(
        &mut self,
        mut target: BufferSlice<'_>,
        flags: u32,
        key: Option<Buffer>,
    ) -> Result<u32> {
        let inner = self.inner.as_mut().ok_or_else(in_use)?;
        guard(|| {
            let flags = Flags(flags);
            let len = payload_len(&target)?;
            let head = inner.plain_head(flags.kind()?, len, flags.options(key)?);
            Ok(frame_in_place(&head, &mut target))
        })
    }

    /// The frame that carries `data` compressed.
    #[napi]
    pub fn compress<'env>(
        &mut self,
        env: &'env Env,
        data: &[u8],
        flags: u32,
        key: Option<Buffer>,
    ) -> Result<BufferSlice<'env>> {
        let inner = self.inner.as_mut().ok_or_else(in_use)?;
        let flags = Flags(flags);
        let mask = flags.mask(key)?;
        let frame = guard(|| compress(inner, data, flags, mask))?;
        BufferSlice::copy_from(env, frame)
    }

    /// As `compress`, on another thread, which has this encoder until `restore`: until
    /// then nothing else may be called.
    #[napi]
    pub fn compress_async(
        &mut self,
        data: &[u8],
        flags: u32,
        key: Option<Buffer>,
    ) -> Result<AsyncTask<CompressTask>> {
        let mask = Flags(flags).mask(key)?;
        let inner = self.inner.take().ok_or_else(in_use)?;
        Ok(AsyncTask::new(CompressTask {
            inner: Some(inner),
            data: data.to_vec(),
            flags: Flags(flags),
            mask,
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
fn compress(
    inner: &mut Inner,
    data: &[u8],
    flags: Flags,
    mask: Option<[u8; 4]>,
) -> Result<Vec<u8>> {
    let options = MessageOptions {
        fin: flags.fin(),
        compress: flags.rsv1(),
        mask,
    };
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
    mask: Option<[u8; 4]>,
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
            let frame = compress(&mut inner, &self.data, self.flags, self.mask)?;
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
