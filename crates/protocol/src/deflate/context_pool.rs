//! The DEFLATE contexts of many connections.

use std::fmt;

use super::compressor::Compressor;
use super::decompressor::Decompressor;
use super::pool::Pool;

/// One part in so many of the budget is for decompressors. With the default settings a
/// compressor is six times as large, so that there is room for as many of each.
const DECOMPRESSORS: usize = 7;

/// The DEFLATE contexts that many connections keep between messages, limited by a budget
/// of bytes.
///
/// If they exceed the budget, those that have not been used for the longest time are
/// freed. A connection whose compressor was freed compresses its next message with an
/// empty window. Of a decompressor, the text that the peer may refer to is left.
///
/// Contexts that are in use do not count: in the middle of a message, or of a call.
/// Clones share the same contexts and budget.
#[derive(Clone)]
pub struct ContextPool {
    pub(super) compressors: Pool<Compressor>,
    pub(super) decompressors: Pool<Decompressor>,
}

impl ContextPool {
    /// The default budget, in bytes.
    pub const DEFAULT_BUDGET: usize = 32 << 20;

    /// Creates an empty pool. `budget` is in bytes: one seventh is for decompressors, the
    /// rest for compressors. One of each kind is kept even if the budget is smaller.
    pub fn new(budget: usize) -> Self {
        let decompressors = budget / DECOMPRESSORS;
        Self {
            compressors: Pool::new(budget - decompressors),
            decompressors: Pool::new(decompressors),
        }
    }

    /// Returns the size of the contexts, in bytes.
    pub fn size(&self) -> usize {
        self.compressors.size() + self.decompressors.size()
    }

    /// Whether connections or clones use this pool.
    pub fn is_shared(&self) -> bool {
        self.compressors.is_shared() || self.decompressors.is_shared()
    }
}

impl Default for ContextPool {
    fn default() -> Self {
        Self::new(Self::DEFAULT_BUDGET)
    }
}

impl fmt::Debug for ContextPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextPool")
            .field("compressors", &self.compressors.len())
            .field("decompressors", &self.decompressors.len())
            .finish()
    }
}
