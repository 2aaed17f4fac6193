//! Told: whoever waits for a background answer hears that it is there, by a webhook.
//!
//! A notification is written into the ledger's outbox before anybody is told that it will come, and leaves it when the receiver took it, so
//! it survives a restart. Sending is done by tasks of their own: one message after the other to a host, a few hosts at once.

pub mod address;
pub mod message;
pub mod schedule;
pub mod sign;

mod send;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use secrecy::SecretString;
use tidegate_ledger::LedgerError;
use tidegate_ledger::outbox::{Message, Outbox, OutboxError};
use tokio::sync::Notify;
use url::Url;

pub use self::address::BadWebhookUrl;
pub use self::message::Notification;
use self::schedule::Next;
use self::send::Sender;
use crate::clock::Clock;
use crate::tasks::Tasks;

/// Hosts that are told something at the same moment. One that does not answer holds one of these places for 15 s at a time.
const AT_ONCE: usize = 8;
/// How often the outbox is looked at without a reason: the calendar's clock may have been set, or the database may have refused to answer.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// How soon the outcome of an attempt is written again where the database did not take it.
const SETTLE_AGAIN: Duration = Duration::from_secs(5);

/// How webhooks are sent.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Signs them: `whsec_` and base64, or any other text, whose bytes are the key then.
    pub secret: SecretString,
    /// They may go to private addresses and by plain HTTP. Default false.
    pub allow_private: bool,
    /// Where they go when the request names no address.
    pub default_url: Option<Url>,
}

/// Tells receivers that background answers are ready. A cheap handle.
#[derive(Debug, Clone)]
pub struct Notifier {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: ArcSwap<Settings>,
    outbox: Outbox,
    clock: Clock,
    tasks: Tasks,
    sender: Sender,
    /// One at a time chooses its message, so that none is chosen twice.
    choosing: tokio::sync::Mutex<()>,
    /// Hosts that are being told something.
    busy: Mutex<HashSet<String>>,
    /// Something has changed that may let another message go.
    changed: Notify,
    is_closing: AtomicBool,
}

impl Notifier {
    /// A notifier that sends what is in `outbox`. Deliveries are spawned on `tasks`.
    ///
    /// # Errors
    ///
    /// [`BadWebhookUrl`] where the default address may not be used.
    pub fn new(settings: Settings, outbox: Outbox, clock: Clock, tasks: Tasks) -> Result<Self, BadWebhookUrl> {
        Self::with_sender(settings, outbox, clock, tasks, Sender::default())
    }

    fn with_sender(settings: Settings, outbox: Outbox, clock: Clock, tasks: Tasks, sender: Sender) -> Result<Self, BadWebhookUrl> {
        let shared = Shared {
            settings: ArcSwap::from_pointee(checked(settings)?),
            outbox,
            clock,
            tasks,
            sender,
            choosing: tokio::sync::Mutex::default(),
            busy: Mutex::default(),
            changed: Notify::new(),
            is_closing: AtomicBool::new(false),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Puts new settings in force for every attempt from now on, also for messages that wait.
    ///
    /// # Errors
    ///
    /// [`BadWebhookUrl`] where the default address may not be used; the old settings stay.
    pub fn reload(&self, settings: Settings) -> Result<(), BadWebhookUrl> {
        self.shared.settings.store(Arc::new(checked(settings)?));
        Ok(())
    }

    /// Judges the address that a request asks to be told at. Without one, the answer is the default address, or nobody.
    ///
    /// Names are not resolved here: that is done for each attempt, and a name with a private address is refused then.
    ///
    /// # Errors
    ///
    /// [`BadWebhookUrl`], whose text is for the client.
    pub fn address(&self, asked: Option<&str>) -> Result<Option<Url>, BadWebhookUrl> {
        let settings = self.shared.settings.load();
        match asked {
            Some(text) => address::check_url(text, settings.allow_private).map(Some),
            None => Ok(settings.default_url.clone()),
        }
    }

    /// Writes the notification into the outbox and sends it as soon as possible. Returns when it is durable.
    ///
    /// # Errors
    ///
    /// [`OutboxError`]: nobody will be told.
    ///
    /// # Cancel safety
    ///
    /// Safe: it is written all the same, and sent half a minute later at the latest, while [`Self::run`] runs.
    pub async fn post(&self, url: &Url, event: &Notification) -> Result<(), OutboxError> {
        let message = event.message(url, self.shared.clock.unix_millis());
        self.shared.outbox.add(message).await?;
        self.start_sending();
        Ok(())
    }

    /// Sends what an earlier process left, and repeats what failed, until `shutdown`. Deliveries that run then are finished by tasks of their
    /// own; what waits stays in the outbox for the next process.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropped, failed messages wait for the next call.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let pause = self.look().await;
            tokio::select! {
                () = shutdown.as_mut() => break,
                () = self.shared.changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        self.shared.is_closing.store(true, Ordering::Relaxed);
    }

    /// Starts sending where a message is due. Returns when to look again unless something changes before.
    async fn look(&self) -> Duration {
        let (now, busy) = (self.shared.clock.unix_millis(), self.shared.busy_hosts());
        if busy.len() >= AT_ONCE {
            return LOOK_EVERY;
        }
        match self.shared.outbox.next_due(now, busy).await {
            Ok(Some(due)) if due <= now => {
                self.start_sending();
                LOOK_EVERY
            }
            Ok(Some(due)) => Duration::from_millis(due - now).min(LOOK_EVERY),
            Ok(None) => LOOK_EVERY,
            Err(error) => {
                tell_unreadable(&error);
                LOOK_EVERY
            }
        }
    }

    fn start_sending(&self) {
        self.shared.tasks.spawn(Arc::clone(&self.shared).send_what_is_due());
    }
}

fn checked(settings: Settings) -> Result<Settings, BadWebhookUrl> {
    if let Some(url) = &settings.default_url {
        address::check_url(url.as_str(), settings.allow_private)?;
    }
    Ok(settings)
}

fn tell_unreadable(error: &LedgerError) {
    tracing::warn!(error = error as &dyn std::error::Error, "the outbox cannot be read; webhooks wait");
}

impl Shared {
    async fn send_what_is_due(self: Arc<Self>) {
        while let Some((message, _turn)) = self.choose().await {
            let next = self.attempt(&message).await;
            self.settle(message, next).await;
            if self.is_closing.load(Ordering::Relaxed) {
                return;
            }
        }
    }

    /// The message that is due for the longest time and whose host is free, and the host's turn.
    async fn choose(self: &Arc<Self>) -> Option<(Message, Turn)> {
        // A host that is freed meanwhile was busy when it was left out; one that is chosen cannot be chosen by anybody else.
        let _choosing = self.choosing.lock().await;
        let busy = self.busy_hosts();
        if busy.len() >= AT_ONCE {
            return None;
        }
        match self.outbox.due(self.clock.unix_millis(), busy).await {
            Ok(message) => message.map(|message| {
                let turn = Turn::of(self, &message.host);
                (message, turn)
            }),
            Err(error) => {
                tell_unreadable(&error);
                None
            }
        }
    }

    async fn attempt(&self, message: &Message) -> Next {
        let (settings, now) = (self.settings.load_full(), self.clock.unix_millis());
        let sent = self.sender.send(message, &settings.secret, settings.allow_private, now).await;
        let outcome = sent.as_ref().map_or_else(|error| error.outcome(), |outcome| *outcome);
        let attempt = message.attempts.saturating_add(1);
        let next = schedule::next(outcome, attempt, self.clock.unix_millis(), message.expires_unix_ms, rand::random());

        let (id, host) = (&message.id, &message.host);
        let status = if let schedule::Outcome::Answered { status, .. } = outcome { Some(status) } else { None };
        let error = sent.as_ref().err().map(|error| error as &dyn std::error::Error);
        match next {
            Next::Delivered => tracing::debug!(id, host, attempt, "webhook delivered"),
            Next::TryAt(_) => tracing::info!(id, host, attempt, status, error, "webhook not taken; it is tried again later"),
            Next::GiveUp => tracing::warn!(id, host, attempt, status, error, "webhook given up"),
        }
        next
    }

    /// Writes down what follows. While that cannot be written, the host waits: its message would go out again and again.
    async fn settle(&self, message: Message, next: Next) {
        loop {
            let written = match next {
                Next::Delivered | Next::GiveUp => self.outbox.forget(message.id.clone()).await,
                Next::TryAt(at) => self.outbox.failed(message.id.clone(), message.attempts.saturating_add(1), at).await,
            };
            let Err(error) = written else { return };
            tracing::warn!(error = &error as &dyn std::error::Error, id = message.id, "the outbox cannot be written");
            if self.is_closing.load(Ordering::Relaxed) {
                return;
            }
            tokio::time::sleep(SETTLE_AGAIN).await;
        }
    }

    fn busy_hosts(&self) -> Vec<String> {
        self.busy().iter().cloned().collect()
    }

    fn busy(&self) -> MutexGuard<'_, HashSet<String>> {
        // A panic while it was held cannot have left it half-changed.
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A host's turn. Dropping it gives the next message for that host its turn.
struct Turn {
    shared: Arc<Shared>,
    host: String,
}

impl Turn {
    fn of(shared: &Arc<Shared>, host: &str) -> Self {
        shared.busy().insert(host.to_owned());
        // Another message may be due, for another host.
        shared.changed.notify_one();
        Self { shared: Arc::clone(shared), host: host.to_owned() }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.busy().remove(&self.host);
        self.shared.changed.notify_one();
    }
}

#[cfg(test)]
mod tests;
