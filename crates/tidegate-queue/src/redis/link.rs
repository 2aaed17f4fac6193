//! The connection to Redis, made again whenever it is lost.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind, RedisResult, Value};
use tidegate_core::id::SessionId;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use super::{CALL, PREFIX, Process, unavailable, upkeep};
use crate::error::QueueError;

/// How often a silent connection is asked whether it lives.
const PING: Duration = Duration::from_secs(1);
/// Between two attempts to connect.
const RETRY: Duration = Duration::from_millis(250);
/// How long an outage lasts before the owners of sessions are told: a server that is restarted is back by then.
const OUTAGE: Duration = Duration::from_secs(5);

/// The connection that all calls of the process share.
pub(super) struct Link {
    client: Client,
    state: watch::Sender<State>,
    /// Counts outages that lasted.
    outages: watch::Sender<u64>,
}

#[derive(Clone)]
enum State {
    /// For the first time, or right after the connection was lost: calls wait a little.
    Connecting,
    Up(MultiplexedConnection),
    /// Connecting failed, for this reason: calls fail at once.
    Down(String),
}

impl Link {
    pub(super) fn new(url: &str) -> Result<Self, String> {
        let info = url.into_connection_info().map_err(|error| error.to_string())?;
        // The third version of the protocol tells what is new on the connection that is there anyway.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        // Many small commands share the connection; none waits for another's packet.
        let socket = info.tcp_settings().clone().set_nodelay(true);
        let client = Client::open(info.set_redis_settings(settings).set_tcp_settings(socket)).map_err(|error| error.to_string())?;
        Ok(Self { client, state: watch::Sender::new(State::Connecting), outages: watch::Sender::new(0) })
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(*self.state.borrow(), State::Up(_))
    }

    /// The connection. Waits for it while it is being made.
    pub(super) async fn connection(&self) -> Result<MultiplexedConnection, QueueError> {
        let mut state = self.state.subscribe();
        match state.wait_for(|state| !matches!(state, State::Connecting)).await.as_deref() {
            Ok(State::Up(connection)) => Ok(connection.clone()),
            Ok(State::Down(why)) => Err(QueueError::Unavailable(why.clone())),
            Ok(State::Connecting) | Err(_) => Err(QueueError::Unavailable("not connected".to_owned())),
        }
    }

    /// A connection of one's own, for commands that wait, for at most `longest`, where all behind them would wait, too.
    pub(super) async fn another(&self, longest: Duration) -> Result<MultiplexedConnection, QueueError> {
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CALL)).set_response_timeout(Some(longest + CALL));
        self.client.get_multiplexed_async_connection_with_config(&config).await.map_err(|error| unavailable(&error))
    }

    /// Changes with each outage that lasts.
    pub(super) fn outages(&self) -> watch::Receiver<u64> {
        self.outages.subscribe()
    }

    /// Connects, and listens on the process's channel.
    async fn connect(&self, process: &Arc<Process>, lost: &Arc<Notify>) -> RedisResult<MultiplexedConnection> {
        let (process, channel, lost) = (Arc::downgrade(process), format!("{PREFIX}process:{}", process.name), Arc::clone(lost));
        let hear = move |push: PushInfo| {
            match (push.kind, process.upgrade()) {
                (PushKind::Message, Some(process)) => process.look_at(&push.data),
                (PushKind::Disconnection, _) => lost.notify_one(),
                _ => {}
            }
            Ok::<(), redis::aio::SendError>(())
        };
        let config = AsyncConnectionConfig::new().set_connection_timeout(Some(CALL)).set_response_timeout(Some(CALL)).set_push_sender(hear);
        let mut connection = self.client.get_multiplexed_async_connection_with_config(&config).await?;
        connection.subscribe(channel).await?;
        // A server that still loads its file accepts connections, and answers this with an error.
        ping(&mut connection).await?;
        Ok(connection)
    }
}

/// Shows nothing of the address, which may hold a password.
impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").field("up", &self.is_up()).finish_non_exhaustive()
    }
}

/// Keeps the connection, for as long as the process lives.
pub(super) async fn keep(process: Arc<Process>) {
    let link = &process.link;
    let mut trouble: Option<Trouble> = None;
    loop {
        let lost = Arc::new(Notify::new());
        match connect_and_compare(&process, &lost).await {
            Ok(connection) => {
                if let Some(trouble) = trouble.take() {
                    info!(seconds = trouble.since.elapsed().as_secs(), "the queue's server is back");
                }
                link.state.send_replace(State::Up(connection.clone()));
                // What was said while nobody listened.
                process.follows.touch_all();
                process.leases.touch_all();
                until_lost(connection, &lost).await;
                link.state.send_replace(State::Connecting);
            }
            Err(error) => {
                let trouble = trouble.get_or_insert_with(|| {
                    warn!(%error, "the queue's server can't be reached");
                    Trouble { since: Instant::now(), told: false }
                });
                link.state.send_replace(State::Down(error.to_string()));
                if !trouble.told && trouble.since.elapsed() >= OUTAGE {
                    trouble.told = true;
                    link.outages.send_modify(|outages| *outages += 1);
                }
                sleep(RETRY).await;
            }
        }
    }
}

/// Connects, and finds out what the server has lost before anybody builds on it.
async fn connect_and_compare(process: &Arc<Process>, lost: &Arc<Notify>) -> RedisResult<MultiplexedConnection> {
    let mut connection = process.link.connect(process, lost).await?;
    upkeep::refresh(process, &mut connection, &process.follows.held(None), Instant::now()).await?;
    Ok(connection)
}

/// An outage.
struct Trouble {
    since: Instant,
    /// The owners of sessions know.
    told: bool,
}

async fn until_lost(mut connection: MultiplexedConnection, lost: &Notify) {
    while timeout(PING, lost.notified()).await.is_err() {
        if ping(&mut connection).await.is_err() {
            return;
        }
    }
}

async fn ping(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    redis::cmd("PING").query_async(connection).await
}

impl Process {
    /// Another process says that there is something new about a session.
    fn look_at(&self, message: &[Value]) {
        let Some(Value::BulkString(session)) = message.last() else { return };
        let Some(session) = std::str::from_utf8(session).ok().and_then(SessionId::parse) else { return };
        self.follows.touch(session);
        self.leases.touch(session);
    }
}
