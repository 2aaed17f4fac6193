//! Sessions: conversations over a WebSocket, whose prompts wait in a queue of their own and take the path of every stream.
//!
//! What a session decides is [`tidegate_core::session`]; what its messages look like is [`tidegate_wire::session`]. Here is what touches a
//! socket, a clock and the ledger:
//!
//! - [`handshake`] judges the request that asks for one, and [`tickets`] are for pages that cannot hold a key.
//! - [`open`] answers it, and takes the connection out of HTTP.
//! - [`host`] is the task of one session. It owns the state machine, the socket while there is one, and the task that runs.
//! - `socket` is the WebSocket, with what waits for the client counted.
//! - `run` is one prompt on its way through [`crate::serve`]: asked, pumped, and its answer told as tokens.
//! - `elsewhere` is the other way to run it: by workers, behind a queue that other gateways see too.
//! - [`labour`] is such a worker, and [`mend`](mod@mend) completes the records of one that was killed.
//! - `work` is what has to be known to run it: the request, made of the prompt and the conversation before it.
//! - [`registry`] knows the sessions of this process, so that a client finds its own again.
//! - [`pool`] says how many prompts run at once.

pub mod handshake;
pub mod host;
pub mod labour;
pub mod mend;
pub mod pool;
pub mod queue;
pub mod registry;
pub mod tickets;

mod elsewhere;
mod link;
mod open;
mod run;
mod socket;
mod work;

pub use elsewhere::{end_of, key_of};
pub use open::open;
pub use queue::{BadQueue, queue};
pub use registry::Sessions;
