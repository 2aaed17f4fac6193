//! From an HTTP request to a session on a bare socket.

use std::sync::Arc;

use http::Request;
use hyper::body::Incoming;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;

use super::handshake::{Admitted, Door};
use super::host::{self, Arrival};
use super::socket::Socket;
use crate::arrive::socket::MeteredIo;
use crate::deliver::answer::Response;
use crate::gateway::Gateway;

/// Answers a request for a session. Where the answer is 101, the session begins on this worker as soon as the client was told.
#[must_use]
pub fn open(gateway: &Arc<Gateway>, request: Request<Incoming>) -> Response {
    let setup = gateway.setup();
    let door = Door {
        keys: &gateway.keys.load(),
        tickets: &gateway.sessions.tickets,
        allowed_origins: &setup.config.sessions.allowed_origins,
        sessions: &gateway.sessions.permits,
        most_sessions: setup.config.sessions.max_sessions,
        stage: gateway.drain.stage(),
        now: gateway.clock.now(),
    };
    let Admitted { caller, client, permit, response } = match door.judge(&request) {
        Ok(admitted) => admitted,
        Err(refused) => {
            gateway.metrics.refused(refused.failure());
            return refused.response();
        }
    };
    let seat = gateway.sessions.enter(gateway.new_session_id(), &caller);
    let settings = Arc::new(setup.config.session_settings());
    let arrival = Arrival { seat, permit, caller, client, settings };
    let upgrade = hyper::upgrade::on(request);
    gateway.tasks.spawn(begin(Arc::clone(gateway), upgrade, arrival, setup.config.sessions.max_message));
    response
}

async fn begin(gateway: Arc<Gateway>, upgrade: OnUpgrade, arrival: Arrival, most: usize) {
    let upgraded = match upgrade.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "a client left during its handshake"),
    };
    let Some(socket) = bare(upgraded, most).await else { return };
    // A task of its own: this one is as large as an HTTP connection.
    let tasks = gateway.tasks.clone();
    tasks.spawn(host::live(gateway, arrival, socket));
}

/// Takes the socket out of all that HTTP needed.
async fn bare(upgraded: Upgraded, most: usize) -> Option<Socket> {
    let parts = upgraded.downcast::<TokioIo<MeteredIo>>().ok()?;
    let mut bare = parts.io.into_inner().into_bare();
    bare.read.splice(..0, parts.read_buf);
    Some(Socket::new(bare, most).await)
}
