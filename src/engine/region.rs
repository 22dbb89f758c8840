//! Memory that JavaScript and the engine share.

use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

/// A piece of memory with a fixed size.
pub(crate) enum Region<T> {
    /// Memory of Rust.
    Owned(Box<[T]>),
    /// Memory of an `ArrayBuffer` of JavaScript.
    Borrowed(Borrowed<T>),
}

/// A piece of memory with another owner.
pub(crate) struct Borrowed<T> {
    start: NonNull<T>,
    len: usize,
}

impl<T: Copy + Default> Region<T> {
    /// Allocates memory for `len` values.
    pub(crate) fn owned(len: usize) -> Self {
        Self::Owned(vec![T::default(); len].into_boxed_slice())
    }
}

impl<T> Region<T> {
    /// Creates a region of JavaScript's memory.
    ///
    /// # Safety
    ///
    /// `start` is aligned, and valid for reads and writes of `len` values for as long
    /// as the region exists. Nobody else uses that memory while a reference into the
    /// region is held.
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
                // SAFETY: promised by the caller of `borrowed`.
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
                // SAFETY: promised by the caller of `borrowed`.
                unsafe { std::slice::from_raw_parts_mut(memory.start.as_ptr(), memory.len) }
            }
        }
    }
}
