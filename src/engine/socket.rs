//! A socket that Node opened, taken over.

use std::io::{self, IoSlice};
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::{tcp, unix, TcpStream, UnixStream};

use super::traffic::Traffic;

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

    /// Registers the socket with the current runtime; what is read is counted.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch the descriptor.
    pub(crate) fn register(self, traffic: Traffic) -> io::Result<(ReadHalf, WriteHalf)> {
        // Node has made it non-blocking.
        let (stream, write) = if self.is_tcp {
            let (read, write) = TcpStream::from_std(self.fd.into())?.into_split();
            (Readable::Tcp(read), WriteHalf::Tcp(write))
        } else {
            let stream: StdUnixStream = self.fd.into();
            let (read, write) = UnixStream::from_std(stream)?.into_split();
            (Readable::Unix(read), WriteHalf::Unix(write))
        };
        Ok((ReadHalf { stream, traffic }, write))
    }
}

/// The half that is read from.
pub(crate) struct ReadHalf {
    stream: Readable,
    traffic: Traffic,
}

enum Readable {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let result = match &mut this.stream {
            Readable::Tcp(half) => Pin::new(half).poll_read(context, buffer),
            Readable::Unix(half) => Pin::new(half).poll_read(context, buffer),
        };
        this.traffic.receive(buffer.filled().len() - before);
        result
    }
}

/// The half that is written to.
pub(crate) enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
}

impl WriteHalf {
    /// Writes as much as the socket takes at once.
    ///
    /// tokio would not try before its driver has told it that the socket is writable,
    /// and what is sent right after a connection is made would not go out at once.
    pub(crate) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = match self {
            Self::Tcp(half) => SockRef::from(half.as_ref()),
            Self::Unix(half) => SockRef::from(half.as_ref()),
        };
        let result = match slices {
            [one] => socket.send(one),
            many => socket.send_vectored(many),
        };
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        if result.as_ref().is_err_and(refused) {
            // tokio is to wait for the socket to be writable anew.
            let forget = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
            let _ = match self {
                Self::Tcp(half) => half.as_ref().try_io(Interest::WRITABLE, forget),
                Self::Unix(half) => half.as_ref().try_io(Interest::WRITABLE, forget),
            };
        }
        result
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
            Self::Tcp(half) => SockRef::from(half.as_ref()).shutdown(std::net::Shutdown::Write),
            Self::Unix(half) => SockRef::from(half.as_ref()).shutdown(std::net::Shutdown::Write),
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
