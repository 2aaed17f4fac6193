//! What becomes of a request whose provider fails: rescued wherever the client has seen nothing, told honestly otherwise, in a few attempts.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_e2e::world::PROVIDER_KEY;
use tidegate_e2e::{Case, Chat, QUICK, Sdk, View, World, agree, asked, chain};
use tidegate_scenario::{JournalEntry, Scenario};
use tokio::task::JoinSet;

/// The ways to ask for an answer, as the table's rows name them.
const FORMS: &str = "stream coherent buffered whole";
/// Those in which nobody sees a word before the answer is whole.
const HELD: &str = "coherent buffered";
/// Those in which the provider is asked to stream, so that its silence is noticed.
const EVENTS: &str = "stream coherent buffered";

/// A fault, and what has to become of it.
struct Fault {
    /// Its name, which the names of its targets begin with.
    name: &'static str,
    /// What the first route's provider does.
    script: &'static str,
    /// For which forms the row speaks.
    forms: &'static str,
    /// The attempts where there is no other route: `p` is the first route's target, `s` the other's.
    alone: &'static str,
    /// The attempts where there is one that is well.
    spared: &'static str,
    /// The code of each attempt that fails.
    code: &'static str,
}

const fn fault(
    name: &'static str,
    script: &'static str,
    forms: &'static str,
    alone: &'static str,
    spared: &'static str,
    code: &'static str,
) -> Fault {
    Fault { name, script, forms, alone, spared, code }
}

const LIMITED: &str = "upstream_rate_limited";
const ERROR: &str = "upstream_error";
const CONNECT: &str = "connect_failed";
const SILENT: &str = "first_byte_timeout";
const IDLE: &str = "idle_timeout";
const LATE: &str = "deadline_exceeded";
const CUT: &str = "upstream_cut";
const BROKEN: &str = "upstream_malformed";
const REJECTED: &str = "upstream_rejected";
const BLOCKED: &str = "content_blocked";
const KEY: &str = "upstream_credentials";

/// `@` is the row's code, `+` a repetition at the same target, `>` the next target, `!` the end.
const FAULTS: &[Fault] = &[
    fault("pause", "status 429 retry-after 2s | 'saved' end", FORMS, "p:@+ p", "p:@+ p", LIMITED),
    fault("limited", "status 429 retry-after 100ms", FORMS, "p:@+ p:@+ p:@!", "p:@+ p:@> s", LIMITED),
    fault("error-once", "status 500 | 'saved' end", FORMS, "p:@+ p", "p:@+ p", ERROR),
    fault("unavailable", "status 503", FORMS, "p:@+ p:@+ p:@!", "p:@+ p:@> s", ERROR),
    fault("reset", "refuse", FORMS, "p:@+ p:@!", "p:@+ p:@> s", CONNECT),
    fault("reset-hard", "cut", FORMS, "p:@+ p:@!", "p:@+ p:@> s", CONNECT),
    fault("silent", "stall", EVENTS, "p:@!", "p:@> s", SILENT),
    fault("silent-whole", "stall", "whole", "p:@!", "p:@!", LATE),
    fault("late", "head 3s 'late' end", EVENTS, "p:@!", "p:@> s", SILENT),
    fault("late-after-role", "role 3s 'late' end", EVENTS, "p:@!", "p:@> s", IDLE),
    fault("late-whole", "head 3s 'late' end", "whole", "p", "p", ""),
    fault("cut", "words 20 cut", "stream", "p:@!", "p:@!", CUT),
    fault("cut-unseen", "words 20 cut", "coherent buffered whole", "p:@!", "p:@> s", CUT),
    fault("half-silent", "words 10 stall", "stream", "p:@!", "p:@!", IDLE),
    fault("half-silent-unseen", "words 10 stall", HELD, "p:@!", "p:@> s", IDLE),
    fault("half-silent-whole", "words 10 stall", "whole", "p:@!", "p:@!", LATE),
    fault("malformed", "words 5 malformed words 5 end", "stream", "p:@!", "p:@!", BROKEN),
    fault("malformed-unseen", "words 5 malformed words 5 end", "coherent buffered whole", "p:@!", "p:@> s", BROKEN),
    fault("malformed-first", "malformed end", FORMS, "p:@!", "p:@> s", BROKEN),
    fault("no-done", "words 5 finish eof", FORMS, "p", "p", ""),
    fault("too-long", "status 400 code 'context_length_exceeded'", FORMS, "p:@!", "p:@!", REJECTED),
    fault("policy", "status 400 code 'content_policy_violation'", FORMS, "p:@!", "p:@!", BLOCKED),
    fault("filter", "status 400 code 'content_filter'", FORMS, "p:@!", "p:@!", BLOCKED),
    fault("filter-event", r#"data '{"error":{"code":"content_filter"}}' eof"#, EVENTS, "p:@!", "p:@!", BLOCKED),
    fault("busy-event", r#"data '{"error":{"code":"rate_limit_exceeded"}}' eof"#, EVENTS, "p:@+ p:@+ p:@!", "p:@> s", LIMITED),
    fault("filtered", "'no' finish 'content_filter' done eof", FORMS, "p", "p", ""),
    fault("wrong", "status 400", FORMS, "p:@!", "p:@!", REJECTED),
    fault("key-401", "status 401", FORMS, "p:@!", "p:@!", KEY),
    fault("key-402", "status 402", FORMS, "p:@!", "p:@!", KEY),
    fault("key-403", "status 403", FORMS, "p:@!", "p:@!", KEY),
    fault("error-event", "role error 'overloaded'", FORMS, "p:@+ p:@+ p:@!", "p:@+ p:@> s", ERROR),
    fault("error-event-late", "'hel' error 'overloaded'", "stream", "p:@!", "p:@!", ERROR),
    fault("error-event-unseen", "'hel' error 'overloaded'", HELD, "p:@+ p:@+ p:@!", "p:@+ p:@> s", ERROR),
];

/// For targets that many requests fail at.
const NO_BREAKER: &str = "[breaker]\nfailures = 100000\n";
const LIMITS: &str = "timeouts = { first_byte = \"1s\", idle = \"1s\", total = \"5s\" }\n";

/// One request of the table.
struct Trial {
    name: String,
    form: &'static str,
    /// As [`chain`] writes them.
    attempts: String,
    /// What the client reads; empty where the answer is whole.
    code: &'static str,
}

impl Fault {
    /// Its requests: each form with and without another route.
    fn trials(&self) -> impl Iterator<Item = Trial> {
        let routes = [("alone", self.alone), ("spared", self.spared)];
        self.forms.split(' ').flat_map(move |form| {
            routes.map(|(kind, attempts)| {
                let name = format!("{}-{form}-{kind}", self.name);
                let spelled = attempts.replace('>', ">next_target").replace('+', ">retry_same").replace('!', ">fail");
                let code = if attempts.ends_with('!') { self.code } else { "" };
                Trial { name, form, attempts: spelled.replace('@', self.code), code }
            })
        })
    }
}

impl Trial {
    fn targets(&self) -> Vec<String> {
        let count = if self.name.ends_with("-spared") { 2 } else { 1 };
        ["p", "s"][..count].iter().map(|target| format!("{}-{target}", self.name)).collect()
    }

    fn request(&self) -> Chat {
        match self.form {
            "whole" => Chat::whole(&self.name),
            form => Chat::new(&self.name).header("x-tidegate-delivery", form),
        }
    }

    /// The requests that its targets had, in order.
    fn requests(&self, world: &World) -> Vec<JournalEntry> {
        let mut requests: Vec<JournalEntry> = self.targets().iter().flat_map(|target| world.requests(target)).collect();
        requests.sort_by_key(|entry| entry.n);
        requests
    }

    fn judge(&self, scenario: &Scenario, world: &World, view: &View, record: &Value) -> Result<()> {
        agree(view, record)?;
        let attempts = chain(record, &format!("{}-", self.name));
        ensure!(attempts == self.attempts, "attempts: {attempts}");
        let made = asked(record).count();
        let last = record["attempts"].as_array().and_then(|attempts| attempts.last()).context("an attempt")?;
        let count = made.to_string();
        let headers = ["x-tidegate-attempts", "x-tidegate-model", "x-tidegate-provider"].map(|name| view.header(name));
        ensure!(headers == [Some(count.as_str()), last["model"].as_str(), last["provider"].as_str()], "{headers:?}");
        ensure!(record["selected_model"] == last["model"] && record["requested_model"] == self.name, "another model: {record}");
        self.judge_requests(world, made)?;
        if !self.code.is_empty() {
            return self.judge_failure(view, record);
        }
        let requests = self.requests(world);
        let answer = requests.last().context("a request")?;
        ensure!(view.completed() && view.status == 200, "not completed: {view:?}");
        let nth = requests.iter().filter(|entry| entry.model == answer.model).count() - 1;
        let text = scenario.script(&answer.model, nth).context("a script")?.text();
        ensure!(view.text == text, "the text is {:?} and not {text:?}", view.text);
        let reason = if self.name.starts_with("filtered") { "content_filter" } else { "stop" };
        ensure!(view.finish_reason.as_deref() == Some(reason), "it ends for the reason {:?}", view.finish_reason);
        self.judge_identity(view, answer)?;
        let is_billed = |attempt: &Value| attempt["usage"]["source"] == "provider";
        ensure!(record["usage"] == last["usage"] && (answer.model.ends_with("-p") || is_billed(last)), "the usage is another's: {record}");
        ensure!(asked(record).rev().skip(1).all(|failed| !is_billed(failed)), "a failed attempt counts as an answer: {record}");
        Ok(())
    }

    /// At most three requests, each of them an attempt, each asking the same.
    fn judge_requests(&self, world: &World, attempts: usize) -> Result<()> {
        let requests = self.requests(world);
        ensure!(requests.len() == attempts && attempts <= 3, "{attempts} attempts made {} requests", requests.len());
        let messages = |entry: &JournalEntry| serde_json::from_slice::<Value>(&entry.body).map(|body| body["messages"].clone());
        for entry in &requests {
            let asked = messages(entry)?;
            ensure!(asked == json!([{"role": "user", "content": "Say hello."}]), "what was said is put into another's mouth: {asked}");
        }
        let pauses =
            requests.windows(2).filter(|pair| pair[0].model == pair[1].model).map(|pair| pair[1].received_at - pair[0].received_at);
        let least = match () {
            () if self.name.starts_with("pause") => Duration::from_secs(2),
            () if self.name.starts_with("limited") => Duration::from_millis(100),
            () => Duration::from_millis(20),
        };
        for pause in pauses {
            ensure!(pause >= least && pause < least + Duration::from_secs(2), "repeated after {pause:?}");
        }
        Ok(())
    }

    /// One role, one id, one model, and they are those of the request that was answered.
    fn judge_identity(&self, view: &View, answer: &JournalEntry) -> Result<()> {
        let chunks: Vec<Value> = match &view.body {
            Some(body) => vec![body.clone()],
            None => view.events.iter().filter_map(|event| serde_json::from_str(event.data.as_deref()?).ok()).collect(),
        };
        let id = format!("chatcmpl-mock{:020}", answer.n);
        for chunk in &chunks {
            ensure!(chunk["id"] == id && chunk["model"] == answer.model, "a chunk of another attempt: {chunk}");
        }
        let role = |chunk: &&Value| ["delta", "message"].iter().any(|part| chunk["choices"][0][part]["role"].is_string());
        ensure!(chunks.iter().filter(role).count() == 1, "not one role: {chunks:?}");
        Ok(())
    }

    fn judge_failure(&self, view: &View, record: &Value) -> Result<()> {
        ensure!(view.code() == self.code && !view.done, "the client reads {:?}", view.code());
        let expected = match self.code {
            _ if view.partial() == Some(true) => 200,
            LIMITED => 429,
            REJECTED | BLOCKED => 400,
            SILENT | IDLE | LATE => 504,
            _ => 502,
        };
        ensure!(view.status == expected, "status {}", view.status);
        ensure!(view.header("retry-after").is_some() == (self.code == LIMITED), "{:?}", view.headers);
        let useless = [REJECTED, BLOCKED, KEY].contains(&self.code);
        ensure!((view.header("x-should-retry") == Some("false")) == useless, "{:?}", view.headers);
        let error = view.error.as_ref().context("an error")?;
        ensure!(!error.to_string().contains("chatcmpl-"), "{error}");
        let codes = |attempts: &Value| attempts.as_array().into_iter().flatten().map(|attempt| attempt["code"].clone()).collect::<Vec<_>>();
        ensure!(codes(&error["tidegate"]["attempts"]) == codes(&record["attempts"]), "{error}");
        // Text was shown exactly where the answer is called partial, and the form lets it be seen.
        let may_be_partial = self.form == "stream"
            && ["cut-s", "half-silent-s", "malformed-s", "error-event-late"].iter().any(|name| self.name.starts_with(name));
        ensure!(view.text.is_empty() != may_be_partial && view.partial() == Some(may_be_partial), "partial: {:?}", view.partial());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_provider_has_its_best_ending_in_every_form_and_in_few_attempts() -> Result<()> {
    let trials: Vec<Trial> = FAULTS.iter().flat_map(Fault::trials).collect();
    let mut scenario = String::new();
    // The same provider with connections of its own. Who resets all of them never finds one that rests: those are another test's.
    let fresh = format!("[providers.fresh]\nbase_url = \"{{mock}}\"\napi_key = \"{PROVIDER_KEY}\"\n");
    let mut world = World::of("").recovers(QUICK).more(&fresh);
    for fault in FAULTS {
        for trial in fault.trials() {
            let targets = trial.targets();
            for (target, script) in targets.iter().zip([fault.script, "'spare' end"]) {
                write!(scenario, "{target}: {script};")?;
            }
            let first = if fault.name.starts_with("reset") { format!("fresh/{}", targets[0]) } else { targets[0].clone() };
            let routes: Vec<&str> = std::iter::once(&first).chain(&targets[1..]).map(String::as_str).collect();
            world = world.routes(&trial.name, &routes).more(LIMITS);
        }
    }
    let world = world.scenario(scenario.trim_end_matches(';')).start().await?;
    let scenario: Scenario = scenario.trim_end_matches(';').parse()?;

    let mut running = JoinSet::new();
    for (n, trial) in trials.iter().enumerate() {
        let (addr, request) = (world.gateway.addr(), trial.request().bytes());
        running.spawn(async move { (n, async { tidegate_e2e::Answer::to(addr, &request).await?.view().await }.await) });
    }
    let mut wrong = Vec::new();
    while let Some(ended) = running.join_next().await {
        let (n, view) = ended?;
        let (trial, view) = (&trials[n], view.with_context(|| trials[n].name.clone())?);
        let record = world.gateway.record(view.stream_id()).await?;
        if let Err(error) = trial.judge(&scenario, &world, &view, &record) {
            wrong.push(format!("{}: {error:#}", trial.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), trials.len(), wrong.join("\n"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_hangs_up_on_a_resting_connection_gets_the_request_once_more_and_that_counts() -> Result<()> {
    let world = World::of("warm: 'hello' end; p: refuse; q: refuse; s: 'spare' end").recovers(QUICK).server("workers = 1\n");
    let world = world.routes("spared", &["p", "s"]).start().await?;
    for (model, attempts, target) in [("spared", "p:connect_failed>next_target s", "p"), ("q", "q:connect_failed>fail", "q")] {
        assert!(world.chat(&Chat::new("warm")).await?.completed());
        let (view, record) = world.chat_and_record(&Chat::new(model)).await?;
        assert_eq!(chain(&record, ""), attempts, "{view:?}");
        assert_eq!(world.requests(target).len(), 2, "{:?}", world.requests(target));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_replaced_behind_a_head_that_is_out_and_the_head_names_nobody_who_did_not_answer() -> Result<()> {
    // The head goes out while the first attempt runs, and comments while the second one is waited for.
    let early = "head_after = \"100ms\"\nkeepalive = \"100ms\"\n";
    let patient = format!("{QUICK}{NO_BREAKER}").replace("20ms", "400ms");
    let world =
        World::of("p: 200ms status 503; s: 'spare' end").recovers(&patient).server(early).routes("spared", &["p", "s"]).start().await?;
    for delivery in ["stream", "coherent"] {
        let chat = |model| Chat::new(model).header("x-tidegate-delivery", delivery);
        let (view, record) = world.chat_and_record(&chat("spared")).await?;
        assert!(view.completed() && view.text == "spare" && view.comments > 2, "{view:?}");
        let models: Vec<&str> =
            view.events.iter().filter_map(|event| event.data.as_deref()).filter(|data| data.contains("\"p\"")).collect();
        assert!(models.is_empty() && view.header("x-tidegate-model").is_none_or(|model| model == "s"), "{view:?}");
        assert!(view.header("x-tidegate-attempts").is_none_or(|count| count == "3"), "{view:?}");
        agree(&view, &record)?;
        let (view, record) = world.chat_and_record(&chat("p")).await?;
        assert_eq!((view.status, view.code(), view.partial(), view.done), (200, "upstream_error", Some(false), false), "{view:?}");
        assert_eq!(asked(&record).count(), 3);
        agree(&view, &record)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_answer_begins_again_where_the_client_allows_it_as_a_stream_of_its_own() -> Result<()> {
    let world = World::of("p: 'hel' cut | 'hello' end").recovers(QUICK).start().await?;
    let (view, record) = world.chat_and_record(&Chat::new("p").header("x-tidegate-restart", "allow")).await?;
    let (next, text) = (record["restarted_as"].as_str().context("a restart")?, "helhello");
    assert!(view.completed() && view.text == text && view.error.is_none(), "{view:?}");
    assert_eq!((&record["status"], &record["code"]), (&json!("failed_after_output"), &json!("upstream_cut")), "{record}");
    let again = world.gateway.record(next).await?;
    assert_eq!((&again["status"], &again["restarted_from"]), (&json!("completed"), &record["id"]), "{again}");
    let told = view.events.iter().position(|event| event.raw.contains(next)).context("the restart is told")?;
    assert!(view.events[told].raw.contains(view.stream_id()) && told > 1, "{view:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn to_an_official_sdk_a_rescued_answer_is_whole_and_a_failed_one_an_exception() -> Result<()> {
    let rescued = ["limited", "unavailable", "reset", "silent", "cut-unseen", "malformed-first", "error-event", "half-silent-unseen"];
    let mut scenario = "s: 'spare' end".to_owned();
    let mut world = World::of("").recovers(&format!("{QUICK}{NO_BREAKER}"));
    for fault in FAULTS {
        write!(scenario, "; {0}: {1}", fault.name, fault.script)?;
        world = world.routes(&format!("{}-spared", fault.name), &[fault.name, "s"]).more(LIMITS);
    }
    let world = world.scenario(&scenario).start().await?;
    let failed = [("policy", "content_blocked"), ("too-long", REJECTED), ("error-event-late", ERROR), ("cut", CUT)];
    for sdk in Sdk::ALL {
        let coherent = |name: &str| Case::stream(&format!("{name}-spared")).set("headers", json!({"x-tidegate-delivery": "coherent"}));
        let cases: Vec<Case> =
            rescued.map(coherent).into_iter().chain(failed.map(|(name, _)| Case::stream(&format!("{name}-spared")))).collect();
        let views = sdk.run(&world.gateway.base_url(), "none", &cases).await?;
        for (name, view) in rescued.iter().zip(&views) {
            assert!(view.completed() && view.text == "spare", "{sdk:?} {name}: {view:?}");
        }
        for ((name, code), view) in failed.iter().zip(&views[rescued.len()..]) {
            assert!(view.raised() && view.outcome["code"] == *code, "{sdk:?} {name}: {view:?}");
        }
    }
    Ok(())
}
