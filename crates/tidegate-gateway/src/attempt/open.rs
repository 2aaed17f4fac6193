//! One request to a provider, up to the head of its answer.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tidegate_config::Http2;
use tidegate_core::exchange::Phase;
use tidegate_core::failure::Failure;

use super::call::Call;
use super::h1::{self, AnswerHead, H1Body, H1Error};
use super::h2::{H2Body, H2Error, Place};
use super::io::Io;
use super::provider::{Provider, Slot, Way};
use crate::tasks::Tasks;

/// How long the rest of a body that nobody needs may take before its connection is closed instead of kept.
const LINGER: Duration = Duration::from_secs(1);

/// The head of an answer, and its body to come.
#[derive(Debug)]
pub struct Answer {
    /// Status and headers.
    pub head: AnswerHead,
    /// The body.
    pub body: Body,
}

/// Why an attempt brought no answer, for the table and for the operator.
#[derive(Debug)]
pub struct OpenError {
    /// What it is.
    pub failure: Failure,
    /// What the operator reads; no secrets, no content.
    pub detail: String,
}

/// The body of a provider's answer. Dropping it cancels the request: its socket closes, or its HTTP/2 stream is reset.
#[derive(Debug)]
pub struct Body {
    wire: Wire,
    provider: Arc<Provider>,
}

#[derive(Debug)]
enum Wire {
    H1(Box<H1Body>, Slot),
    H2(H2Body),
}

/// How far an opening attempt has come, told from inside its future to whoever polls it.
#[derive(Debug, Default)]
pub struct Steps {
    reached: AtomicU8,
    sent_again: AtomicBool,
}

impl Steps {
    const ORDER: [Phase; 3] = [Phase::Connecting, Phase::Connected, Phase::Sent];

    /// Notes that `phase` is reached.
    pub(super) fn reach(&self, phase: Phase) {
        self.reached.fetch_max(phase as u8 + 1, Ordering::Relaxed);
    }

    /// Whether the provider has the whole request.
    #[must_use]
    pub fn is_sent(&self) -> bool {
        self.reached.load(Ordering::Relaxed) > Phase::Sent as u8
    }

    /// Whether the request went out twice, since the connection that rested was closed under the first. True once.
    #[must_use]
    pub fn take_sent_again(&self) -> bool {
        self.sent_again.swap(false, Ordering::Relaxed)
    }

    /// The phases that were reached beyond the first `known`, in order.
    pub fn beyond(&self, known: usize) -> impl Iterator<Item = Phase> + use<> {
        let reached = usize::from(self.reached.load(Ordering::Relaxed));
        Self::ORDER.into_iter().take(reached).skip(known)
    }
}

/// Sends `call` to `provider` and waits for the head of the answer. It knows no limit: whoever polls it has the clock.
///
/// A connection of the pool that the provider closes at the very moment of its use is replaced by a fresh one, once: the provider cannot have
/// begun to answer, and the race is the pool's business, not the caller's. Nobody can tell it from a provider that hangs up on every request,
/// so [`Steps::take_sent_again`] tells whoever counts them.
///
/// # Errors
///
/// [`OpenError`] with the failure's row.
///
/// # Cancel safety
///
/// Safe: dropping it closes the connection, which cancels the request.
pub async fn open(provider: Arc<Provider>, call: Arc<Call>, steps: Arc<Steps>) -> Result<Answer, OpenError> {
    // What is rare is in a box of its own here and below, so that the usual way, a connection that rested, is in a small one: each stream makes it.
    let way = match provider.way_now() {
        Some(way) => way,
        None => Box::pin(provider.way()).await.ok_or_else(OpenError::closed)?,
    };
    steps.reach(Phase::Connecting);
    let (head, wire) = match way {
        Way::Shared(place) => Box::pin(over_shared_or_own(&provider, place, &call, &steps)).await?,
        Way::Own(slot) => over_own(&provider, slot, &call, &steps).await?,
    };
    if provider.is_the_proxys(head.status) {
        return Err(OpenError::new(Failure::ConnectFailed, "the proxy refused the request with status 407"));
    }
    if let Some(key) = call.key.filter(|_| (200..300).contains(&head.status)) {
        provider.keys.accepted(key);
    }
    Ok(Answer { head, body: Body { wire, provider } })
}

async fn over_shared_or_own(provider: &Provider, place: Place, call: &Call, steps: &Arc<Steps>) -> Result<(AnswerHead, Wire), OpenError> {
    match over_h2(provider, place, call, steps).await {
        Err(H2Error::NotTaken(why)) => tracing::debug!(provider = %provider.name, why, "a connection took no more requests"),
        result => return result.map_err(|error| OpenError::new(Failure::ConnectFailed, &error)),
    }
    over_own(provider, provider.slot().await.ok_or_else(OpenError::closed)?, call, steps).await
}

async fn over_own(provider: &Provider, slot: Slot, call: &Call, steps: &Arc<Steps>) -> Result<(AnswerHead, Wire), OpenError> {
    if let Some(io) = provider.take_resting() {
        match over_h1(provider, io, call, steps).await {
            Err(H1Error::ClosedBeforeAnswer) => {
                tracing::debug!(provider = %provider.name, "a resting connection was closed under a request");
                steps.sent_again.store(steps.is_sent(), Ordering::Relaxed);
            }
            result => return on_own(result, slot),
        }
    }
    Box::pin(over_fresh(provider, slot, call, steps)).await
}

async fn over_fresh(provider: &Provider, slot: Slot, call: &Call, steps: &Arc<Steps>) -> Result<(AnswerHead, Wire), OpenError> {
    let io = provider.connect().await.map_err(|error| OpenError::new(Failure::ConnectFailed, &error))?;
    if io.negotiated_http2() || provider.http2_policy() == Http2::Always {
        let place = provider.http2.adopt(io, slot).await.map_err(|error| OpenError::new(Failure::ConnectFailed, &error))?;
        return over_h2(provider, place, call, steps).await.map_err(|error| OpenError::new(Failure::ConnectFailed, &error));
    }
    on_own(over_h1(provider, io, call, steps).await, slot)
}

fn on_own(result: Result<(AnswerHead, H1Body), H1Error>, slot: Slot) -> Result<(AnswerHead, Wire), OpenError> {
    let (head, body) = result.map_err(|error| OpenError::from_h1(&error))?;
    Ok((head, Wire::H1(Box::new(body), slot)))
}

async fn over_h1(provider: &Provider, mut io: Io, call: &Call, steps: &Steps) -> Result<(AnswerHead, H1Body), H1Error> {
    steps.reach(Phase::Connected);
    let mut rest = BytesMut::new();
    let sent = h1::send(&mut io, request_head(provider, call), call.body.clone(), &mut rest).await;
    let is_whole = matches!(sent, Ok(None));
    if sent.is_ok() {
        steps.reach(Phase::Sent);
    }
    let head = match sent {
        Ok(Some(refusal)) => refusal,
        Ok(None) => h1::read_head(&mut io, &mut rest).await?,
        // Who hangs up on a request may have said why before: that tells more than the broken write.
        Err(broken) => match h1::read_head(&mut io, &mut rest).await {
            Err(H1Error::ClosedBeforeAnswer) => return Err(H1Error::ClosedBeforeAnswer),
            said => said.map_err(|_| broken)?,
        },
    };
    let body = H1Body::new(io, &head, rest)?;
    Ok((head, if is_whole { body } else { body.closing() }))
}

async fn over_h2(provider: &Provider, place: Place, call: &Call, steps: &Arc<Steps>) -> Result<(AnswerHead, Wire), H2Error> {
    steps.reach(Phase::Connected);
    let mut headers = provider.headers().clone();
    headers.extend(call.headers.iter().map(|(name, value)| (Some(name.clone()), value.clone())));
    let (head, body) = place.send(&provider.uri(call.endpoint), &headers, call.body.clone(), steps).await?;
    Ok((head, Wire::H2(body)))
}

fn request_head(provider: &Provider, call: &Call) -> Bytes {
    let mut head = BytesMut::with_capacity(512);
    head.put_slice(b"POST ");
    head.put_slice(provider.address().as_bytes());
    head.put_slice(call.endpoint.as_bytes());
    head.put_slice(b" HTTP/1.1\r\n");
    for (name, value) in provider.headers().iter().chain(call.headers.iter().map(|(name, value)| (name, value))) {
        head.put_slice(name.as_str().as_bytes());
        head.put_slice(b": ");
        head.put_slice(value.as_bytes());
        head.put_slice(b"\r\n");
    }
    head.put_slice(b"content-length: ");
    head.put_slice(call.body.len().to_string().as_bytes());
    head.put_slice(b"\r\n\r\n");
    head.freeze()
}

impl OpenError {
    fn new(failure: Failure, detail: &(impl ToString + ?Sized)) -> Self {
        Self { failure, detail: detail.to_string() }
    }

    fn closed() -> Self {
        Self::new(Failure::Internal, "the provider's connections are closed")
    }

    fn from_h1(error: &H1Error) -> Self {
        let failure = match error {
            H1Error::ClosedBeforeAnswer | H1Error::Io(_) => Failure::ConnectFailed,
            H1Error::BadHead(_) => Failure::UpstreamMalformed,
        };
        Self::new(failure, error)
    }
}

impl Body {
    /// The next bytes of the body; `None` at its regular end.
    ///
    /// # Errors
    ///
    /// When it broke off.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match &mut self.wire {
            Wire::H1(body, _) => body.poll_data(cx),
            Wire::H2(body) => body.poll_data(cx),
        }
    }

    /// Gives the connection back once nothing of the answer is wanted any more. What is still to come of a body whose end is near is read
    /// and dropped in the background, for a moment.
    pub fn release(self, tasks: &Tasks) {
        let Wire::H1(mut body, slot) = self.wire else { return };
        let provider = self.provider;
        let mut context = Context::from_waker(std::task::Waker::noop());
        while !body.is_done() && matches!(body.poll_data(&mut context), Poll::Ready(Some(Ok(_)))) {}
        if body.is_done() {
            give_back(&provider, *body);
            return;
        }
        tasks.spawn(async move {
            let rest = std::future::poll_fn(|cx| {
                while let Poll::Ready(data) = body.poll_data(cx) {
                    if !matches!(data, Some(Ok(_))) {
                        return Poll::Ready(());
                    }
                }
                Poll::Pending
            });
            if tokio::time::timeout(LINGER, rest).await.is_ok() {
                give_back(&provider, *body);
            }
            drop(slot);
        });
    }
}

fn give_back(provider: &Provider, body: H1Body) {
    if let Some(io) = body.into_reusable() {
        provider.rest(io);
    }
}
