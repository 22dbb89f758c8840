//! The contexts of many connections in one pool: what they take, and that freeing them
//! does not change any message.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::thread;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use oxws_protocol::deflate::{ContextPool, DeflateOptions, Deflater, InflateOptions, Inflater};
use oxws_protocol::ProtocolError;

/// Counts the bytes that each thread has allocated and not freed.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // At the end of a thread there is nothing to count with.
    let _ = ALLOCATED.try_with(|allocated| allocated.set(allocated.get() + bytes));
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocated() -> usize {
    ALLOCATED.get().try_into().unwrap()
}

const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Random numbers, the same in each run.
struct Random(u64);

impl Random {
    /// Returns a number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }

    /// Returns text that refers to itself, and to other text, at many distances.
    fn text(&mut self, len: usize) -> Vec<u8> {
        let mut text = Vec::with_capacity(len + 20);
        while text.len() < len {
            let word = self.below(500);
            text.extend_from_slice(format!("{word:x}{:03}, ", word * word % 1000).as_bytes());
        }
        text.truncate(len);
        text
    }

    /// Returns the length of a message: mostly short.
    fn len(&mut self) -> usize {
        let most = if self.below(30) == 0 {
            50_000
        } else {
            [10, 100, 1_000, 3_000][self.below(4)]
        };
        self.below(most)
    }
}

/// The other end of a connection, which never forgets, and is not strict.
struct Peer {
    compress: Compress,
    decompress: Decompress,
}

impl Peer {
    fn new(window_bits: u8) -> Self {
        let compression = Compression::new(6);
        Self {
            compress: Compress::new_with_window_bits(compression, false, window_bits.max(9)),
            decompress: Decompress::new_with_window_bits(false, 15),
        }
    }

    /// Returns a message as it is sent.
    fn compress(&mut self, message: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(message.len() + 1000);
        let read = self.compress.total_in();
        self.compress
            .compress_vec(message, &mut out, FlushCompress::Sync)
            .unwrap();
        assert_eq!(self.compress.total_in() - read, message.len() as u64);
        if out.ends_with(&TAIL) {
            out.truncate(out.len() - TAIL.len());
        }
        if out.is_empty() {
            out.push(0);
        }
        out
    }

    /// Reads a message of `len` bytes.
    fn decompress(&mut self, compressed: &[u8], len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 1);
        for data in [compressed, &TAIL] {
            let read = self.decompress.total_in();
            self.decompress
                .decompress_vec(data, &mut out, FlushDecompress::Sync)
                .unwrap();
            assert_eq!(self.decompress.total_in() - read, data.len() as u64);
        }
        out
    }
}

/// One connection, and its other end.
struct Connection {
    deflater: Deflater,
    inflater: Inflater,
    peer: Peer,
}

impl Connection {
    fn new(random: &mut Random, pool: &ContextPool) -> Self {
        let window_bits = 8 + random.below(8) as u8;
        let deflate = DeflateOptions {
            window_bits,
            mem_level: 1 + random.below(9) as u8,
            level: random.below(10) as u8,
            no_context_takeover: random.below(5) == 0,
        };
        let inflate = InflateOptions {
            window_bits,
            no_context_takeover: false,
        };
        Self {
            deflater: Deflater::new(deflate, pool.clone()),
            inflater: Inflater::new(inflate, pool.clone()),
            peer: Peer::new(window_bits),
        }
    }

    /// Sends a message in fragments. `between` is called after each.
    fn send(&mut self, random: &mut Random, mut between: impl FnMut(&mut Random)) {
        let len = random.len();
        let message = random.text(len);
        let mut compressed = Vec::new();
        let mut rest = &message[..];
        for _ in 0..random.below(4) {
            let (fragment, more) = rest.split_at(random.below(rest.len() + 1));
            self.deflater.compress(fragment, false, &mut compressed);
            rest = more;
            between(random);
        }
        self.deflater.compress(rest, true, &mut compressed);
        assert!(self.peer.decompress(&compressed, message.len()) == message);
    }

    /// Receives a message in pieces. `between` is called after each.
    fn receive(&mut self, random: &mut Random, mut between: impl FnMut(&mut Random)) {
        let len = random.len();
        let message = random.text(len);
        let compressed = self.peer.compress(&message);
        let mut rest = &compressed[..];
        let mut out = Vec::new();
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(1 + random.below(rest.len()));
            self.inflater
                .decompress(piece, &mut out, message.len())
                .unwrap();
            rest = more;
            between(random);
        }
        self.inflater.finish(&mut out, message.len()).unwrap();
        assert!(out == message);
    }
}

#[test]
fn freed_contexts_do_not_change_messages() {
    for budget in [0, 500_000, 4 << 20] {
        let random = &mut Random(budget as u64);
        let pool = ContextPool::new(budget);
        let mut connections: Vec<_> = (0..50).map(|_| Connection::new(random, &pool)).collect();
        let mut other = Connection::new(random, &pool);
        for _ in 0..2_000 {
            let at = random.below(connections.len());
            let connection = &mut connections[at];
            if random.below(2) == 0 {
                connection.send(random, |random| other.send(random, |_| {}));
            } else {
                connection.receive(random, |random| other.receive(random, |_| {}));
            }
            if random.below(50) == 0 {
                connections[at] = Connection::new(random, &pool);
            }
        }
    }
}

#[test]
fn threads_share_a_pool() {
    let pool = ContextPool::new(1 << 20);
    thread::scope(|scope| {
        for thread in 0..4 {
            let pool = &pool;
            scope.spawn(move || {
                let random = &mut Random(thread);
                let mut connections: Vec<_> =
                    (0..10).map(|_| Connection::new(random, pool)).collect();
                for _ in 0..200 {
                    let at = random.below(connections.len());
                    connections[at].send(random, |_| {});
                    connections[at].receive(random, |_| {});
                    if random.below(20) == 0 {
                        connections[at] = Connection::new(random, pool);
                    }
                }
            });
        }
    });
    assert!(pool.size() <= 1 << 20);
}

#[test]
fn memory_has_a_bound() {
    const BUDGET: usize = 4 << 20;
    let pool = ContextPool::new(BUDGET);
    let random = &mut Random(1);
    let mut peer = Peer::new(15);
    let messages: Vec<_> = (0..10).map(|_| random.text(1024)).collect();
    let received: Vec<_> = messages.iter().map(|each| peer.compress(each)).collect();
    let before = allocated();
    let mut connections = Vec::new();
    for _ in 0..3_000 {
        let mut deflater = Deflater::new(DeflateOptions::default(), pool.clone());
        let mut inflater = Inflater::new(InflateOptions::default(), pool.clone());
        for (message, compressed) in messages.iter().zip(&received) {
            let mut out = Vec::new();
            deflater.compress(message, true, &mut out);
            out.clear();
            inflater.decompress(compressed, &mut out, 1024).unwrap();
            inflater.finish(&mut out, 1024).unwrap();
            assert!(out == *message);
        }
        connections.push((deflater, inflater));
    }
    let used = allocated() - before;
    assert!(pool.size() > BUDGET * 9 / 10);
    assert!(pool.size() <= BUDGET);
    // The text that was received, and little beside.
    assert!(used < BUDGET + 3_000 * (10 * 1024 + 500), "{used}");
    assert!(used > BUDGET * 9 / 10 + 2_800 * 10 * 1024, "{used}");
    drop(connections);
    // Contexts for connections to come are left.
    assert!(allocated() - before <= 16 * (300_000 + 50_000));
}

#[test]
fn the_size_of_a_context_is_known() {
    for window_bits in 8..=15 {
        for mem_level in 1..=9 {
            let pool = ContextPool::new(usize::MAX);
            let options = DeflateOptions {
                window_bits,
                mem_level,
                ..DeflateOptions::default()
            };
            let before = allocated();
            let mut deflater = Deflater::new(options, pool.clone());
            deflater.compress(b"hello", true, &mut Vec::new());
            let (size, used) = (pool.size(), allocated() - before);
            assert!(size.abs_diff(used) < 1_000, "{size} {used}");
        }
    }
    let pool = ContextPool::new(usize::MAX);
    let before = allocated();
    let mut inflater = Inflater::new(InflateOptions::default(), pool.clone());
    inflater.decompress(&[0], &mut Vec::new(), 0).unwrap();
    inflater.finish(&mut Vec::new(), 0).unwrap();
    let (size, used) = (pool.size(), allocated() - before);
    assert!(size.abs_diff(used) < 2_000, "{size} {used}");
}

#[test]
fn a_pool_of_no_bytes_keeps_what_was_used_last() {
    let pool = ContextPool::new(0);
    let mut deflaters: Vec<_> = (0..2)
        .map(|_| Deflater::new(DeflateOptions::default(), pool.clone()))
        .collect();
    let mut len_of_next = |at: usize| {
        let mut out = Vec::new();
        Deflater::compress(
            &mut deflaters[at],
            &[b"message that is ", &b"repeated "[..]].concat(),
            true,
            &mut out,
        );
        out.len()
    };
    let first = len_of_next(0);
    assert!(len_of_next(0) < first);
    assert_eq!(len_of_next(1), first);
    assert_eq!(len_of_next(0), first);
}

#[test]
fn a_peer_that_breaks_off_a_block_cannot_continue_it_elsewhere() {
    let pool = ContextPool::new(0);
    let mut inflaters: Vec<_> = (0..2)
        .map(|_| Inflater::new(InflateOptions::default(), pool.clone()))
        .collect();
    // A stored block of ten bytes that ends after six: two and the tail.
    let mut out = Vec::new();
    inflaters[0]
        .decompress(&[0, 10, 0, 0xf5, 0xff, b'a', b'b'], &mut out, 100)
        .unwrap();
    inflaters[0].finish(&mut out, 100).unwrap();
    out.clear();
    inflaters[1].decompress(&[0], &mut out, 100).unwrap();
    inflaters[1].finish(&mut out, 100).unwrap();
    assert_eq!(out, b"");
    assert_eq!(
        inflaters[0].decompress(b"cd", &mut out, 100),
        Err(ProtocolError::InvalidDeflate)
    );
}
