//! Answers made in the background: acknowledged at once, really made, fetched by whoever asked, told by a webhook, and never silently lost.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;
use serde_json::{Value, json};
use tidegate_e2e::{Case, Chat, Receiver, Sdk, View, World, WorldBuilder, agree, all, eventually};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const OTHER_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// A world that tells by webhook; `more` are further lines of `[notify]`.
fn telling(scenario: &str, more: &str) -> WorldBuilder {
    let notify = format!("[notify]\nsecret = \"{SECRET}\"\nallow_private = true\n{more}\n");
    World::of(scenario).recovers(&format!("[retry]\nattempts = 1\n{notify}"))
}

fn in_background(model: &str) -> Chat {
    Chat::new(model).header("x-tidegate-delivery", "background")
}

/// The job that the acknowledgement names, in its body and its headers alike.
fn job(view: &View) -> Result<String> {
    let body = view.body.as_ref().context("an acknowledgement")?;
    let id = body["id"].as_str().context("an id")?;
    let url = format!("/v1/streams/{id}");
    assert_eq!(view.status, 202, "{view:?}");
    assert_eq!((&body["object"], &body["status"], &body["url"]), (&"tidegate.job".into(), &"in_progress".into(), &url.as_str().into()));
    assert_eq!((view.header("location"), view.header("content-type")), (Some(url.as_str()), Some("application/json")), "{view:?}");
    Ok(id.to_owned())
}

fn text(record: &Value) -> &str {
    record["result"]["choices"][0]["message"]["content"].as_str().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_background_is_asked_for_in_each_way_and_the_answer_is_there_when_it_is_made() -> Result<()> {
    let later = "[models.later]\nroutes = [{ provider = \"mock\", model = \"m\" }]\ndelivery = \"background\"\n";
    let world =
        World::of("m: 500ms 'hel' 400ms 'lo' end").server("head_after = \"100ms\"\nkeepalive = \"100ms\"").more(later).start().await?;
    let ways = [
        in_background("m"),
        Chat::whole("m").header("x-tidegate-delivery", "background"),
        Chat::new("m").header("prefer", "respond-async"),
        Chat::whole("m").header("prefer", "wait=10, respond-async"),
        Chat::new("later"),
    ];
    let checks = ways.map(async |chat| {
        let chat = chat.header("x-request-id", "app-17");
        let view = world.chat(&chat).await?;
        let id = job(&view)?;
        assert_eq!((view.stream_id(), view.header("x-request-id")), (id.as_str(), Some("app-17")), "{view:?}");
        let running = world.gateway.get(&format!("/v1/streams/{id}")).await?.body.context("a record")?;
        assert_eq!(
            (&running["status"], &running["delivery"], running.get("result")),
            (&Value::Null, &"background".into(), None),
            "{running}"
        );

        let done = world.gateway.record(&id).await?;
        assert_eq!((&done["status"], &done["delivery"], text(&done)), (&"completed".into(), &"background".into(), "hello"), "{done}");
        assert_eq!((&done["result"]["object"], &done["client_request_id"]), (&"chat.completion".into(), &"app-17".into()), "{done}");
        assert_eq!(done["events"]["keepalive"], 0, "there is nobody to keep alive: {done}");
        assert_eq!((&done["deadline_ms"], &done["events"]["output"]), (&900_000.into(), &2.into()), "{done}");
        Ok(())
    });
    all(checks).await?;
    // The request's own word goes before the model's.
    let view = world.chat(&Chat::new("later").header("x-tidegate-delivery", "stream")).await?;
    assert!(view.completed() && view.text == "hello", "{view:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_belongs_to_the_key_that_asked() -> Result<()> {
    let (world, key) = World::of("m: 'secret plans' end").start_with_key().await?;
    let colleague = world.make_key(&["--team", "search"]).await?;
    let admin = world.make_key(&["--admin"]).await?;
    let id = job(&world.chat(&in_background("m").key(&key)).await?)?;
    for key in [&key, &admin] {
        let record = world.gateway.record_with_key(&id, Some(key)).await?;
        assert_eq!(text(&record), "secret plans", "{record}");
    }
    let path = format!("/v1/streams/{id}");
    for (key, status) in [(Some(colleague.as_str()), 404), (None, 401)] {
        let view = world.gateway.get_with_key(&path, key).await?;
        assert_eq!(view.status, status, "{view:?}");
        assert!(!format!("{view:?}").contains("secret plans"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_holds_its_place_and_its_answer_expires() -> Result<()> {
    let scenario = "long: 800ms 'hello' end; m: 'hello' end";
    let world = telling(scenario, "retention = \"2s\"").server("max_streams = 1").start().await?;
    let id = job(&world.chat(&in_background("long")).await?)?;
    let refused = world.chat(&in_background("m")).await?;
    assert_eq!((refused.status, refused.code()), (503, "gateway_overloaded"), "{refused:?}");
    assert_eq!(text(&world.gateway.record(&id).await?), "hello");
    let path = format!("/v1/streams/{id}");
    let expired = async || world.gateway.get(&path).await.ok()?.body.filter(|record| record.get("result").is_none());
    let record = eventually("the answer expires", expired).await?;
    assert_eq!(record["status"], "completed", "the record stays: {record}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_brings_the_answer_signed_to_the_requests_address_or_the_default_one() -> Result<()> {
    let receiver = Receiver::start(&[]).await?;
    let default = format!("url = \"{}\"", receiver.url("/default"));
    let world = telling("m: 'hel' 'lo' end; long: words 6000 end", &default).start().await?;
    let own = in_background("m").header("x-tidegate-notify-url", &receiver.url("/own?for=me"));
    for (n, chat, path) in [(1, in_background("m"), "/default"), (2, own, "/own?for=me")] {
        let id = job(&world.chat(&chat).await?)?;
        let webhook = receiver.nth(n).await?;
        assert_eq!((webhook.path.as_str(), webhook.header("content-type")), (path, "application/json"), "{webhook:?}");
        assert!(webhook.is_signed_with(SECRET) && !webhook.is_signed_with(OTHER_SECRET), "{webhook:?}");
        assert_eq!(webhook.header("webhook-id"), id.replacen("strm_", "msg_", 1));
        let told = webhook.json()?;
        let data = &told["data"];
        assert_eq!(
            (&told["type"], &data["stream_id"], &data["status"]),
            (&"stream.completed".into(), &id.as_str().into(), &"completed".into())
        );
        let record = world.gateway.get(data["url"].as_str().context("a path")?).await?.body.context("a record")?;
        assert_eq!((&data["result"], text(&record)), (&record["result"], "hello"), "{told}");
    }
    // What is too large to be sent has to be fetched.
    let id = job(&world.chat(&in_background("long")).await?)?;
    let told = receiver.nth(3).await?;
    assert!(told.is_signed_with(SECRET) && told.body.len() < 1_000, "{told:?}");
    assert_eq!((&told.json()?["data"]["stream_id"], told.json()?["data"].get("result")), (&id.as_str().into(), None));
    assert_eq!(text(&world.gateway.record(&id).await?).split_whitespace().count(), 6_000);
    assert_eq!(receiver.came().len(), 3, "each is told once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_was_not_taken_comes_again_as_the_same_message() -> Result<()> {
    let receiver = Receiver::start(&[Some(500)]).await?;
    let world = telling("m: 'hello' end", &format!("url = \"{}\"", receiver.url("/"))).start().await?;
    job(&world.chat(&in_background("m")).await?)?;
    let first = receiver.nth(1).await?;
    let began = Instant::now();
    // From its reload on, a new secret signs what waits too.
    let settings = world.folder().join("tidegate.toml");
    std::fs::write(&settings, std::fs::read_to_string(&settings)?.replace(SECRET, OTHER_SECRET))?;
    world.gateway.signal(Signal::HUP)?;
    let second = receiver.nth(2).await?;
    let waited = began.elapsed();
    assert!(waited > Duration::from_millis(4_500) && waited < Duration::from_secs(20), "{waited:?}");
    assert!(first.is_signed_with(SECRET) && second.is_signed_with(OTHER_SECRET) && !second.is_signed_with(SECRET), "{second:?}");
    assert_eq!((first.header("webhook-id"), &first.body), (second.header("webhook-id"), &second.body));
    assert_ne!(first.header("webhook-timestamp"), second.header("webhook-timestamp"), "each attempt has its own time");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_told_like_an_answer() -> Result<()> {
    let receiver = Receiver::start(&[]).await?;
    let more = format!("deadline = \"2s\"\nurl = \"{}\"", receiver.url("/"));
    let scenario = "wrong: status 400; broken: status 500; silent: stall; half: 'hel' cut";
    let world = telling(scenario, &more).start().await?;
    let cases = [("wrong", "upstream_rejected"), ("broken", "upstream_error"), ("half", "upstream_cut"), ("silent", "deadline_exceeded")];
    for (n, (model, code)) in cases.into_iter().enumerate() {
        let id = job(&world.chat(&in_background(model)).await?)?;
        let told = receiver.nth(n + 1).await?.json()?;
        assert_eq!((&told["type"], &told["data"]["stream_id"]), (&"stream.failed".into(), &id.as_str().into()), "{told}");
        let record = world.gateway.record(&id).await?;
        for view in [&told["data"], &record] {
            assert_eq!(
                (&view["status"], &view["code"], view.get("result")),
                (&"failed_before_output".into(), &code.into(), None),
                "{model}: {view}"
            );
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_perseveres_through_an_outage() -> Result<()> {
    let world =
        telling("m: status 503 | status 500 | 'at last' end", "").recovers("[retry]\nattempts = 2\nbackoff = \"10ms\"\njitter = \"1ms\"\n");
    let world = world.start().await?;
    let id = job(&world.chat(&in_background("m")).await?)?;
    let record = world.gateway.record(&id).await?;
    assert_eq!((&record["status"], text(&record)), (&"completed".into(), "at last"), "{record}");
    assert!(record["attempts"].as_array().is_some_and(|attempts| attempts.len() == 3), "{record}");
    assert!(record["completed_ms"].as_u64().is_some_and(|ms| ms >= 10_000), "it leaves the provider alone for a while: {record}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_may_not_be_told_is_refused_by_its_headers_name() -> Result<()> {
    let long = format!("https://example.com/{}", "x".repeat(2_048));
    let always = ["", "example.com/hook", "ftp://example.com/", "https://", "https://me:pass@example.com/", "https://exämple.com/", &long];
    let private = [
        "http://example.com/",
        "http://127.0.0.1:9/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://[::1]/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://2130706433/",
        "https://[::ffff:192.168.0.1]/",
    ];
    let public = World::of("m: 'hello' end").more(&format!("[notify]\nsecret = \"{SECRET}\"\n")).start().await?;
    let permissive = telling("m: 'hello' end", "").start().await?;
    let silent = World::start("m: 'hello' end").await?;
    let checks = [
        (&public, always.iter().chain(&private).copied().collect()),
        (&permissive, always.to_vec()),
        (&silent, vec!["https://example.com/"]),
    ];
    for (world, addresses) in checks {
        for address in addresses {
            for chat in [in_background("m"), Chat::new("m")] {
                let view = world.chat(&chat.header("x-tidegate-notify-url", address)).await?;
                assert_eq!((view.status, view.code()), (400, "invalid_request"), "{address}: {view:?}");
                let message = view.error.as_ref().and_then(|error| error["message"].as_str()).unwrap_or_default();
                assert!(message.contains("X-Tidegate-Notify-Url"), "{address}: {message}");
                assert!(!message.contains("pass@"), "{message}");
            }
        }
        assert_eq!(world.mock.journal().entries().len(), 0, "nobody was asked");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_private_default_address_is_refused_at_the_start_unless_allowed() -> Result<()> {
    let notify = format!("[notify]\nsecret = \"{SECRET}\"\nurl = \"https://10.1.2.3/hook\"\n");
    let Err(error) = World::of("m: 'hello' end").more(&notify).start().await else { anyhow::bail!("it started") };
    let told = format!("{error:#}");
    assert!(told.contains("10.1.2.3") && told.contains("allow_private"), "{told}");
    World::of("m: 'hello' end").more(&format!("{notify}allow_private = true\n")).start().await?;
    Ok(())
}

/// A model whose chain ends in the promise.
const PROMISE: &str = "[models.m]\ndegrade = [{ notify = true }]\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_live_request_whose_chain_is_used_up_goes_on_as_a_job() -> Result<()> {
    let receiver = Receiver::start(&[]).await?;
    for (n, delivery) in ["stream", "coherent", "whole", "buffered"].into_iter().enumerate() {
        let world = telling("m: status 500 | 300ms 'at ' 'last' end", "deadline = \"7m\"").more(PROMISE).start().await?;
        let chat = if delivery == "whole" { Chat::whole("m") } else { Chat::new("m").header("x-tidegate-delivery", delivery) };
        let chat = chat.header("x-tidegate-notify-url", &receiver.url("/own")).header("x-tidegate-timeout-ms", "30000");
        let (view, record) = world.chat_and_record(&chat).await?;
        let id = record["restarted_as"].as_str().context("a job")?;
        assert_eq!((&record["status"], &record["deadline_ms"]), (&"completed".into(), &28_000.into()), "{delivery}: {record}");
        let last = &record["attempts"][1];
        assert_eq!(
            (&last["provider"], &last["outcome"], &last["decision"]),
            (&"notify".into(), &"used".into(), &"deliver".into()),
            "{record}"
        );
        assert_eq!(record["attempts"][0]["decision"], "degrade", "{record}");
        if matches!(delivery, "stream" | "coherent") {
            assert!(view.completed() && view.text.contains(&format!("/v1/streams/{id}")), "{view:?}");
            let mut chunks = view.events.iter().filter_map(|event| serde_json::from_str::<Value>(event.data.as_deref()?).ok());
            assert!(chunks.all(|chunk| chunk["tidegate"]["answer"] == "deferred"), "{view:?}");
            agree(&view, &record)?;
        } else {
            assert_eq!(job(&view)?, id);
        }
        let done = world.gateway.record(id).await?;
        assert_eq!((&done["restarted_from"], &done["delivery"]), (&view.stream_id().into(), &"background".into()), "{done}");
        assert_eq!((&done["status"], text(&done), &done["deadline_ms"]), (&"completed".into(), "at last", &420_000.into()), "{done}");
        let told = receiver.nth(n + 1).await?;
        assert!(told.is_signed_with(SECRET) && told.json()?["data"]["stream_id"] == id, "{told:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_on_when_the_client_that_was_promised_it_has_left() -> Result<()> {
    let world = telling("m: status 500 | 500ms 'at last' end", "").more(PROMISE).start().await?;
    let mut answer = world.gateway.send(&Chat::new("m")).await?;
    answer.event().await?;
    let live = answer.header("x-tidegate-stream-id").context("an id")?.to_owned();
    answer.reset()?;
    let record = world.gateway.record(&live).await?;
    let done = world.gateway.record(record["restarted_as"].as_str().context("a job")?).await?;
    assert_eq!((&done["status"], text(&done)), (&"completed".into(), "at last"), "{done}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn official_sdks_read_a_promise_as_an_answer() -> Result<()> {
    let world = telling("m: status 500", "").more(PROMISE).start().await?;
    for sdk in Sdk::ALL {
        let views = sdk.run(&world.gateway.base_url(), "none", &[Case::stream("m")]).await?;
        assert!(views[0].completed() && views[0].text.contains("/v1/streams/strm_"), "{sdk:?}: {views:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_sigterm_jobs_finish_are_kept_and_are_told() -> Result<()> {
    let receiver = Receiver::start(&[]).await?;
    let mut world = telling("m: words 10 every 100ms end", &format!("url = \"{}\"", receiver.url("/"))).start().await?;
    let id = job(&world.chat(&in_background("m")).await?)?;
    world.gateway.signal(Signal::TERM)?;
    eventually("readiness flips", async || world.gateway.get("/readyz").await.ok().filter(|view| view.status == 503)).await?;
    let refused = world.chat(&in_background("m")).await?;
    assert_eq!((refused.status, refused.code()), (503, "gateway_draining"), "{refused:?}");
    assert_eq!(world.gateway.ended().await?.code(), Some(0), "{}", world.gateway.printed());

    world.start_again().await?;
    let record = world.gateway.record(&id).await?;
    assert_eq!((&record["status"], text(&record).split_whitespace().count()), (&"completed".into(), 10), "{record}");
    let told = receiver.nth(1).await?.json()?;
    assert_eq!((&told["type"], &told["data"]["result"]), (&"stream.completed".into(), &record["result"]), "{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_drains_window_a_job_ends_typed_and_that_is_told_too() -> Result<()> {
    let receiver = Receiver::start(&[]).await?;
    let default = format!("url = \"{}\"", receiver.url("/"));
    let scenario = "m: words 500 every 100ms end; down: status 503";
    let mut world = telling(scenario, &default).server("drain = \"300ms\"").start().await?;
    // One runs, and one waits for better times.
    let jobs = [job(&world.chat(&in_background("m")).await?)?, job(&world.chat(&in_background("down")).await?)?];
    world.journal("down", |entry| entry.finished).await?;
    world.gateway.signal(Signal::TERM)?;
    assert_eq!(world.gateway.ended().await?.code(), Some(0), "{}", world.gateway.printed());
    world.start_again().await?;
    for id in &jobs {
        let record = world.gateway.record(id).await?;
        assert_eq!((&record["status"], &record["code"]), (&"failed_before_output".into(), &"gateway_draining".into()), "{record}");
        assert_eq!((&record["disconnect_source"], record.get("result")), (&"gateway_shutdown".into(), None), "{record}");
        let told = async || receiver.came().into_iter().find_map(|came| came.json().ok().filter(|told| told["data"]["stream_id"] == **id));
        let told = eventually("it is told", told).await?;
        assert_eq!((&told["type"], &told["data"]["code"]), (&"stream.failed".into(), &"gateway_draining".into()), "{told}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_nine_marks_running_jobs_keeps_answers_and_loses_no_message() -> Result<()> {
    // The receiver has the first message and does not say that it took it.
    let receiver = Receiver::start(&[None]).await?;
    let mut world = telling("m: 'hello' end; long: 'hel' 60s end", &format!("url = \"{}\"", receiver.url("/"))).start().await?;
    let running = job(&world.chat(&in_background("long")).await?)?;
    world.journal("long", |entry| entry.output_events_sent == 1).await?;
    let done = job(&world.chat(&in_background("m")).await?)?;
    let first = receiver.nth(1).await?;

    world.kill_and_restart().await?;
    let record = world.gateway.record(&running).await?;
    assert_eq!((&record["status"], record.get("result")), (&"interrupted".into(), None), "{record}");
    assert_eq!(text(&world.gateway.record(&done).await?), "hello");
    let again =
        eventually("the message comes again", async || receiver.came().into_iter().skip(1).find(|came| came.body == first.body)).await?;
    assert!(again.is_signed_with(SECRET) && again.header("webhook-id") == first.header("webhook-id"), "{again:?}");
    assert_eq!(again.json()?["data"]["stream_id"], json!(done));
    Ok(())
}
