//! From the serde mirror to [`Config`]: judges what takes two settings, or a look around, to judge.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use tidegate_core::breaker::BreakerPolicy;

use crate::config::{Config, Ledger, Log, Server};
use crate::defaults::CONNECTIONS_PER_STREAM;
use crate::errors::{Fault, Faults};
use crate::file::{File, LedgerFile, LogFile, ServerFile};
use crate::path::KeyPath;
use crate::text::duration_text;
use crate::tree::Node;

mod degrade;
mod models;
mod notify;
mod prices;
mod providers;
mod recovery;
mod routes;
mod sessions;
mod timeouts;

/// Silence after which common proxies cut a stream.
const PROXY_PATIENCE: Duration = Duration::from_secs(60);

/// The settings as the rest of Tidegate reads them. What is wrong is added to `faults`; then the result is worthless.
pub(crate) fn resolve(file: &File, root: &Node, faults: &mut Faults) -> Config {
    let mut judge = Judge { root, faults };
    let profiles = timeouts::profiles(&file.profiles, &mut judge);
    let providers: BTreeMap<_, _> = file
        .providers
        .iter()
        .filter_map(|(name, provider)| Some((name.clone(), providers::provider(name, provider, &mut judge)?)))
        .collect();
    let models = models::models(file, &profiles, &mut judge);
    let sessions = sessions::sessions(&file.sessions, &models, &mut judge);
    Config {
        server: server(&file.server),
        ledger: ledger(&file.ledger),
        providers,
        models,
        profiles,
        retry: recovery::retry(&file.retry, &mut judge),
        budget: recovery::budget(&file.retry),
        breaker: BreakerPolicy { failures: file.breaker.failures, cooldown: file.breaker.cooldown.0 },
        deadline: recovery::deadline(file, &mut judge),
        queue: sessions::queue(&file.queue, &mut judge),
        sessions,
        notify: notify::notify(&file.notify, &mut judge),
        prices: prices::prices(&file.prices, &mut judge),
        log: log(&file.log),
    }
}

/// What is allowed and probably not meant.
pub(crate) fn warnings(file: &File, config: &Config) -> Vec<String> {
    let silences = [
        ("server.keepalive", config.server.keepalive),
        ("server.head_after", config.server.head_after),
        ("sessions.heartbeat", config.sessions.heartbeat),
    ];
    let too_long = silences.into_iter().filter(|(_, silence)| *silence >= PROXY_PATIENCE);
    too_long
        .map(|(name, silence)| format!("{name} is {:?}; many proxies cut a stream after 60 s of silence", duration_text(silence)))
        .chain(recovery::overhead_warning(config))
        .chain(sessions::unused_settings(&file.queue, &config.queue.backend))
        .collect()
}

/// Names places and gathers faults.
struct Judge<'a> {
    root: &'a Node,
    faults: &'a mut Faults,
}

impl Judge<'_> {
    /// The setting at `path` is wrong.
    fn fault(&mut self, path: &KeyPath, problem: impl Into<String>, remedy: impl Into<String>) {
        let fault = Fault::new(path.clone(), self.root.origin_of(path), problem.into()).remedy(remedy.into());
        self.faults.add_about(fault, &[path]);
    }

    /// The setting at `path` is wrong because of what stands at `other`.
    fn conflict(&mut self, path: &KeyPath, other: (&KeyPath, &str), problem: impl Into<String>, remedy: impl Into<String>) {
        let fault = Fault::new(path.clone(), self.root.origin_of(path), problem.into()).remedy(remedy.into());
        self.faults.add_about(fault.context(self.root.origin_of(other.0), other.1), &[path, other.0]);
    }

    /// Of two settings of `section`, the first may not be above the second.
    fn ascending<T: Ord>(&mut self, section: &str, [(low, low_value), (high, high_value)]: [(&str, T); 2], words: &Order<T>) {
        if low_value <= high_value {
            return;
        }
        let [low_path, high_path] = [low, high].map(|name| KeyPath::of(&[section, name]));
        let [low_text, high_text] = [&low_value, &high_value].map(words.show);
        let Order { more, less, lower, .. } = words;
        let remedy = format!("{lower} {low} or raise {high}");
        match (self.root.has(&low_path), self.root.has(&high_path)) {
            (true, true) => {
                let problem = format!("{low_text} is {more} than {high} {high_text}");
                self.conflict(&low_path, (&high_path, &format!("{high} is set here")), problem, remedy);
            }
            (false, true) => self.fault(&high_path, format!("{high_text} is {less} than {low}, by default {low_text}"), remedy),
            _ => self.fault(&low_path, format!("{low_text} is {more} than {high}, by default {high_text}"), remedy),
        }
    }

    /// The name at the end of `path` is wrong.
    fn wrong_name(&mut self, path: &KeyPath, problem: impl Into<String>, remedy: impl Into<String>) {
        let fault = Fault::new(path.clone(), self.root.origin_of_key(path), problem.into()).remedy(remedy.into()).of_name();
        self.faults.add_about(fault, &[path]);
    }
}

/// How two values in the wrong order are told.
struct Order<T> {
    show: fn(&T) -> String,
    more: &'static str,
    less: &'static str,
    lower: &'static str,
}

const LENGTHS: Order<Duration> =
    Order { show: |length| format!("{:?}", duration_text(*length)), more: "longer", less: "shorter", lower: "shorten" };
const COUNTS: Order<NonZeroU32> = Order { show: NonZeroU32::to_string, more: "larger", less: "smaller", lower: "lower" };

fn server(file: &ServerFile) -> Server {
    let max_streams = count(file.max_streams);
    Server {
        listen: file.listen.0,
        workers: file.workers,
        head_after: file.head_after.0,
        keepalive: file.keepalive.0,
        max_streams,
        max_connections: file.max_connections.map_or(max_streams.saturating_mul(CONNECTIONS_PER_STREAM), count),
        max_body: file.max_body.0,
        header_timeout: file.header_timeout.0,
        body_timeout: file.body_timeout.0,
        slow_client: file.slow_client.0,
        write_buffer: file.write_buffer.0,
        drain: file.drain.0,
    }
}

fn ledger(file: &LedgerFile) -> Ledger {
    Ledger { path: file.path.clone().into(), retention: file.retention.0 }
}

fn log(file: &LogFile) -> Log {
    Log { format: file.format, level: file.level }
}

/// A count as the standard library's collections take it.
fn count(number: NonZeroU32) -> usize {
    usize::try_from(number.get()).unwrap_or(usize::MAX)
}
