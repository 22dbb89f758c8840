//! The engine: it accepts connections, and reads and writes sockets, on tokio. It does not
//! use N-API.
//!
//! | module          | content                                                        |
//! |-----------------|----------------------------------------------------------------|
//! | [`core`]        | all connections and listeners, and the commands of JavaScript  |
//! | [`listener`]    | a listening socket: it accepts, and reads requests             |
//! | [`accepted`]    | an accepted connection on its way to JavaScript                |
//! | [`connection`]  | one connection                                                 |
//! | [`write_queue`] | the frames that a connection has to write                      |
//! | [`batch`]       | frames that are about to be written with one system call       |
//! | [`framing`]     | makes frames of what JavaScript sends                          |
//! | [`traffic`]     | byte counts of a connection                                    |
//! | [`driver`]      | the task of one connection: it reads                           |
//! | [`exchange`]    | what commands and tasks share                                  |
//! | [`blocking`]    | threads for work that takes long                               |
//! | [`socket`]      | adopted, listening and accepted sockets                        |
//! | [`registry`]    | what JavaScript's thread keeps of each connection              |
//! | [`inbox`]       | events on their way to JavaScript                              |
//! | [`outbox`]      | messages on their way from JavaScript                          |
//! | [`region`]      | memory that JavaScript and the engine share                    |
//! | [`host`]        | where the engine runs: in libuv's loop, or on its own threads  |
//! | [`uv`]          | the functions of libuv that the hosts need                     |
//! | [`mask_keys`]   | masking keys                                                   |

pub(crate) mod mask_keys;

#[cfg(unix)]
pub(crate) mod accepted;
#[cfg(unix)]
pub(crate) mod batch;
#[cfg(unix)]
pub(crate) mod blocking;
#[cfg(unix)]
pub(crate) mod connection;
#[cfg(unix)]
pub(crate) mod core;
#[cfg(unix)]
pub(crate) mod driver;
#[cfg(unix)]
pub(crate) mod exchange;
#[cfg(unix)]
pub(crate) mod framing;
#[cfg(unix)]
pub(crate) mod host;
#[cfg(unix)]
pub(crate) mod inbox;
#[cfg(unix)]
pub(crate) mod listener;
#[cfg(unix)]
pub(crate) mod outbox;
#[cfg(unix)]
pub(crate) mod region;
#[cfg(unix)]
pub(crate) mod registry;
#[cfg(unix)]
pub(crate) mod socket;
#[cfg(unix)]
pub(crate) mod traffic;
#[cfg(unix)]
pub(crate) mod uv;
#[cfg(unix)]
pub(crate) mod write_queue;
