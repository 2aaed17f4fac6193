//! The harness of the tests over sockets: starts the real binary, a mock provider, nginx and SDK clients, and looks at what each saw.
//!
//! A test usually starts a [`World`] from a scenario text, sends a [`Chat`] by a raw socket or an [`Sdk`], and compares the client's
//! [`View`] with the gateway's record and the mock's journal. Everything listens on loopback and ends with the value that started it.
//! The harness spells the protocol for itself: an oracle that shared the product's code would share its mistakes.

#![forbid(unsafe_code)]

pub mod agree;
pub mod authority;
pub mod backend;
pub mod chain;
pub mod chat;
pub mod edge;
pub mod forward_proxy;
pub mod gateway;
pub mod kafka;
pub mod line;
pub mod member;
pub mod nginx;
pub mod process;
pub mod program;
pub mod raw;
pub mod receiver;
pub mod redis;
pub mod sdk;
pub mod session;
pub mod view;
pub mod wait;
pub mod websocket;
pub mod world;

pub use agree::agree;
pub use backend::{Backend, Server};
pub use chain::{asked, chain};
pub use chat::Chat;
pub use edge::Edge;
pub use forward_proxy::{ForwardProxy, Manner};
pub use gateway::Gateway;
pub use kafka::Kafka;
pub use line::Line;
pub use member::{Member, Role};
pub use nginx::{Nginx, Proxying};
pub use process::{Process, run};
pub use program::{Program, client_file, run_program};
pub use raw::{Answer, TransportEnd};
pub use receiver::{Receiver, Webhook};
pub use redis::Redis;
pub use sdk::{Case, Sdk, SdkView};
pub use session::{Goodbye, Hello, Message, Prompt, SessionClient};
pub use view::View;
pub use wait::{all, eventually};
pub use websocket::{Frame, Heard, WebSocket};
pub use world::{QUICK, World, WorldBuilder};

use std::path::PathBuf;

/// A number that a run can be given by this variable, for tests that say less in a minute than in an hour.
#[must_use]
pub fn number_from(variable: &str, usual: usize) -> usize {
    std::env::var(variable).ok().and_then(|number| number.parse().ok()).unwrap_or(usual)
}

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}
