//! Sockets: those that Node opened and the engine adopts, those that accept connections,
//! and the connections that these accept.

use std::cell::Cell;
use std::io::{self, ErrorKind, IoSlice, Read};
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::task::{ready, Context, Poll};

use socket2::{Domain, MaybeUninitSlice, SockRef, Type};
use tokio::io::unix::AsyncFd;
use tokio::io::Interest;

use super::traffic::Traffic;

/// A descriptor of the engine that no runtime watches. It is non-blocking.
pub(crate) struct Descriptor(Arc<OwnedFd>);

impl Descriptor {
    /// Duplicates a descriptor that Node has made non-blocking, with close-on-exec.
    /// Closing one of both does not close the other.
    ///
    /// # Errors
    ///
    /// If it is not open, or no descriptors are left.
    ///
    /// # Safety
    ///
    /// Nobody closes `fd` during the call.
    pub(crate) unsafe fn duplicate(fd: RawFd) -> io::Result<Self> {
        // SAFETY: promised by the caller.
        let fd = unsafe { duplicate(fd) }?;
        Ok(Self(Arc::new(fd)))
    }

    /// Returns the descriptor alone. Nobody else uses it then.
    ///
    /// # Errors
    ///
    /// If somebody else uses it now, and no descriptors are left for a duplicate.
    pub(crate) fn into_owned(self) -> io::Result<OwnedFd> {
        Arc::try_unwrap(self.0).or_else(|shared| shared.try_clone())
    }

    /// Registers the socket with the current runtime. `traffic` counts the bytes received.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch the descriptor.
    pub(crate) fn register(self, traffic: Traffic) -> io::Result<Socket> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        // SAFETY: an `Arc<OwnedFd>` keeps the descriptor open, with the same number, until
        // it is dropped.
        let fd = unsafe { AsyncFd::register_with_interest(self.0, interest) }?;
        Ok(Socket {
            fd,
            may_have_data: Cell::new(false),
            traffic,
        })
    }
}

/// Duplicates a descriptor, with close-on-exec.
///
/// # Safety
///
/// Nobody closes `fd` during the call.
unsafe fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(ErrorKind::InvalidInput.into());
    }
    // SAFETY: the caller promises that `fd` is not closed meanwhile. If it is not
    // open, the call fails.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
}

/// A socket that listens, and that no runtime watches. It is non-blocking.
pub(crate) struct ListenerSocket(OwnedFd);

impl ListenerSocket {
    /// Duplicates the descriptor of a bound socket of Node, and has it listen with a queue
    /// of at most `backlog` connections.
    ///
    /// # Errors
    ///
    /// If the address is in use, or no descriptors are left.
    ///
    /// # Safety
    ///
    /// Nobody closes `fd` during the call.
    pub(crate) unsafe fn listen(fd: RawFd, backlog: i32) -> io::Result<Self> {
        // SAFETY: promised by the caller.
        let fd = unsafe { duplicate(fd) }?;
        let socket = SockRef::from(&fd);
        // Accepted connections inherit this. It fails for Unix-domain sockets.
        let _ = socket.set_tcp_nodelay(true);
        socket.listen(backlog)?;
        Ok(Self(fd))
    }

    /// Registers the socket with the current runtime.
    ///
    /// # Errors
    ///
    /// If the runtime cannot watch the descriptor.
    pub(crate) fn register(self) -> io::Result<AsyncFd<OwnedFd>> {
        // SAFETY: an `OwnedFd` stays open, with the same number, until it is dropped.
        unsafe { AsyncFd::register_with_interest(self.0, Interest::READABLE) }.map_err(Into::into)
    }
}

/// Returns a TCP socket that is bound to an address to which other sockets may be bound as
/// well (`SO_REUSEPORT`): the system balances connections among those that listen. It does
/// not listen yet. Without an `ip`, it is bound to all addresses of IPv6 and IPv4, or only
/// of IPv4 if the system has no IPv6.
///
/// # Errors
///
/// If the address is in use without `SO_REUSEPORT`, is not one of this system, or may not
/// be used.
pub(crate) fn bind_shared(ip: Option<IpAddr>, port: u16) -> io::Result<OwnedFd> {
    let Some(ip) = ip else {
        return bind_to((Ipv6Addr::UNSPECIFIED, port).into())
            .or_else(|_| bind_to((Ipv4Addr::UNSPECIFIED, port).into()));
    };
    bind_to((ip, port).into())
}

fn bind_to(address: SocketAddr) -> io::Result<OwnedFd> {
    let socket = socket2::Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Accepts a connection from a listening socket.
///
/// # Errors
///
/// `WouldBlock` if there is none, or an error of the system.
pub(crate) fn accept(listener: &AsyncFd<OwnedFd>) -> io::Result<Descriptor> {
    let fd = listener.get_ref().as_raw_fd();
    let accepted = uninterrupted(|| {
        #[cfg(target_os = "linux")]
        // SAFETY: `fd` is open. The address of the peer is not requested. The result is a
        // new descriptor, which nobody else has.
        unsafe {
            let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
            let accepted = libc::accept4(fd, std::ptr::null_mut(), std::ptr::null_mut(), flags);
            match accepted {
                -1 => Err(io::Error::last_os_error()),
                accepted => Ok(OwnedFd::from_raw_fd(accepted)),
            }
        }
        #[cfg(not(target_os = "linux"))]
        {
            let (socket, _) = SockRef::from(listener.get_ref()).accept()?;
            socket.set_nonblocking(true)?;
            Ok(OwnedFd::from(socket))
        }
    })?;
    Ok(Descriptor(Arc::new(accepted)))
}

/// A socket that tokio watches.
pub(crate) struct Socket {
    fd: AsyncFd<Arc<OwnedFd>>,
    /// Whether there may be data to read, although tokio's readiness was cleared.
    may_have_data: Cell<bool>,
    traffic: Traffic,
}

/// Where the middle part of a [scattered read](Socket::poll_scattered) is appended.
pub(crate) struct Middle<'a> {
    pub(crate) buffer: &'a mut Vec<u8>,
    /// The maximum number of bytes.
    pub(crate) most: usize,
}

/// The state of the peer, as far as it is known without reading.
#[derive(Debug)]
pub(crate) enum PeerState {
    /// It has not ended its sending direction, or there is data to read before the end.
    Open,
    /// It has ended its sending direction, and all its data has been read.
    Ended,
    /// The connection failed.
    Failed(io::Error),
}

impl Socket {
    /// Returns the byte counts.
    pub(crate) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Returns the descriptor, as long as the socket exists.
    pub(crate) fn descriptor(&self) -> Weak<OwnedFd> {
        Arc::downgrade(self.fd.get_ref())
    }

    /// Ends the registration with the runtime.
    pub(crate) fn deregister(self) -> Descriptor {
        Descriptor(self.fd.into_inner())
    }

    fn socket(&self) -> SockRef<'_> {
        SockRef::from(&self.fd)
    }

    /// Reads into `buffer`. Returns 0 at the end of the stream.
    pub(crate) fn poll_read(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let len = buffer.len();
        self.poll_receive(context, len, |socket| Read::read(&mut &**socket, buffer))
    }

    /// Reads at most `most` bytes, and appends them to `buffer` within its capacity.
    pub(crate) fn poll_append(
        &self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        let middle = Middle { buffer, most };
        self.poll_scattered(context, &mut [], middle, &mut [])
    }

    /// Reads into `first`, then into the capacity of `middle`, and then into `last`, with one
    /// system call. Returns the number of bytes read, or 0 at the end of the stream.
    pub(crate) fn poll_scattered(
        &self,
        context: &mut Context<'_>,
        first: &mut [u8],
        middle: Middle<'_>,
        last: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Middle { buffer, most } = middle;
        let before = buffer.len();
        let spare = buffer.spare_capacity_mut();
        let room = spare.len().min(most);
        let len = first.len() + room + last.len();
        let (start, end) = (first.len(), last.len());
        let received = self.poll_receive(context, len, |socket| {
            if start + end == 0 {
                return socket.recv(&mut spare[..room]);
            }
            let mut slices = [
                MaybeUninitSlice::new(uninit(first)),
                MaybeUninitSlice::new(&mut spare[..room]),
                MaybeUninitSlice::new(uninit(last)),
            ];
            let used = match start {
                0 => &mut slices[1..],
                _ => &mut slices[..],
            };
            Ok(socket.recv_vectored(used)?.0)
        });
        if let Poll::Ready(Ok(count)) = received {
            let added = count.saturating_sub(start).min(room);
            // SAFETY: the system has written that many bytes to the spare capacity.
            unsafe { buffer.set_len(before + added) };
        }
        received
    }

    /// Returns `Ready` if there may be data to read. Otherwise the task is woken when there is.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.may_have_data.get() {
            return Poll::Ready(Ok(()));
        }
        self.fd.poll_read_ready(context).map_ok(drop)
    }

    fn poll_receive(
        &self,
        context: &mut Context<'_>,
        len: usize,
        mut receive: impl FnMut(&SockRef<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let mut receive = || uninterrupted(|| receive(&self.socket()));
        if self.may_have_data.take() {
            match receive() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                result => {
                    // There may be more data, of which tokio does not know either.
                    self.may_have_data.set(true);
                    return Poll::Ready(self.counted(result));
                }
            }
        }
        loop {
            let mut ready = ready!(self.fd.poll_read_ready(context))?;
            let result = receive();
            match &result {
                // If a read returns less than there is space for, there is no more data
                // now. Another read is not needed.
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

    /// Waits, without reading, until the peer ends its sending direction or the
    /// connection fails. If `read_closed` is true, waits only for a failure.
    pub(crate) async fn hung_up(self: Rc<Self>, read_closed: bool) -> io::Result<()> {
        if read_closed {
            self.fd.ready(Interest::ERROR).await?.retain_ready();
            return Ok(());
        }
        loop {
            let mut guard = self.fd.ready(Interest::READABLE | Interest::ERROR).await?;
            let ready = guard.ready();
            if ready.is_read_closed() || ready.is_error() {
                return Ok(());
            }
            // There is data, which is not read now. tokio reports only what comes after it.
            self.may_have_data.set(true);
            guard.clear_ready();
        }
    }

    /// Returns the state of the peer, without reading.
    pub(crate) fn peer_state(&self) -> PeerState {
        let socket = self.socket();
        match socket.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return PeerState::Failed(error),
        }
        let mut first = [MaybeUninit::uninit()];
        match uninterrupted(|| socket.peek(&mut first)) {
            Ok(0) => PeerState::Ended,
            Ok(_) => PeerState::Open,
            Err(error) if error.kind() == ErrorKind::WouldBlock => PeerState::Open,
            Err(error) => PeerState::Failed(error),
        }
    }

    /// Writes as much as the socket takes at once.
    ///
    /// This does not wait for tokio, because tokio does not know that a new socket
    /// is writable until its driver has run. The first messages of a connection
    /// would be delayed.
    pub(crate) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let socket = self.socket();
        let result = uninterrupted(|| match slices {
            [one] => socket.send(one),
            many => socket.send_vectored(many),
        });
        let refused = |error: &io::Error| error.kind() == ErrorKind::WouldBlock;
        if result.as_ref().is_err_and(refused) {
            // Makes tokio wait until the socket is writable again.
            let forget = |_: &Arc<OwnedFd>| Err::<(), _>(ErrorKind::WouldBlock.into());
            let _ = self.fd.try_io(Interest::WRITABLE, forget);
        }
        result
    }

    /// Returns `Ready` if the socket is writable. Otherwise the task is woken when it may be.
    pub(crate) fn poll_writable(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.fd.poll_write_ready(context).map_ok(drop)
    }

    /// Ends the sending direction of the socket.
    pub(crate) fn shutdown(&self) {
        // This fails if the peer no longer exists.
        let _ = self.socket().shutdown(Shutdown::Write);
    }
}

/// Returns the same memory, for a system call that only writes to it.
fn uninit(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    let bytes: *mut [u8] = bytes;
    // SAFETY: both types have the same layout. The system writes only initialised bytes.
    unsafe { &mut *(bytes as *mut [MaybeUninit<u8>]) }
}

/// Repeats a system call that a signal interrupts.
fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
