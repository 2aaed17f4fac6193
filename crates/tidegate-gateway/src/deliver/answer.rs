//! The body of every answer of the gateway.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tidegate_config::OnDisconnect;
use tidegate_core::failure::Failure;

use super::leave::{Leaving, leave};
use crate::arrive::meter::{Handed, Meter};
use crate::gateway::Gateway;
use crate::record::later;
use crate::record::live::{Live, Receipt};
use crate::relay::held::Piece;
use crate::relay::pump::{Pump, Step};

/// A response as the connection sends it.
pub type Response = http::Response<AnswerBody>;

/// What a service of the gateway answers: it never fails, a failure is an answer.
pub type Answered = Result<Response, Infallible>;

/// A stream that is pumped while it is polled, or bytes that are there.
#[derive(Debug)]
pub enum AnswerBody {
    /// A stream.
    Stream(Box<StreamBody>),
    /// Whole bytes, with the stream that they end, if they belong to one.
    Whole(WholeBody),
}

impl AnswerBody {
    /// Bytes that belong to no stream.
    #[must_use]
    pub fn plain(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(WholeBody { piece: Some(Piece { bytes: bytes.into(), output_events: 0 }), owner: None })
    }

    /// The only bytes of a stream that has ended.
    #[must_use]
    pub fn last_of(live: Box<Live>, meter: Arc<Meter>, piece: Piece) -> Self {
        Self::Whole(WholeBody { piece: Some(piece), owner: Some((live, meter)) })
    }
}

/// Whole bytes of known length.
#[derive(Debug)]
pub struct WholeBody {
    piece: Option<Piece>,
    owner: Option<(Box<Live>, Arc<Meter>)>,
}

/// A stream between a provider and the client whose connection polls it.
///
/// Dropped before its end, the client is gone: the provider's request is cancelled at once, or read on where the model says so, and the
/// record is settled either way.
#[derive(Debug)]
pub struct StreamBody {
    /// `None` only while it is dropped.
    pump: Option<Box<Pump>>,
    first: Option<Piece>,
    meter: Arc<Meter>,
    gateway: Arc<Gateway>,
    on_disconnect: OnDisconnect,
    /// A failure of a whole answer whose status 200 is out cannot be told: the transport is broken off, which every client notices.
    breaks_on_failure: bool,
}

impl StreamBody {
    /// A body that goes on where the head was sent, with the piece that came with it.
    #[must_use]
    pub fn new(pump: Box<Pump>, first: Option<Piece>, meter: Arc<Meter>, gateway: Arc<Gateway>, on_disconnect: OnDisconnect) -> Self {
        Self { pump: Some(pump), first, meter, gateway, on_disconnect, breaks_on_failure: false }
    }

    /// For a whole answer whose status 200 is out: a failure breaks the transport off.
    #[must_use]
    pub fn breaking_on_failure(mut self) -> Self {
        self.breaks_on_failure = true;
        self
    }

    fn poll_pump(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Handed>, io::Error>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(self.meter.hand(first)))));
        }
        let client_takes = self.meter.has_room(cx);
        let Some(pump) = &mut self.pump else { return Poll::Ready(None) };
        loop {
            return match pump.poll_step(cx, client_takes) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Step::Head) => continue,
                Poll::Ready(Step::Piece(piece)) => Poll::Ready(Some(Ok(Frame::data(self.meter.hand(piece))))),
                Poll::Ready(Step::End) => {
                    let has_failed = pump.live().exchange.ending().is_some_and(|ending| ending.failure.is_some());
                    let broken = self.breaks_on_failure && has_failed;
                    Poll::Ready(broken.then(|| Err(io::Error::other("the answer cannot be completed"))))
                }
            };
        }
    }

    fn is_over(&self) -> bool {
        self.first.is_none() && !self.breaks_on_failure && self.pump.as_ref().is_none_or(|pump| pump.is_over())
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        let Some(pump) = self.pump.take() else { return };
        let was_handed_over = self.first.is_none() && pump.is_over();
        if was_handed_over {
            return self.meter.say_farewell(pump.into_parts().0);
        }
        let receipt = self.meter.receipt_of_loss();
        let failure = match receipt {
            Receipt::GivenUp => Failure::SlowClient,
            // A client that did not even take its typed ending.
            _ if self.meter.has_to_end() => Failure::GatewayDraining,
            _ => Failure::ClientGone,
        };
        self.meter.answered();
        let leaving = Leaving { failure, taken: self.meter.taken(), on_disconnect: self.on_disconnect };
        if let Some(live) = leave(pump, leaving, &self.gateway) {
            later::settle(live, receipt, &self.gateway.tasks);
        }
    }
}

impl Drop for WholeBody {
    fn drop(&mut self) {
        if let Some((live, meter)) = self.owner.take() {
            if self.piece.is_some() {
                // Nobody took a byte: the connection was lost first.
                meter.answered();
                live.settle(meter.taken(), meter.receipt_of_loss());
            } else {
                meter.say_farewell(live);
            }
        }
    }
}

impl Body for AnswerBody {
    type Data = Handed;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Handed>, io::Error>>> {
        match self.get_mut() {
            Self::Stream(stream) => stream.poll_pump(cx),
            Self::Whole(whole) => Poll::Ready(whole.piece.take().map(|piece| {
                Ok(Frame::data(match &whole.owner {
                    Some((_, meter)) => meter.hand(piece),
                    None => Handed::unmetered(piece.bytes),
                }))
            })),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Stream(stream) => stream.is_over(),
            Self::Whole(whole) => whole.piece.as_ref().is_none_or(|piece| piece.bytes.is_empty() && whole.owner.is_none()),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Stream(_) => SizeHint::default(),
            Self::Whole(whole) => SizeHint::with_exact(whole.piece.as_ref().map_or(0, |piece| piece.bytes.len() as u64)),
        }
    }
}
