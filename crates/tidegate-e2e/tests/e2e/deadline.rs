//! Deadlines: read from the caller's headers, shared by everything that is tried, passed on, and kept whatever the faults.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::Value;
use tidegate_e2e::{Answer, Chat, View, World, WorldBuilder, agree, all};
use tidegate_scenario::JournalEntry;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const TIMEOUT: &str = "x-tidegate-timeout-ms";
const ENVOY: &str = "x-envoy-expected-rq-timeout-ms";
const GRPC: &str = "grpc-timeout";

/// The profile's total, which no caller can exceed.
const TOTAL_MS: u64 = 20_000;
/// Repetitions that come soon, so that several fit into a short deadline.
const QUICK_RETRIES: &str = "[retry]\nattempts = 4\nbackoff = \"200ms\"\njitter = \"1ms\"\n";
/// A deadline that is used up to a tenth of a second.
const TIGHT: &str = "[deadline]\noverhead = \"100ms\"\nleast = \"50ms\"\n";

fn world(scenario: &str) -> WorldBuilder {
    World::of(scenario).model("timeouts = { first_byte = \"20s\", idle = \"15s\", total = \"20s\" }")
}

/// Models with several routes at the mock: `many = ["a", "b"]` asks `a` and then `b`.
fn routed(name: &str, targets: &[&str], settings: &str) -> String {
    let routes: Vec<String> = targets.iter().map(|model| format!("{{ provider = \"mock\", model = \"{model}\" }}")).collect();
    format!("[models.{name}]\nroutes = [{}]\n{settings}\n", routes.join(", "))
}

fn header<'e>(entry: &'e JournalEntry, name: &str) -> Option<&'e str> {
    entry.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn codes(record: &Value) -> Vec<&str> {
    let attempts = record["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    attempts.iter().map(|attempt| attempt["code"].as_str().or(attempt["outcome"].as_str()).unwrap_or_default()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smallest_deadline_counts_less_the_overhead_and_within_the_total() -> Result<()> {
    let world = world("m: 'hello' end").start().await?;
    let cases: &[(&[(&str, &str)], u64)] = &[
        (&[], TOTAL_MS),
        (&[(TIMEOUT, "10000")], 8_000),
        (&[(TIMEOUT, "3500")], 1_500),
        // The overhead leaves a second, or half of what was asked where that is less.
        (&[(TIMEOUT, "2500")], 1_000),
        (&[(TIMEOUT, "1600")], 800),
        (&[(ENVOY, "9000")], 7_000),
        (&[(GRPC, "8S")], 6_000),
        (&[(GRPC, "7000m")], 5_000),
        (&[(GRPC, "6000000u")], 4_000),
        (&[(TIMEOUT, "9000"), (ENVOY, "12000"), (GRPC, "11S")], 7_000),
        (&[(TIMEOUT, "12000"), (ENVOY, "9000"), (GRPC, "11S")], 7_000),
        (&[(TIMEOUT, "12000"), (ENVOY, "11000"), (GRPC, "9S")], 7_000),
        (&[(TIMEOUT, "600000")], TOTAL_MS),
        (&[(TIMEOUT, "18446744073709551615")], TOTAL_MS),
        (&[(GRPC, "1H")], TOTAL_MS),
        // What others on the way wrote is a hint: where it cannot be read, it is none.
        (&[(ENVOY, "soon"), (GRPC, "8")], TOTAL_MS),
        (&[(TIMEOUT, "10000"), (ENVOY, "0"), (GRPC, "123456789S")], 8_000),
    ];
    for (headers, deadline_ms) in cases {
        let chat = headers.iter().fold(Chat::new("m"), |chat, (name, value)| chat.header(name, value));
        let (view, record) = world.chat_and_record(&chat).await?;
        assert_eq!((view.text.as_str(), &record["deadline_ms"]), ("hello", &(*deadline_ms).into()), "{headers:?}: {view:?}");
        let told: u64 = header(world.mock.journal().entries().last().context("an entry")?, TIMEOUT).context("a header")?.parse()?;
        assert!(told <= *deadline_ms && told + 1_500.min(deadline_ms / 2) >= *deadline_ms, "{headers:?}: the provider was told {told} ms");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_that_is_no_number_of_milliseconds_is_refused_by_its_headers_name() -> Result<()> {
    let world = world("m: 'hello' end").start().await?;
    for bad in ["0", "-1", "1.5", "soon", "", "10s", "99999999999999999999999"] {
        let view = world.chat(&Chat::new("m").header(TIMEOUT, bad)).await?;
        assert_eq!((view.status, view.code()), (400, "invalid_request"), "{bad:?}: {view:?}");
        let message = view.error.as_ref().and_then(|error| error["message"].as_str()).unwrap_or_default();
        assert!(message.contains("X-Tidegate-Timeout-Ms") && message.contains("milliseconds"), "{bad:?}: {message}");
        assert_eq!(view.header("x-should-retry"), Some("false"), "{bad:?}");
    }
    assert_eq!(world.mock.journal().entries().len(), 0, "nobody was asked");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_told_to_each_provider_in_the_header_that_the_operator_chose() -> Result<()> {
    let scenario = "m: status 500 | status 500 | 'hello' end";
    for (setting, wanted, unwanted) in [("", TIMEOUT, "x-budget-ms"), ("header = \"X-Budget-Ms\"", "x-budget-ms", TIMEOUT)] {
        let recovers = format!("{QUICK_RETRIES}[deadline]\n{setting}\n");
        let world = world(scenario).recovers(&recovers).start().await?;
        let (view, record) = world.chat_and_record(&Chat::new("m").header(TIMEOUT, "10000")).await?;
        assert!(view.completed(), "{view:?}");
        let entries = world.mock.journal().entries();
        let told: Vec<u64> =
            entries.iter().map(|entry| Ok(header(entry, wanted).context("a deadline")?.parse()?)).collect::<Result<_>>()?;
        // The waits of 200 and 400 ms are gone from what is left.
        assert!(told.len() == 3 && told[0] <= 8_000 && told[1] + 200 <= told[0] && told[2] + 400 <= told[1], "{told:?}: {record}");
        assert!(entries.iter().all(|entry| header(entry, unwanted).is_none()), "{entries:?}");
    }
    let world = world(scenario).recovers(&format!("{QUICK_RETRIES}[deadline]\nheader = \"off\"\n")).start().await?;
    assert!(world.chat(&Chat::new("m").header(TIMEOUT, "10000")).await?.completed());
    let entries = world.mock.journal().entries();
    let names = entries.iter().flat_map(|entry| &entry.headers).map(|(name, _)| name.as_str());
    let deadlines: Vec<&str> =
        names.filter(|name| name.contains("timeout") || name.contains("deadline") || name.ends_with("-ms")).collect();
    assert!(entries.len() == 3 && deadlines.is_empty(), "{deadlines:?}");
    Ok(())
}

/// When an answer with a deadline of one second has ended. The limits that would end it otherwise are far away; a busy machine is not.
const IN_TIME: std::ops::Range<u64> = 990..3_000;

/// What hinders an answer until its second is over.
const FAULTS: &[(&str, &str)] = &[
    ("silent", "stall"),
    ("head-only", "head stall"),
    ("comments", "repeat 100 (comment 30ms) stall"),
    ("role-only", "role stall"),
    ("late", "5s 'too late' end"),
    ("refused-late", "5s status 503"),
];

#[tokio::test(flavor = "multi_thread")]
async fn before_the_head_a_passed_deadline_is_504_in_time_whatever_the_fault_and_the_delivery() -> Result<()> {
    let scenario: Vec<String> = FAULTS.iter().map(|(model, script)| format!("{model}: {script}")).collect();
    let world = world(&scenario.join("; ")).recovers("").start().await?;
    let checks = FAULTS.iter().flat_map(|(model, _)| {
        [Chat::new(model), Chat::whole(model), Chat::new(model).header("x-tidegate-delivery", "coherent")].map(|chat| (*model, chat))
    });
    let checks = checks.map(async |(model, chat)| {
        let (view, record) = world.chat_and_record(&chat.header(TIMEOUT, "3000")).await.context(model)?;
        assert_eq!((view.status, view.code(), view.partial()), (504, "deadline_exceeded", Some(false)), "{model}: {view:?}");
        assert_eq!(view.header("content-type"), Some("application/json"), "{model}");
        assert_eq!((&record["deadline_ms"], &record["disconnect_source"]), (&1_000.into(), &"gateway_timeout".into()), "{model}");
        assert!(record["completed_ms"].as_u64().is_some_and(|ms| IN_TIME.contains(&ms)), "{model}: {record}");
        assert_eq!(codes(&record), ["deadline_exceeded"], "{model}: {record}");
        agree(&view, &record).context(model)
    });
    all(checks).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_head_it_is_a_typed_event_before_output_and_after() -> Result<()> {
    let scenario = "silent: stall; partial: 'hel' stall; drip: words 1000 every 30ms end";
    let world = world(scenario).server("head_after = \"100ms\"\nkeepalive = \"200ms\"").recovers("").start().await?;
    let checks = [("silent", false), ("partial", true), ("drip", true)].map(async |(model, partial)| {
        let (view, record) = world.chat_and_record(&Chat::new(model).header(TIMEOUT, "3000")).await.context(model)?;
        assert_eq!((view.status, view.code(), view.partial()), (200, "deadline_exceeded", Some(partial)), "{model}: {view:?}");
        let last = view.events.last().context("an event")?;
        assert!(!view.done && last.data.as_ref().is_some_and(|data| data.contains("deadline_exceeded")), "{model}: {view:?}");
        assert!(last.at > Duration::from_millis(950) && last.at < Duration::from_secs(5), "{model}: {:?}", last.at);
        assert_eq!(record["disconnect_source"], "gateway_timeout", "{model}: {record}");
        agree(&view, &record).context(model)
    });
    all(checks).await
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_pushback_and_slow_fallbacks_together_stay_within_one_deadline() -> Result<()> {
    let scenario = "flaky: status 500; limited: status 429 retry-after 300ms; limited-2: status 429 retry-after 300ms; slow: 400ms status 503; \
                    silent: stall; cut: 250ms role cut";
    let soon = "timeouts = { first_byte = \"300ms\", idle = \"15s\", total = \"20s\" }";
    let models = [
        routed("errs", &["flaky"], ""),
        routed("waits", &["limited"], ""),
        routed("waits-2", &["limited-2"], ""),
        routed("falls", &["slow", "silent", "cut", "flaky"], soon),
        routed("hangs", &["flaky", "silent"], ""),
    ];
    let recovers = format!("[retry]\nattempts = 10\nbackoff = \"100ms\"\njitter = \"50ms\"\n{TIGHT}[breaker]\nfailures = 1000\n");
    let world = world(scenario).recovers(&recovers).more(&models.concat()).start().await?;
    // Who asks for a pause asks all for it, so each of these two has a target of its own.
    let names = [("errs", "errs"), ("waits", "waits-2"), ("falls", "falls"), ("hangs", "hangs")];
    let checks = names.into_iter().flat_map(|(streamed, whole)| [Chat::new(streamed), Chat::whole(whole)]).map(async |chat| {
        let (view, record) = world.chat_and_record(&chat.header(TIMEOUT, "1300")).await?;
        assert!(!view.completed() && matches!(view.status, 429 | 502 | 504), "{view:?}");
        assert!(codes(&record).len() > 1, "several attempts fit into it: {record}");
        let ended = record["completed_ms"].as_u64().context("a time")?;
        assert!(ended < IN_TIME.end, "the deadline of 1200 ms was passed: {record}");
        agree(&view, &record)
    });
    all(checks).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_cannot_finish_usefully_is_skipped_and_the_record_says_why() -> Result<()> {
    let model = routed("m", &["silent", "spare"], "timeouts = { first_byte = \"400ms\", idle = \"15s\", total = \"20s\" }");
    let world = world("silent: stall; spare: 'spare' end").recovers("").more(&model).start().await?;
    let (view, record) = world.chat_and_record(&Chat::new("m").header(TIMEOUT, "3000")).await?;
    assert_eq!((view.status, view.code()), (504, "first_byte_timeout"), "{view:?}");
    let skipped = &record["attempts"][1];
    assert_eq!((&skipped["model"], &skipped["outcome"]), (&"spare".into(), &"skipped".into()), "{record}");
    assert!(skipped["decision_reason"].as_str().is_some_and(|reason| reason.contains("deadline")), "{record}");
    assert_eq!(record["plan"], serde_json::json!(["mock/silent", "mock/spare"]));
    assert_eq!(world.mock.journal().entries().len(), 1);

    // With time enough the same route answers; and the first attempt is made however little time there is.
    let (view, _) = world.chat_and_record(&Chat::new("m").header(TIMEOUT, "8000")).await?;
    assert_eq!((view.text.as_str(), view.completed()), ("spare", true), "{view:?}");
    let (view, record) = world.chat_and_record(&Chat::new("spare").header(TIMEOUT, "1000")).await?;
    assert_eq!((view.completed(), &record["deadline_ms"]), (true, &500.into()), "{record}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_the_deadline_has_no_room_for_is_not_begun() -> Result<()> {
    let scenario = "flaky: status 500 | 'hello' end; patient: status 429 retry-after 1s | 'hello' end; limited: status 429 retry-after 30s";
    let world = world(scenario).recovers("[retry]\njitter = \"1ms\"\n").start().await?;
    // (model, what is asked, the status, the attempts)
    let cases = [("limited", "20000", 429, 1), ("flaky", "3000", 502, 1), ("patient", "8000", 200, 2)];
    for (model, asked, status, attempts) in cases {
        let (view, record) = world.chat_and_record(&Chat::new(model).header(TIMEOUT, asked)).await?;
        let took = record["completed_ms"].as_u64().context("a time")?;
        assert_eq!((view.status, codes(&record).len()), (status, attempts), "{model}: {view:?} {record}");
        if attempts == 1 {
            assert!(took < 900, "{model} waited for nothing");
        } else {
            assert!(took >= 1_000, "{model} was asked again before it wanted to be");
        }
        if status == 429 {
            assert_eq!(view.header("retry-after"), Some("30"), "{view:?}");
        }
        agree(&view, &record)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_for_a_connection_and_for_the_requests_own_body_counts() -> Result<()> {
    let world = world("m: 'one' stall; quick: 'hello' end").provider("max_connections = 1").recovers("").start().await?;
    let mut first = world.gateway.send(&Chat::new("m")).await?;
    first.event().await?;
    let (view, record) = world.chat_and_record(&Chat::new("m").header(TIMEOUT, "2000")).await?;
    assert_eq!((view.status, view.code()), (504, "deadline_exceeded"), "{view:?}");
    assert!(record["completed_ms"].as_u64().is_some_and(|ms| IN_TIME.contains(&ms)), "{record}");
    assert_eq!(world.mock.journal().entries().len(), 1);
    drop(first);

    let chat = Chat::new("quick").header(TIMEOUT, "1000");
    let (head, whole) = (chat.head_bytes(), chat.bytes());
    let mut socket = TcpStream::connect(world.gateway.addr()).await?;
    let sent = Instant::now();
    socket.write_all(&head).await?;
    // The client itself lets its time pass.
    tokio::time::sleep(Duration::from_millis(700)).await;
    socket.write_all(&whole[head.len()..]).await?;
    let view: View = Answer::on(socket, sent).await?.view().await?;
    assert_eq!((view.status, view.code()), (504, "deadline_exceeded"), "{view:?}");
    Ok(())
}
