//! The class `Encoder`: encodes what a connection sends, for transports that write
//! through JavaScript.

use napi::bindgen_prelude::{AsyncTask, BufferSlice, Result};
use napi::{Env, Error, Status, Task};
use napi_derive::napi;
use oxws_protocol::frame::{FrameHead, Opcode, MAX_CONTROL_LEN, MAX_HEAD_LEN};
use oxws_protocol::{mask, Encoder as Inner, MessageKind, MessageOptions};

use super::panic::guard;
use super::permessage_deflate::PerMessageDeflate;
use super::prepared::PreparedMessage;
use crate::border::flag;
use crate::engine::mask_keys;

/// The flags of a frame to send: see [`flag`].
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

    /// Returns the masking key: the given one, or else a new one.
    fn mask(self, given: Option<BufferSlice<'_>>) -> Result<Option<[u8; 4]>> {
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

    fn options(self, key: Option<BufferSlice<'_>>) -> Result<MessageOptions> {
        Ok(MessageOptions {
            fin: self.fin(),
            compress: self.rsv1(),
            mask: self.mask(key)?,
        })
    }

    /// Returns the head of a frame. It depends on the flags, and not on earlier frames.
    fn head(self, len: usize, key: Option<BufferSlice<'_>>) -> Result<FrameHead> {
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

/// Makes a frame of the payload in `target`, which begins at `at`: writes `head` directly
/// before it, and masks it. Returns the position at which the frame begins.
fn frame_in_place(head: &FrameHead, target: &mut [u8], at: usize) -> Result<usize> {
    let mut bytes = [0; MAX_HEAD_LEN];
    let len = head.write(&mut bytes);
    let start = at.checked_sub(len).ok_or_else(wrong_room)?;
    target[start..at].copy_from_slice(&bytes[..len]);
    if let Some(key) = head.mask {
        mask::apply(&mut target[at..], key, 0);
    }
    Ok(start)
}

/// As [`frame_in_place`], if the head takes all bytes before the payload.
fn frame_whole(head: &FrameHead, target: &mut [u8], at: usize) -> Result<()> {
    match frame_in_place(head, target, at)? {
        0 => Ok(()),
        _ => Err(wrong_room()),
    }
}

fn payload_len(target: &[u8], at: usize) -> Result<usize> {
    target.len().checked_sub(at).ok_or_else(wrong_room)
}

fn wrong_room() -> Error {
    Error::new(Status::InvalidArg, "the head has another length")
}

/// Makes a frame of the payload in `target`, which begins at `at`, directly behind space for
/// the head. The frame depends on `flags`, and not on earlier frames.
#[napi]
pub fn frame(
    mut target: BufferSlice<'_>,
    at: u32,
    flags: u32,
    key: Option<BufferSlice<'_>>,
) -> Result<()> {
    guard(|| {
        let at = at as usize;
        let head = Flags(flags).head(payload_len(&target, at)?, key)?;
        frame_whole(&head, &mut target, at)
    })
}

/// Encodes messages into frames.
#[napi]
pub struct Encoder {
    /// `None` while another thread compresses with it, and after `close`.
    inner: Option<Inner>,
}

fn in_use() -> Error {
    Error::from_reason("the encoder is closed, or in use by compressAsync")
}

#[napi]
impl Encoder {
    /// Creates an encoder for a new connection. Messages whose first fragment is
    /// shorter than `threshold` bytes are not compressed.
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

    /// Returns whether a message or fragment of `length` bytes would be compressed.
    #[napi]
    pub fn compresses(&self, length: f64, flags: u32) -> Result<bool> {
        let inner = self.inner.as_ref().ok_or_else(in_use)?;
        Ok(inner.compresses(length as usize, Flags(flags).rsv1()))
    }

    /// Makes an uncompressed message, or its next fragment, of the payload in `target`, which
    /// begins at `at`, directly behind space for the head.
    #[napi]
    pub fn frame(
        &mut self,
        mut target: BufferSlice<'_>,
        at: u32,
        flags: u32,
        key: Option<BufferSlice<'_>>,
    ) -> Result<()> {
        let inner = self.inner.as_mut().ok_or_else(in_use)?;
        guard(|| {
            let (flags, at) = (Flags(flags), at as usize);
            let len = payload_len(&target, at)?;
            let head = inner.plain_head(flags.kind()?, len, flags.options(key)?);
            frame_whole(&head, &mut target, at)
        })
    }

    /// Returns a frame whose payload is `data`, compressed.
    #[napi]
    pub fn compress<'env>(
        &mut self,
        env: &'env Env,
        data: &[u8],
        flags: u32,
        key: Option<BufferSlice<'_>>,
    ) -> Result<BufferSlice<'env>> {
        let inner = self.inner.as_mut().ok_or_else(in_use)?;
        let flags = Flags(flags);
        let mask = flags.mask(key)?;
        let (frame, start) = guard(|| compress(inner, data, flags, mask))?;
        BufferSlice::copy_from(env, &frame[start..])
    }

    /// Returns the window, as the base-2 logarithm of bytes, for which a prepared message is
    /// compressed on this connection; 0 if it is not compressed.
    #[napi]
    pub fn prepared_window(&self, message: &PreparedMessage) -> Result<u32> {
        let inner = self.inner.as_ref().ok_or_else(in_use)?;
        let window = inner.prepared_window(&message.message);
        Ok(window.map_or(0, u32::from))
    }

    /// Call this before a prepared message is written that is compressed: the messages after
    /// it do not refer to those before it.
    #[napi]
    pub fn note_prepared(&mut self, message: &PreparedMessage) -> Result<()> {
        let inner = self.inner.as_mut().ok_or_else(in_use)?;
        guard(|| {
            inner.prepared(&message.message);
            Ok(())
        })
    }

    /// Like `compress`, but on another thread. That thread has the encoder until
    /// `restore` is called. Until then, do not call any other method.
    #[napi]
    pub fn compress_async(
        &mut self,
        data: &[u8],
        flags: u32,
        key: Option<BufferSlice<'_>>,
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

    /// Frees the memory of the encoder. Nothing can be sent after that.
    #[napi]
    pub fn close(&mut self) {
        self.inner = None;
    }
}

/// Returns bytes that end with a frame whose payload is `data`, compressed, and the position
/// at which the frame begins.
fn compress(
    inner: &mut Inner,
    data: &[u8],
    flags: Flags,
    mask: Option<[u8; 4]>,
) -> Result<(Vec<u8>, usize)> {
    let options = MessageOptions {
        fin: flags.fin(),
        compress: flags.rsv1(),
        mask,
    };
    let mut frame = vec![0; MAX_HEAD_LEN];
    let head = inner.compress(flags.kind()?, data, options, &mut frame);
    let start = frame_in_place(&head, &mut frame, MAX_HEAD_LEN)?;
    Ok((frame, start))
}

/// Compresses on a thread of libuv's pool.
pub struct CompressTask {
    inner: Option<Inner>,
    data: Vec<u8>,
    flags: Flags,
    mask: Option<[u8; 4]>,
}

/// The result of `compressAsync`.
#[napi]
pub struct Compressed {
    inner: Option<Inner>,
    frame: Vec<u8>,
}

#[napi]
impl Compressed {
    /// Takes the frame.
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
            let (mut frame, start) = compress(&mut inner, &self.data, self.flags, self.mask)?;
            frame.drain(..start);
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
