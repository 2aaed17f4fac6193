//! Answers that are made without a client: asked for in the background, or handed over when a degradation chain is used up.

use std::future::poll_fn;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, StatusCode, header as http_header};
use tidegate_core::failure::Failure;
use tidegate_core::id::StreamId;
use tidegate_core::record::{Delivered, Status};
use tidegate_ledger::outbox::{DEFAULT_CAPACITY, Outbox};
use tidegate_ledger::{LedgerError, Results};
use tidegate_wire::names::{path, value};
use tidegate_wire::openai_chat;

use super::answer::{AnswerBody, Response};
use crate::admit::permit::Permit;
use crate::arrive::meter::Meter;
use crate::clock::Clock;
use crate::drain::{Drain, Stage};
use crate::gateway::Gateway;
use crate::header_name;
use crate::notify::{BadWebhookUrl, Notification, Notifier, Settings};
use crate::record::live::Receipt;
use crate::relay::prospects::Order;
use crate::relay::pump::{Pump, Step};
use crate::serve::{self, Terms};
use crate::tasks::Tasks;

/// Where background answers are kept, and who tells their callers.
#[derive(Debug)]
pub struct Background {
    results: Results,
    outbox: Outbox,
    /// `None` without a secret: answers are polled then.
    notifier: ArcSwapOption<Notifier>,
}

impl Background {
    /// Opens both in the ledger's file. Blocks for some milliseconds.
    ///
    /// # Errors
    ///
    /// As the ledger itself.
    pub fn open(ledger: &Path) -> Result<Self, LedgerError> {
        let outbox = Outbox::open(ledger, DEFAULT_CAPACITY)?;
        Ok(Self { results: Results::open(ledger)?, outbox, notifier: ArcSwapOption::empty() })
    }

    /// Puts settings in force. The first that have a secret start the sending.
    ///
    /// # Errors
    ///
    /// Where the default address may not be used; the old settings stay in force.
    pub fn configure(&self, notify: &tidegate_config::Notify, clock: Clock, tasks: &Tasks, drain: &Drain) -> Result<(), BadWebhookUrl> {
        let Some(secret) = notify.secret.clone() else { return Ok(()) };
        let settings = Settings { secret, allow_private: notify.allow_private, default_url: notify.url.clone() };
        if let Some(notifier) = &*self.notifier.load() {
            return notifier.reload(settings);
        }
        let notifier = Notifier::new(settings, self.outbox.clone(), clock, tasks.clone())?;
        let mut stage = drain.watch();
        let drained = async move {
            // An error means that the gateway is no more, which is as good a reason.
            let _gone = stage.wait_for(|stage| *stage != Stage::Serving).await;
        };
        tasks.spawn(notifier.clone().run(drained));
        self.notifier.store(Some(Arc::new(notifier)));
        Ok(())
    }

    /// Judges the address that a request asks to be told at.
    ///
    /// # Errors
    ///
    /// What is wrong with it, for the client.
    pub fn check_address(&self, asked: Option<&str>) -> Result<(), String> {
        match (asked, &*self.notifier.load()) {
            (None, _) => Ok(()),
            (Some(_), None) => {
                Err("X-Tidegate-Notify-Url: this gateway sends no webhooks (its operator has to set notify.secret)".to_owned())
            }
            (Some(asked), Some(notifier)) => notifier.address(Some(asked)).map(drop).map_err(|bad| format!("X-Tidegate-Notify-Url: {bad}")),
        }
    }

    /// The answer of a background stream, where it is kept.
    ///
    /// # Errors
    ///
    /// When the ledger cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Safe: it only reads.
    pub async fn result(&self, id: StreamId) -> Result<Option<Bytes>, LedgerError> {
        self.results.get(id).await
    }
}

/// An answer that is being made.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// The stream that makes it.
    pub id: StreamId,
}

impl Job {
    /// Where its record is, and its answer once it is there.
    #[must_use]
    pub fn url(self) -> String {
        format!("{}{}", path::STREAMS, self.id)
    }

    /// What its caller reads.
    #[must_use]
    pub fn acknowledgement(self) -> Bytes {
        openai_chat::acknowledgement(&self.id.to_string(), &self.url())
    }
}

/// Takes a request that asked for the background: 202 with the stream's address.
///
/// # Errors
///
/// Where the stream cannot begin.
///
/// # Cancel safety
///
/// Dropped before it is done, nothing is asked and the stream's row is closed.
pub async fn accept(gateway: &Arc<Gateway>, order: Arc<Order>, permit: Permit) -> Result<Response, Failure> {
    let request_id = order.wishes.client_request_id.clone().unwrap_or_else(|| order.request_id.to_string());
    let prefers_async = order.wishes.prefers_async;
    let job = begin(gateway, order, permit, None).await?;
    let mut response = Response::new(AnswerBody::plain(job.acknowledgement()));
    *response.status_mut() = StatusCode::ACCEPTED;
    let headers = response.headers_mut();
    headers.insert(http_header::CONTENT_TYPE, HeaderValue::from_static(value::JSON));
    if prefers_async {
        headers.insert("preference-applied", HeaderValue::from_static(value::RESPOND_ASYNC));
    }
    for (name, text) in [
        (http_header::LOCATION, job.url()),
        (header_name::STREAM_ID.clone(), job.id.to_string()),
        (header_name::REQUEST_ID.clone(), request_id),
    ] {
        if let Ok(text) = HeaderValue::try_from(text) {
            headers.insert(name, text);
        }
    }
    Ok(response)
}

/// Hands the request of a live stream over, with a permit of its own.
///
/// # Errors
///
/// `gateway_overloaded` without a permit; `ledger_unavailable`.
///
/// # Cancel safety
///
/// Dropped before it is done, nothing is asked and the stream's row is closed.
pub async fn start(gateway: Arc<Gateway>, order: Arc<Order>, from: Option<StreamId>) -> Result<Job, Failure> {
    // Jobs last for minutes. In an outage each request would leave one behind, so that soon no place were left for those of healthy models.
    let most = order.setup.config.server.max_streams / 2;
    let permit = gateway.permits.admit(most).ok_or(Failure::GatewayOverloaded)?;
    begin(&gateway, order, permit, from).await
}

async fn begin(gateway: &Arc<Gateway>, order: Arc<Order>, permit: Permit, from: Option<StreamId>) -> Result<Job, Failure> {
    let model = order.setup.config.model(order.chat.model()).ok_or(Failure::ModelNotFound)?;
    let begun = serve::begin(gateway, &order, Arc::new(permit), Terms::in_background(&order, model, from)).await?;
    let job = Job { id: begun.live.identity.id };
    let meter = Arc::new(Meter::default());
    let pump = begun.into_pump(Arc::clone(gateway), Arc::clone(&meter), model.on_malformed);
    gateway.tasks.spawn(make(Arc::clone(gateway), Box::new(pump), meter, order));
    Ok(job)
}

/// Makes the answer, keeps it, and tells whoever wants to know.
async fn make(gateway: Arc<Gateway>, mut pump: Box<Pump>, meter: Arc<Meter>, order: Arc<Order>) {
    let mut stage = gateway.drain.watch();
    let mut answer = BytesMut::new();
    let mut has_to_end = false;
    loop {
        let step = tokio::select! {
            step = poll_fn(|cx| pump.poll_step(cx, true)) => step,
            _ = stage.wait_for(|stage| *stage == Stage::Ending), if !has_to_end => {
                has_to_end = true;
                meter.end_now();
                continue;
            }
        };
        match step {
            Step::Head => {}
            Step::Piece(piece) => answer.extend_from_slice(&piece.bytes),
            Step::End => break,
        }
    }
    let (live, _) = pump.into_parts();
    let Some(ending) = live.exchange.ending() else { return };
    let id = live.identity.id;
    let result = (ending.status == Status::Completed).then(|| answer.freeze());
    if let Some(result) = &result {
        keep(&gateway, id, result.clone(), &order).await;
    }
    // Nobody took a byte of it yet: whoever fetches it is answered from what was kept.
    live.settle(Delivered::default(), Receipt::Taken);
    let code = ending.failure.map(|failure| failure.code().to_owned());
    tell(&gateway, &order, Notification { stream_id: id, status: ending.status, code, result }).await;
}

async fn keep(gateway: &Gateway, id: StreamId, result: Bytes, order: &Order) {
    let retention = u64::try_from(order.setup.config.notify.retention.as_millis()).unwrap_or(u64::MAX);
    let expires = gateway.clock.unix_millis().saturating_add(retention);
    if let Err(error) = gateway.background.results.put(id, expires, result).await {
        tracing::error!(stream = %id, %error, "a background answer cannot be kept");
    }
}

async fn tell(gateway: &Gateway, order: &Order, notification: Notification) {
    let Some(notifier) = gateway.background.notifier.load_full() else { return };
    let Some(url) = notifier.address(order.wishes.notify_url.as_deref()).ok().flatten() else { return };
    if let Err(error) = notifier.post(&url, &notification).await {
        tracing::error!(stream = %notification.stream_id, %error, "a webhook cannot be sent");
    }
}
