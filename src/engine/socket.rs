//! A socket that Node opened, taken over.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::net::Shutdown;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::task::{ready, Context, Poll};

use socket2::SockRef;
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

use super::traffic::Traffic;

/// A descriptor of the engine's own for a socket that Node has, too: closing either
/// leaves the other. Node has made it non-blocking.
pub(crate) struct Adopted(OwnedFd);

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
    pub(crate) unsafe fn duplicate(fd: RawFd) -> io::Result<Self> {
        if fd < 0 {
            return Err(ErrorKind::InvalidInput.into());
        }
        // SAFETY: promised by the caller; a closed descriptor is an error below.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()?;
        Ok(Self(fd))
    }

    /// Registers the socket with the current runtime; what is read is counted.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch the descriptor.
    pub(crate) fn register(self, traffic: Traffic) -> io::Result<Socket> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        // SAFETY: an `OwnedFd` is open, and the same one, until it is dropped.
        let fd = unsafe { AsyncFd::register_with_interest(self.0, interest) }?;
        Ok(Socket {
            fd,
            is_unasked: Cell::new(false),
            traffic,
        })
    }
}

/// The socket.
pub(crate) struct Socket {
    fd: AsyncFd<OwnedFd>,
    /// Whether it may be readable though tokio was told to forget that.
    is_unasked: Cell<bool>,
    traffic: Traffic,
}

/// What is known of the other end without reading.
#[derive(Debug)]
pub(crate) enum Other {
    /// There is something to read before its end, or it has not ended.
    Lives,
    /// It sends no more, and what it sent is read.
    HasEnded,
    /// The connection failed.
    Failed(io::Error),
}

impl Socket {
    fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.fd)
    }

    /// Reads to `buffer`: 0 at the end.
    pub(crate) fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let len = buffer.len();
        self.poll_receive(context, len, |socket| Read::read(&mut &**socket, buffer))
    }

    /// Appends at most `most` bytes to `buffer`, within its capacity.
    pub(crate) fn poll_append(
        &self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let before = buffer.len();
        let room = buffer.spare_capacity_mut();
        let len = room.len().min(most);
        let received = self.poll_receive(context, len, |socket| socket.recv(&mut room[..len]));
        if let Poll::Ready(Ok(count)) = received {
            // SAFETY: the system has written so many bytes to the spare capacity.
            unsafe { buffer.set_len(before + count) };
        }
        received
    }

    fn poll_receive(
        &self,
        context: &mut Context<'_>,
        len: usize,
        mut receive: impl FnMut(&SockRef<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let mut receive = || uninterrupted(|| receive(&self.socket()));
        if self.is_unasked.take() {
            match receive() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => {
                    // There may be more, of which tokio does not know either.
                    self.is_unasked.set(true);
                    return Poll::Ready(self.counted(result));
                }
            }
        }
        loop {
            let mut ready = ready!(self.fd.poll_read_ready(context))?;
            let result = receive();
            match &result {
                // Less than there is room for is all that there is: it need not be
                // asked again.
                Ok(count) if (1..len).contains(count) => ready.clear_ready(),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    continue;
                }
                _ => {}
            }
            return Poll::Ready(self.counted(result));
        }
    }

    fn counted(&self, result: io::Result<usize>) -> io::Result<usize> {
        if let Ok(count) = result {
            self.traffic.receive(count);
        }
        result
    }

    /// Waits, without reading, until the other end sends no more or the connection
    /// fails; for a failure alone if it is known to send no more.
    pub(crate) async fn hung_up(self: Rc<Self>, sends_no_more: bool) -> io::Result<()> {
        if sends_no_more {
            self.fd.ready(Interest::ERROR).await?.retain_ready();
            return Ok(());
        }
        loop {
            let mut guard = self.fd.ready(Interest::READABLE | Interest::ERROR).await?;
            let ready = guard.ready();
            if ready.is_read_closed() || ready.is_error() {
                return Ok(());
            }
            // Data, which is to wait: tokio tells of what comes behind it.
            self.is_unasked.set(true);
            guard.clear_ready();
        }
    }

    /// Looks at the other end once [`hung_up`](Self::hung_up) has come back.
    pub(crate) fn other(&self) -> Other {
        let socket = self.socket();
        match socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return Other::Failed(error),
        }
        let mut first = [std::mem::MaybeUninit::uninit()];
        match uninterrupted(|| socket.peek(&mut first)) {
            Ok(0) => Other::HasEnded,
            Ok(_) => Other::Lives,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Other::Lives,
            Err(error) => Other::Failed(error),
        }
    }

    /// Writes as much as the socket takes at once.
    ///
    /// tokio would not try before its driver has told it that the socket is writable,
    /// and what is sent right after a connection is made would not go out at once.
    pub(crate) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = self.socket();
        let result = uninterrupted(|| match slices {
            [one] => socket.send(one),
            many => socket.send_vectored(many),
        });
        let refused = |error: &io::Error| error.kind() == ErrorKind::WouldBlock;
        if result.as_ref().is_err_and(refused) {
            // tokio is to wait for the socket to be writable anew.
            let forget = |_: &OwnedFd| Err::<(), _>(ErrorKind::WouldBlock.into());
            let _ = self.fd.try_io(Interest::WRITABLE, forget);
        }
        result
    }

    /// Whether the socket takes something; the task is woken when it may.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fd.poll_write_ready(context).map_ok(drop)
    }

    /// Tells the other end that nothing more comes.
    pub(crate) fn shutdown(&self) {
        // It fails where the other end is gone already.
        let _ = self.socket().shutdown(Shutdown::Write);
    }
}

/// Makes a system call until no signal interrupts it.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
