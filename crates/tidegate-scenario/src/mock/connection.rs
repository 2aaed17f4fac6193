//! One connection: request after request, each told apart by its path.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tracing::debug;

use super::dialect::chat::{Ask, Chat, Refused};
use super::dialect::{Voice, error_body};
use super::http::{self, NoRequest, Request};
use super::journal::{Journal, Running};
use super::peer::{Peer, PeerLeft};
use super::stage::{After, Stage};
use super::{MockSettings, stream, whole};
use crate::directives;
use crate::script::{Script, Status};

const JSON: &str = "application/json";

/// What all connections share.
pub(crate) struct Service {
    settings: MockSettings,
    journal: Journal,
    /// How many requests each scripted target has had.
    requests: HashMap<String, AtomicUsize>,
}

/// An answer that is no script's.
type Plain = (Status, Option<&'static str>);

impl Service {
    pub(crate) fn new(settings: MockSettings, journal: Journal) -> Self {
        let targets = settings.script.iter().flat_map(|scenario| &scenario.targets);
        let requests = targets.map(|target| (target.name.clone(), AtomicUsize::new(0))).collect();
        Self { settings, journal, requests }
    }

    /// Serves `socket` until one of both sides ends it.
    pub(crate) async fn connection(&self, socket: TcpStream, n: u64) {
        let Ok(mut peer) = Peer::new(socket) else { return };
        loop {
            let after = match Request::read(&mut peer).await {
                Ok(request) => self.answer(&mut peer, request, n).await,
                Err(NoRequest::PeerLeft) => return,
                Err(NoRequest::Bad(status, why)) => refuse_bytes(&mut peer, status, why).await,
            };
            match after {
                Ok(After::KeepAlive) => {}
                Ok(After::Close) => return peer.close().await,
                Ok(After::Reset) => return peer.reset(),
                Err(PeerLeft) => return,
            }
        }
    }

    async fn answer(&self, peer: &mut Peer, request: Request, connection: u64) -> Result<After, PeerLeft> {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/v1/chat/completions") => self.generate(peer, request, connection).await,
            ("GET", "/v1/models") => send_json(peer, &request, 200, self.models().to_string().as_bytes()).await,
            ("GET", "/mock/journal") => send_json(peer, &request, 200, self.journal.published().to_string().as_bytes()).await,
            ("GET", "/mock/open") => send_json(peer, &request, 200, json!({"open": self.journal.open()}).to_string().as_bytes()).await,
            _ => {
                let message = "the mock has POST /v1/chat/completions, GET /v1/models, GET /mock/journal and GET /mock/open";
                send_json(peer, &request, 404, &error_body(&status(404, "unknown_url", message), None)).await
            }
        }
    }

    /// Answers a request for a model's output, and notes how that went.
    async fn generate(&self, peer: &mut Peer, request: Request, connection: u64) -> Result<After, PeerLeft> {
        let ask = Ask::read(&request.body);
        let model = ask.as_ref().map(|ask| ask.model.clone()).unwrap_or_default();
        let running = self.journal.open_entry(connection, model, request);
        let result = match self.script_for(&running, ask) {
            Ok((ask, script)) => play(Stage::new(peer, &running), &Chat::new(ask, running.n(), unix_seconds()), &script).await,
            Err((status, param)) => Stage::new(peer, &running).error(&status, param).await,
        };
        match &result {
            Ok(_) => running.finished(),
            Err(PeerLeft) => running.peer_left(),
        }
        debug!(n = running.n(), model = running.model(), ?result, "request ended");
        result
    }

    /// What is to be played, or the refusal of a strict provider.
    fn script_for(&self, running: &Running, ask: Result<Ask, Refused>) -> Result<(Ask, Script), Plain> {
        if !self.is_authorized(running.request()) {
            return Err((status(401, "invalid_api_key", "the mock was started with another API key"), None));
        }
        let ask = ask.map_err(|refused| (status(400, "invalid_value", &refused.message), refused.param))?;
        let script = match self.scripted(&ask.model) {
            Some(script) => script,
            None => directives::script(&ask.model).map_err(|wrong| (status(wrong.status, wrong.code, &wrong.message), Some("model")))?,
        };
        Ok((ask, script))
    }

    /// The next script of the target `model`.
    fn scripted(&self, model: &str) -> Option<Script> {
        let nth = self.requests.get(model)?.fetch_add(1, Ordering::Relaxed);
        self.settings.script.as_ref()?.script(model, nth).cloned()
    }

    fn is_authorized(&self, request: &Request) -> bool {
        let Some(wanted) = &self.settings.api_key else { return true };
        let bearer = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        bearer.or(request.header("x-api-key")) == Some(wanted)
    }

    fn models(&self) -> Value {
        let targets = self.settings.script.iter().flat_map(|scenario| &scenario.targets).map(|target| target.name.as_str());
        let model = |id: &str| json!({"id": id, "object": "model", "created": 0, "owned_by": "mock"});
        let models: Vec<_> = std::iter::once(directives::MODEL).chain(targets).map(model).collect();
        json!({"object": "list", "data": models})
    }
}

async fn play(stage: Stage<'_>, voice: &dyn Voice, script: &Script) -> Result<After, PeerLeft> {
    if voice.streams() { stream::play(stage, voice, script).await } else { whole::play(stage, voice, script).await }
}

async fn send_json(peer: &mut Peer, request: &Request, status: u16, body: &[u8]) -> Result<After, PeerLeft> {
    let keeps_alive = request.keeps_alive();
    let connection = if keeps_alive { "" } else { "connection: close\r\n" };
    let mut out = Vec::new();
    http::write_head(&mut out, status, JSON, &format!("content-length: {}\r\n{connection}", body.len()));
    out.extend_from_slice(body);
    peer.send(&out).await?;
    Ok(if keeps_alive { After::KeepAlive } else { After::Close })
}

/// Answers bytes that are no request.
async fn refuse_bytes(peer: &mut Peer, code: u16, why: &str) -> Result<After, PeerLeft> {
    let body = error_body(&status(code, "bad_http", why), None);
    let mut out = Vec::new();
    http::write_head(&mut out, code, JSON, &format!("content-length: {}\r\nconnection: close\r\n", body.len()));
    out.extend_from_slice(&body);
    peer.send(&out).await?;
    Ok(After::Close)
}

fn status(status: u16, code: &str, message: &str) -> Status {
    Status { status, code: Some(code.to_owned()), message: Some(message.to_owned()), retry_after: None }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
