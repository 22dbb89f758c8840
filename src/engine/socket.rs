//! A socket that Node opened, taken over.

use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::{tcp, unix, TcpStream, UnixStream};

/// A descriptor of the engine's own for a socket that Node has, too: closing either
/// leaves the other.
pub(crate) struct Adopted {
    fd: OwnedFd,
    is_tcp: bool,
}

impl Adopted {
    /// Duplicates a descriptor, close-on-exec.
    ///
    /// # Errors
    ///
    /// If it is not open, or there are no more descriptors.
    ///
    /// # Safety
    ///
    /// Nobody closes `fd` during the call.
    pub(crate) unsafe fn duplicate(fd: RawFd, is_tcp: bool) -> io::Result<Self> {
        if fd < 0 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // SAFETY: promised by the caller; a closed descriptor is an error below.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
        Ok(Self { fd, is_tcp })
    }

    /// Registers the socket with the current runtime.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch the descriptor.
    pub(crate) fn register(self) -> io::Result<(ReadHalf, WriteHalf)> {
        // Node has made it non-blocking.
        if self.is_tcp {
            let (read, write) = TcpStream::from_std(self.fd.into())?.into_split();
            Ok((ReadHalf::Tcp(read), WriteHalf::Tcp(write)))
        } else {
            let stream: StdUnixStream = self.fd.into();
            let (read, write) = UnixStream::from_std(stream)?.into_split();
            Ok((ReadHalf::Unix(read), WriteHalf::Unix(write)))
        }
    }
}

/// The half that is read from.
pub(crate) enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_read(context, buffer),
            Self::Unix(half) => Pin::new(half).poll_read(context, buffer),
        }
    }
}

/// The half that is written to.
pub(crate) enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
}

impl WriteHalf {
    pub(crate) fn try_write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match (self, slices) {
            (Self::Tcp(half), [one]) => half.try_write(one),
            (Self::Tcp(half), many) => half.try_write_vectored(many),
            (Self::Unix(half), [one]) => half.try_write(one),
            (Self::Unix(half), many) => half.try_write_vectored(many),
        }
    }

    /// Whether the socket takes something; the task is woken when it may.
    pub(crate) fn poll_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(half) => half.as_ref().poll_write_ready(context),
            Self::Unix(half) => half.as_ref().poll_write_ready(context),
        }
    }

    /// Tells the other end that nothing more comes.
    pub(crate) fn shutdown(&self) {
        // It fails where the other end is gone already.
        let _ = match self {
            Self::Tcp(half) => {
                socket2::SockRef::from(half.as_ref()).shutdown(std::net::Shutdown::Write)
            }
            Self::Unix(half) => {
                socket2::SockRef::from(half.as_ref()).shutdown(std::net::Shutdown::Write)
            }
        };
    }

    /// Lets go without telling the other end anything: Node's descriptor does.
    pub(crate) fn forget(self) {
        match self {
            Self::Tcp(half) => half.forget(),
            Self::Unix(half) => half.forget(),
        }
    }
}
