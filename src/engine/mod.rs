//! The engine: it owns the reading and writing of adopted sockets, on tokio, and
//! knows nothing of N-API.
//!
//! | room           | holds                                                        |
//! |----------------|--------------------------------------------------------------|
//! | [`core`]       | the connections, and the verbs that JavaScript has            |
//! | [`connection`] | one connection                                               |
//! | [`out`]        | what it has to write                                         |
//! | [`traffic`]    | how many bytes come and go                                   |
//! | [`driver`]     | the task of one connection: it receives                       |
//! | [`blocking`]   | threads for work that takes long                              |
//! | [`socket`]     | adoption of a descriptor that Node opened                     |
//! | [`inbox`]      | events on their way to JavaScript                             |
//! | [`outbox`]     | messages on their way from JavaScript                         |
//! | [`region`]     | memory that both sides see                                    |
//! | [`host`]       | where the engine runs: in libuv's loop, or on its own thread  |
//! | [`uv`]         | the few functions of libuv that the hosts need                |

pub(crate) mod mask_keys;

#[cfg(unix)]
pub(crate) mod blocking;
#[cfg(unix)]
pub(crate) mod connection;
#[cfg(unix)]
pub(crate) mod core;
#[cfg(unix)]
pub(crate) mod driver;
#[cfg(unix)]
pub(crate) mod host;
#[cfg(unix)]
pub(crate) mod inbox;
#[cfg(unix)]
pub(crate) mod out;
#[cfg(unix)]
pub(crate) mod outbox;
#[cfg(unix)]
pub(crate) mod region;
#[cfg(unix)]
pub(crate) mod socket;
#[cfg(unix)]
pub(crate) mod traffic;
#[cfg(unix)]
pub(crate) mod uv;
