//! The one place that reads a clock.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use tidegate_core::Moment;
use tokio::time::{Instant, Sleep};

/// Tells the time as a [`Moment`] since its own making, and what the calendar says.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock whose origin is now.
    #[must_use]
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The present moment. Follows tokio's paused time in tests.
    #[must_use]
    pub fn now(&self) -> Moment {
        Moment::after_origin(self.origin.elapsed())
    }

    /// The runtime's instant for `moment`, to sleep until. A moment too far for the runtime becomes a day from the origin's end.
    #[must_use]
    pub fn instant(&self, moment: Moment) -> Instant {
        const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);
        self.origin + moment.since(Moment::ORIGIN).min(self.origin.elapsed() + LONGEST)
    }

    /// Milliseconds since the Unix epoch, for ids and records. Never used to measure a length of time.
    #[must_use]
    pub fn unix_millis(&self) -> u64 {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }
}

/// Milliseconds since the Unix epoch as RFC 3339 writes them, in UTC with milliseconds. What is beyond the calendar is its last moment.
#[must_use]
pub fn timestamp(unix_millis: u64) -> String {
    const PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(3));
    let moment = i64::try_from(unix_millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    PRINTER.timestamp_to_string(&moment.unwrap_or(Timestamp::MAX))
}

/// A timer for limits that nearly always move on before they are reached.
#[derive(Debug)]
pub struct Alarm {
    timer: Pin<Box<Sleep>>,
    armed: Moment,
}

impl Default for Alarm {
    fn default() -> Self {
        Self { timer: Box::pin(tokio::time::sleep(Duration::ZERO)), armed: Moment::ORIGIN }
    }
}

impl Alarm {
    /// Ready at `wake`, or earlier: whoever is woken looks what is due. The timer is only ever moved when it would ring too late, or has rung:
    /// events move limits into the future, and a timer that rings early costs one look.
    pub fn poll(&mut self, cx: &mut Context<'_>, clock: Clock, wake: Moment, now: Moment) -> Poll<()> {
        if wake < self.armed || self.armed <= now {
            self.armed = wake;
            self.timer.as_mut().reset(clock.instant(wake));
        }
        self.timer.as_mut().poll(cx)
    }
}
