//! `oxws`: WebSocket for Node.js. This crate is the addon.
//!
//! * `binding` has the classes and functions that JavaScript calls.
//! * `engine` reads and writes sockets. The protocol itself is the crate `oxws-protocol`.
//! * `border` has the constants that JavaScript and the engine share.
//!
//! Dependencies point down this list.

mod binding;
mod border;
mod engine;
