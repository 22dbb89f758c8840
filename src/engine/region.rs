//! Memory that both sides see.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A fixed piece of memory.
pub(crate) enum Region<T> {
    /// Rust's own.
    Owned(Box<[T]>),
    /// JavaScript's: an `ArrayBuffer`.
    Borrowed(Borrowed<T>),
}

/// A piece of memory that somebody else owns.
pub(crate) struct Borrowed<T> {
    start: NonNull<T>,
    len: usize,
}

impl<T: Copy + Default> Region<T> {
    /// Memory of Rust's own.
    pub(crate) fn owned(len: usize) -> Self {
        Self::Owned(vec![T::default(); len].into_boxed_slice())
    }
}

impl<T> Region<T> {
    /// Memory of JavaScript's.
    ///
    /// # Safety
    ///
    /// `start` is aligned and valid for `len` values for as long as the region is,
    /// and nobody uses that memory while a reference into the region is held.
    pub(crate) unsafe fn borrowed(start: NonNull<T>, len: usize) -> Self {
        Self::Borrowed(Borrowed { start, len })
    }
}

impl<T> Deref for Region<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Owned(owned) => owned,
            Self::Borrowed(memory) => {
                // SAFETY: promised to `borrowed`.
                unsafe { std::slice::from_raw_parts(memory.start.as_ptr(), memory.len) }
            }
        }
    }
}

impl<T> DerefMut for Region<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::Owned(owned) => owned,
            Self::Borrowed(memory) => {
                // SAFETY: promised to `borrowed`.
                unsafe { std::slice::from_raw_parts_mut(memory.start.as_ptr(), memory.len) }
            }
        }
    }
}
