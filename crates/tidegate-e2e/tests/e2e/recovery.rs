//! What becomes of a request whose provider fails: rescued wherever the client has seen nothing, told honestly otherwise, in a few attempts.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_e2e::{Chat, View, World, agree, asked, chain};
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
    fault("filtered", "'no' finish 'content_filter' done eof", FORMS, "p", "p", ""),
    fault("wrong", "status 400", FORMS, "p:@!", "p:@!", REJECTED),
    fault("key-401", "status 401", FORMS, "p:@!", "p:@!", KEY),
    fault("key-402", "status 402", FORMS, "p:@!", "p:@!", KEY),
    fault("key-403", "status 403", FORMS, "p:@!", "p:@!", KEY),
    fault("error-event", "role error 'overloaded'", FORMS, "p:@+ p:@+ p:@!", "p:@+ p:@> s", ERROR),
    fault("error-event-late", "'hel' error 'overloaded'", "stream", "p:@!", "p:@!", ERROR),
    fault("error-event-unseen", "'hel' error 'overloaded'", HELD, "p:@+ p:@+ p:@!", "p:@+ p:@> s", ERROR),
];

/// Waits that a test can wait for, and room for every repetition: many requests fail here at once.
const QUICK: &str = "[retry]\nbackoff = \"20ms\"\njitter = \"1ms\"\nbudget_floor = 100000\n[deadline]\nleast = \"100ms\"\n";
const LIMITS: &str = "timeouts = { first_byte = \"1s\", idle = \"1s\", total = \"5s\" }\n";

/// The same provider with connections of its own, of which none ever rests where all that asks there is the fault `reset`.
const FRESH: &str = "[providers.fresh]\nbase_url = \"{mock}\"\napi_key = \"sk-provider-0123456789abcdef\"\n";

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
        let asked = asked(record).count();
        let last = record["attempts"].as_array().and_then(|attempts| attempts.last()).context("an attempt")?;
        let count = asked.to_string();
        let headers = ["x-tidegate-attempts", "x-tidegate-model", "x-tidegate-provider"].map(|name| view.header(name));
        ensure!(headers == [Some(count.as_str()), last["model"].as_str(), last["provider"].as_str()], "{headers:?}");
        ensure!(record["selected_model"] == last["model"] && record["requested_model"] == self.name, "another model: {record}");
        self.judge_requests(world, asked)?;
        if !self.code.is_empty() {
            return self.judge_failure(view, record);
        }
        let requests = self.requests(world);
        let answer = requests.last().context("a request")?;
        ensure!(view.completed() && view.status == 200, "not completed: {view:?}");
        let nth = requests.iter().filter(|entry| entry.model == answer.model).count() - 1;
        let text = scenario.script(&answer.model, nth).context("a script")?.text();
        ensure!(view.text == text, "the text is {:?} and not {text:?}", view.text);
        self.judge_identity(view, answer)?;
        let is_billed = |attempt: &Value| attempt["usage"]["source"] == "provider";
        ensure!(record["usage"] == last["usage"] && (answer.model.ends_with("-p") || is_billed(last)), "the usage is another's: {record}");
        ensure!(
            tidegate_e2e::asked(record).rev().skip(1).all(|failed| !is_billed(failed)),
            "a failed attempt counts as an answer: {record}"
        );
        Ok(())
    }

    /// At most three requests, each of them an attempt, each asking the same.
    fn judge_requests(&self, world: &World, asked: usize) -> Result<()> {
        let requests = self.requests(world);
        ensure!(requests.len() == asked && asked <= 3, "{asked} attempts made {} requests", requests.len());
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
    let mut world = World::of("").recovers(QUICK).more(FRESH);
    for fault in FAULTS {
        for trial in fault.trials() {
            let targets = trial.targets();
            for (target, script) in targets.iter().zip([fault.script, "'spare' end"]) {
                write!(scenario, "{target}: {script};")?;
            }
            let first = if fault.name == "reset" { format!("fresh/{}", targets[0]) } else { targets[0].clone() };
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
