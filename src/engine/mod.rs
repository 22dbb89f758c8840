//! The engine: it reads and writes adopted sockets, on tokio. It does not use N-API.
//!
//! | module          | content                                                        |
//! |-----------------|----------------------------------------------------------------|
//! | [`core`]        | all connections, and the commands of JavaScript                |
//! | [`connection`]  | one connection                                                 |
//! | [`write_queue`] | the frames that a connection has to write                      |
//! | [`traffic`]     | byte counts of a connection                                    |
//! | [`driver`]      | the task of one connection: it reads                           |
//! | [`blocking`]    | threads for work that takes long                               |
//! | [`socket`]      | adoption of a descriptor that Node opened                      |
//! | [`inbox`]       | events on their way to JavaScript                              |
//! | [`outbox`]      | messages on their way from JavaScript                          |
//! | [`region`]      | memory that JavaScript and the engine share                    |
//! | [`host`]        | where the engine runs: in libuv's loop, or on its own threads  |
//! | [`uv`]          | the functions of libuv that the hosts need                     |
//! | [`mask_keys`]   | masking keys                                                   |

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
pub(crate) mod outbox;
#[cfg(unix)]
pub(crate) mod region;
#[cfg(unix)]
pub(crate) mod socket;
#[cfg(unix)]
pub(crate) mod traffic;
#[cfg(unix)]
pub(crate) mod uv;
#[cfg(unix)]
pub(crate) mod write_queue;
