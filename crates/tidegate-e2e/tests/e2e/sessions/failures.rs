//! Whatever goes wrong is told by its name, and the session goes on.

use anyhow::{Context, Result};
use tidegate_e2e::{Backend, Message, Prompt, QUICK, chain};

use super::world;

on_every_backend!(
    each_failure_before_output_has_its_code_and_leaves_no_part,
    each_failure_after_output_has_its_code_and_says_that_a_part_was_seen,
    hidden_thinking_is_no_part_of_an_answer,
    what_was_repaired_before_output_is_not_seen,
    an_answer_that_is_held_back_can_be_replaced_until_its_end,
    who_gets_another_answer_than_asked_for_is_told,
    a_prompt_has_its_deadline,
    what_was_refused_is_counted,
);

/// Short limits for everything that a provider leaves undone.
const HASTY: &str = "timeouts = { first_byte = \"400ms\", idle = \"400ms\", total = \"20s\" }\n";

async fn each_failure_before_output_has_its_code_and_leaves_no_part(backend: Backend) -> Result<()> {
    // Code, whether it may be tried again, and whether it says when.
    let table = [
        ("status 500", "upstream_error", true, false),
        ("status 429 retry-after 7s", "upstream_rate_limited", true, true),
        ("status 400 message 'no such tide'", "upstream_rejected", false, false),
        ("status 401", "upstream_credentials", false, false),
        ("refuse", "connect_failed", true, false),
        ("role cut", "upstream_cut", true, false),
        ("role eof", "upstream_cut", true, false),
        ("malformed", "upstream_malformed", true, false),
        ("error 'out of memory'", "upstream_error", true, false),
        ("role stall", "idle_timeout", true, false),
        ("stall", "first_byte_timeout", true, false),
    ];
    for (script, code, retryable, says_when) in table {
        // A world for each: a provider that limits requests, or refuses a key, is left alone for a while.
        let world = world(backend, &format!("m: {script}; well: 'hello' end")).model(HASTY).start().await?;
        let mut client = world.session().await?;
        let task = client.ask(&Prompt::to("m")).await?;
        let end = client.end(&task).await?;
        let problem = end.problem().context("an error")?;
        let told = (problem.code.as_str(), problem.partial, problem.retryable, problem.retry_after_ms.is_some());
        assert_eq!(told, (code, false, retryable, says_when), "{script}: {problem:?}");
        assert!(problem.stream_id.is_some() && !problem.message.is_empty(), "{problem:?}");
        let record = world.record_of_task(&task).await?;
        client.log().agree(&task, &record).with_context(|| script)?;
        if let Some(wait) = problem.retry_after_ms {
            assert!((6000..=7000).contains(&wait), "{problem:?}");
        } else if code != "upstream_credentials" {
            assert_eq!(client.complete(&Prompt::to("well")).await?.1, "hello", "{script}");
        }
    }
    Ok(())
}

async fn each_failure_after_output_has_its_code_and_says_that_a_part_was_seen(backend: Backend) -> Result<()> {
    let table = [
        ("cut", "'one' 'two' cut", "upstream_cut"),
        ("eof", "'one' 'two' eof", "upstream_cut"),
        ("half", "'one' 'two' half", "upstream_cut"),
        ("malformed", "'one' 'two' malformed end", "upstream_malformed"),
        ("error", "'one' 'two' error 'out of memory'", "upstream_error"),
        ("idle", "'one' 'two' stall", "idle_timeout"),
    ];
    let scenario: Vec<String> = table.iter().map(|(model, script, _)| format!("{model}: {script}")).collect();
    let world = world(backend, &format!("{}; well: 'hello' end", scenario.join("; "))).model(HASTY).start().await?;
    let mut client = world.session().await?;
    for (model, _, code) in table {
        let task = client.ask(&Prompt::to(model)).await?;
        let end = client.end(&task).await?;
        let problem = end.problem().context("an error")?;
        assert_eq!((end.code(), problem.partial, problem.retryable), (code, true, true), "{problem:?}");
        assert_eq!(client.log().text(&task), "onetwo", "{model}");
        let record = world.record_of_task(&task).await?;
        client.log().agree(&task, &record)?;
    }
    assert_eq!(client.complete(&Prompt::to("well")).await?.1, "hello");
    Ok(())
}

async fn hidden_thinking_is_no_part_of_an_answer(backend: Backend) -> Result<()> {
    let world = world(backend, "m: reasoning 'hmm' reasoning 'well' cut").start().await?;
    let mut client = world.session().await?;
    let task = client.ask(&Prompt::to("m")).await?;
    assert_eq!(client.end(&task).await?.code(), "upstream_cut");
    client.log().agree(&task, &world.record_of_task(&task).await?)
}

async fn what_was_repaired_before_output_is_not_seen(backend: Backend) -> Result<()> {
    let world = world(backend, "a: role error 'no'; b: role cut; c: 'hello' end")
        .routes("m", &["a", "b", "c"])
        .recovers(&format!("{QUICK}attempts = 3\n"))
        .start()
        .await?;
    let mut client = world.session().await?;
    let (task, text) = client.complete(&Prompt::to("m")).await?;
    assert_eq!((text.as_str(), client.log().notices(&task).count()), ("hello", 0));
    let record = world.record_of_task(&task).await?;
    assert!(chain(&record, "").ends_with(" c"), "{record}");
    client.log().agree(&task, &record)
}

async fn an_answer_that_is_held_back_can_be_replaced_until_its_end(backend: Backend) -> Result<()> {
    let world = world(backend, "a: 'WRONG' 'WRONG' cut; b: 'hel' 'lo' end")
        .routes("m", &["a", "b"])
        .more("delivery = \"coherent\"\n")
        .recovers(&format!("{QUICK}attempts = 2\n"))
        .start()
        .await?;
    let mut client = world.session().await?;
    let (task, text) = client.complete(&Prompt::to("m")).await?;
    assert_eq!(text, "hello");
    client.log().agree(&task, &world.record_of_task(&task).await?)
}

async fn who_gets_another_answer_than_asked_for_is_told(backend: Backend) -> Result<()> {
    let world = world(backend, "big: status 500; small: 'hello' end; none: status 500")
        .routes("m", &["big"])
        .more("degrade = [{ model = \"small\", max_tokens = 8 }]\n")
        .routes("n", &["none"])
        .more("degrade = [{ static = \"Come back later.\" }]\n")
        .recovers(&format!("{QUICK}attempts = 1\n"))
        .start()
        .await?;
    let mut client = world.session().await?;
    for (model, answer) in [("m", "hello"), ("n", "Come back later.")] {
        let (task, text) = client.complete(&Prompt::to(model)).await?;
        assert_eq!(text, answer);
        let first = client.log().messages().iter().find(|message| {
            message.task() == Some(&task) && matches!(message, Message::Notice { queue_position: None, .. } | Message::Token { .. })
        });
        assert!(matches!(first, Some(Message::Notice { .. })), "a notice before the answer: {:#?}", client.log());
        client.log().agree(&task, &world.record_of_task(&task).await?)?;
    }
    Ok(())
}

async fn a_prompt_has_its_deadline(backend: Backend) -> Result<()> {
    let limits = "timeouts = { connect = \"500ms\", first_byte = \"500ms\", idle = \"500ms\", total = \"1500ms\" }\n";
    let world = world(backend, "m: words 500 every 50ms end; well: 'hello' end").model(limits).start().await?;
    let mut client = world.session().await?;
    let task = client.ask(&Prompt::to("m")).await?;
    assert_eq!(client.end(&task).await?.code(), "deadline_exceeded");
    client.log().agree(&task, &world.record_of_task(&task).await?)?;
    assert_eq!(client.complete(&Prompt::to("well")).await?.1, "hello");
    Ok(())
}

async fn what_was_refused_is_counted(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hello' end").start().await?;
    let mut client = world.session().await?;
    let task = client.ask(&Prompt::of("Say hello.")).await?;
    assert_eq!(client.end(&task).await?.code(), "model_not_found");
    let counted = world.gateway.metric("tidegate_refusals_total{code=\"model_not_found\"}").await?;
    assert!((counted - 1.0).abs() < f64::EPSILON, "{}", world.gateway.text("/metrics").await?);
    Ok(())
}
