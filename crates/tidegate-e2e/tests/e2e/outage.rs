//! A provider is down for a while under steady traffic, and nobody but its operator notices.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tidegate_e2e::{Answer, Chat, View, World, asked, eventually};
use tidegate_scenario::{JournalEntry, Mock, MockSettings};
use tokio::task::JoinSet;

/// 200 requests a second.
const GAP: Duration = Duration::from_millis(5);
/// How long the primary is well, down, and well again.
const PHASES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(8), Duration::from_secs(5)];
/// Of the breaker; the retries are the product's own, with their waits of seconds.
const COOLDOWN: Duration = Duration::from_secs(2);
const FIRST_BYTE: Duration = Duration::from_secs(1);
/// The whole answer in one write, so that the end of a phase cuts no answer in two.
const WELL: &str = "p: burst 'primary' end";

/// One request of the drill.
struct Call {
    sent: Instant,
    took: Duration,
    view: View,
}

/// A drill that is over.
struct Drill {
    calls: Vec<Call>,
    /// The ledger's, by their id.
    records: HashMap<String, Value>,
    /// What the primary was asked while it was down.
    down: Vec<JournalEntry>,
    /// What it was asked when it was back.
    back: Vec<JournalEntry>,
    back_since: Instant,
}

async fn primary(listen: SocketAddr, scenario: &str) -> Result<Mock> {
    Ok(Mock::start(MockSettings { listen, script: Some(scenario.parse()?), ..MockSettings::default() }).await?)
}

impl Drill {
    /// Runs it; while the primary is down it plays `down`, or listens no more.
    async fn run(down: Option<&str>) -> Result<Self> {
        let well = primary(SocketAddr::from(([127, 0, 0, 1], 0)), WELL).await?;
        let addr = well.addr();
        let world = World::of("s: burst 'spare' end")
            .recovers(&format!("[breaker]\ncooldown = \"{}s\"\n", COOLDOWN.as_secs()))
            .more(&format!("[providers.primary]\nbase_url = \"http://{addr}/v1\"\n"))
            .routes("m", &["primary/p", "s"])
            .more(&format!("timeouts = {{ first_byte = \"{}s\" }}\n", FIRST_BYTE.as_secs()))
            .start()
            .await?;
        let traffic = tokio::spawn(traffic(world.gateway.addr(), PHASES.iter().sum()));
        tokio::time::sleep(PHASES[0]).await;
        well.stop().await;
        let failing = match down {
            Some(scenario) => Some(primary(addr, scenario).await?),
            None => None,
        };
        tokio::time::sleep(PHASES[1]).await;
        let down = failing.as_ref().map(|mock| mock.journal().entries()).unwrap_or_default();
        if let Some(failing) = failing {
            failing.stop().await;
        }
        let back_since = Instant::now();
        let back = primary(addr, WELL).await?;
        let calls = traffic.await??;
        let records = records(&world, calls.len()).await?;
        Ok(Self { calls, records, down, back: back.journal().entries(), back_since })
    }

    fn judge(&self) -> Result<()> {
        for call in &self.calls {
            let answered = call.view.completed() && ["primary", "spare"].contains(&call.view.text.as_str());
            ensure!(answered, "not answered: {:?}", call.view);
            let record = self.records.get(call.view.stream_id()).context("a request without a record")?;
            ensure!(record["status"] == "completed" && record["code"].is_null(), "{record}");
        }
        let (requests, attempts) = (self.calls.len(), self.attempts().count());
        ensure!(attempts * 10 <= requests * 12, "{requests} requests made {attempts} attempts");
        ensure!(self.quantile(0.99) < 2 * FIRST_BYTE, "p99 is {:?}", self.quantile(0.99));

        // Its five failures, those that were under way when the fifth came (half a second of them on a busy machine), and a probe for each
        // cool-down.
        let failed = self.attempts().filter(|attempt| attempt["provider"] == "primary" && attempt["outcome"] == "failed").count();
        let probes = usize::try_from(PHASES[1].as_secs() / COOLDOWN.as_secs())?;
        ensure!((5 + probes - 1..=5 + 100 + probes).contains(&failed), "the primary failed {failed} times");

        let again = self.back.first().context("the primary is asked again")?.received_at;
        ensure!(again - self.back_since < COOLDOWN * 3 / 2, "asked again after {:?}", again - self.back_since);
        let began = self.calls.iter().map(|call| call.sent).min().context("a request")?;
        for (from, to) in [(began, began + PHASES[0] / 2), (again + Duration::from_secs(1), began + Duration::from_secs(3600))] {
            let calls: Vec<&Call> = self.calls.iter().filter(|call| (from..to).contains(&call.sent)).collect();
            let by_others = calls.iter().filter(|call| call.view.text != "primary").count();
            ensure!(calls.len() > 50 && by_others == 0, "{by_others} of {} requests to a well primary went elsewhere", calls.len());
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let (requests, attempts) = (self.calls.len(), self.attempts().count());
        format!("{requests} requests, {attempts} attempts, p99 {:?}, longest {:?}", self.quantile(0.99), self.quantile(1.0))
    }

    /// Every attempt that was made.
    fn attempts(&self) -> impl Iterator<Item = &Value> {
        self.records.values().flat_map(asked)
    }

    fn quantile(&self, share: f64) -> Duration {
        let mut times: Vec<Duration> = self.calls.iter().map(|call| call.took).collect();
        times.sort();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a few thousand")]
        let place = ((times.len() - 1) as f64 * share) as usize;
        times[place]
    }
}

/// Sends requests at the same pace for `length`, however long their answers take.
async fn traffic(addr: SocketAddr, length: Duration) -> Result<Vec<Call>> {
    let (request, end) = (Chat::new("m").bytes(), Instant::now() + length);
    let (mut pace, mut running, mut calls) = (tokio::time::interval(GAP), JoinSet::new(), Vec::new());
    while Instant::now() < end {
        pace.tick().await;
        let request = request.clone();
        running.spawn(async move {
            let sent = Instant::now();
            let view = Answer::to(addr, &request).await?.view().await?;
            anyhow::Ok(Call { sent, took: sent.elapsed(), view })
        });
        while let Some(call) = running.try_join_next() {
            calls.push(call??);
        }
    }
    while let Some(call) = running.join_next().await {
        calls.push(call??);
    }
    Ok(calls)
}

/// The ledger's records by their id, once there are `count`.
async fn records(world: &World, count: usize) -> Result<HashMap<String, Value>> {
    let list = ["streams", "list", "--json", "--limit", "100000"];
    eventually(format!("{count} records"), async || {
        let printed = world.command(&list).await.ok()?;
        let records = printed.lines().map(|line| serde_json::from_str::<Value>(line).ok()).collect::<Option<Vec<_>>>()?;
        let by_id: HashMap<_, _> =
            records.into_iter().map(|record| (record["id"].as_str().unwrap_or_default().to_owned(), record)).collect();
        Some(by_id).filter(|by_id| by_id.len() == count && by_id.values().all(|record| record["status"].is_string()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_primary_answers_503_everybody_is_served_and_it_is_probed_once_in_a_cool_down() -> Result<()> {
    let drill = Drill::run(Some("p: status 503")).await?;
    println!("{}", drill.summary());
    drill.judge()?;
    // What came within the first cool-down was under way when the breaker opened.
    let settled = drill.down.get(4).context("five failures")?.received_at + COOLDOWN;
    let probes: Vec<Instant> = drill.down.iter().map(|entry| entry.received_at).filter(|at| *at > settled).collect();
    let gaps: Vec<Duration> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(probes.len() >= 3 && gaps.iter().all(|gap| *gap >= COOLDOWN), "{gaps:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_primary_refuses_connections_everybody_is_served() -> Result<()> {
    let drill = Drill::run(None).await?;
    println!("{}", drill.summary());
    drill.judge()
}
