//! `oxws`: WebSocket for Node.js. This crate is the addon.
//!
//! [`binding`] is what JavaScript calls; [`engine`] is what it needs beyond the
//! protocol, which is `oxws-protocol`; [`border`] is what both sides agree on.
//! Dependencies point down, in this order.

mod binding;
mod border;
mod engine;
