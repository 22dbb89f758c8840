//! A DEFLATE context: what compresses or decompresses, and remembers earlier messages.

/// A context that a [`Pool`](super::pool::Pool) keeps between messages.
pub(super) trait Context {
    /// The settings that a context has for good.
    type Options: Copy + PartialEq;

    /// What is left of a context that is freed between two messages of its connection.
    type Rest;

    /// Creates a context with an empty window.
    fn new(options: &Self::Options) -> Self;

    /// Returns the memory that a context takes, in bytes.
    fn size(options: &Self::Options) -> usize;

    /// Empties the window.
    fn reset(&mut self);

    /// Returns what must be left for the next message. Only [`reset`](Self::reset) may
    /// follow.
    fn rest(&mut self) -> Self::Rest;

    /// Continues from what is left of another context. The window must be empty.
    fn restore(&mut self, rest: Self::Rest);
}
