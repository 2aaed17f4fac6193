//! What the next prompt knows of those before it.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use tidegate_e2e::{Backend, Message, Prompt, SessionClient, World};

use super::world;

on_every_backend!(
    the_next_prompt_carries_the_conversation,
    a_reset_begins_anew_in_its_place_in_the_order,
    the_system_prompt_stays_until_it_is_replaced,
    what_came_to_no_end_leaves_no_trace,
    the_oldest_turns_go_first_and_the_system_prompt_stays,
    a_prompt_that_cannot_fit_is_told_which_member_is_too_much,
    tool_calls_are_told_and_the_next_prompt_is_their_result,
    each_of_several_tool_calls_gets_its_result,
);

fn user(text: &str) -> Value {
    json!({"role": "user", "content": text})
}

fn system(text: &str) -> Value {
    json!({"role": "system", "content": text})
}

fn assistant(text: &str) -> Value {
    json!({"role": "assistant", "content": text})
}

async fn say(client: &mut SessionClient, text: &str) -> Result<()> {
    client.complete(&Prompt::to("m").with("content", text)).await.map(drop)
}

/// What the provider was asked last.
fn last(world: &World) -> Result<Value> {
    world.conversations("m")?.pop().context("it was asked")
}

async fn the_next_prompt_carries_the_conversation(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hel' 'lo' end | 'bon' 'jour' end | 'ciao' end").start().await?;
    let mut client = world.session().await?;
    for text in ["one", "two", "three"] {
        say(&mut client, text).await?;
    }
    let whole = json!([user("one"), assistant("hello"), user("two"), assistant("bonjour"), user("three")]);
    assert_eq!(last(&world)?, whole);
    // Another session knows nothing of it.
    say(&mut world.session().await?, "four").await?;
    assert_eq!(last(&world)?, json!([user("four")]));
    Ok(())
}

async fn a_reset_begins_anew_in_its_place_in_the_order(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 50ms 'hello' end").start().await?;
    let mut client = world.session().await?;
    let prompt = |text: &str| Prompt::to("m").with("content", text).with("system", "Be brief.").json().clone();
    let again = |text: &str| Prompt::to("m").with("content", text).json().clone();
    let reset = json!({"type": "RESET"});
    for message in [&prompt("one"), &again("two"), &reset, &again("three"), &again("four"), &reset, &reset, &again("five")] {
        client.send(message).await?;
    }
    let completes = |message: &&Message| matches!(message, Message::Complete { .. });
    client.see("five answers", |log| (log.messages().iter().filter(completes).count() == 5).then_some(())).await?;
    let expected = [
        json!([system("Be brief."), user("one")]),
        json!([system("Be brief."), user("one"), assistant("hello"), user("two")]),
        json!([user("three")]),
        json!([user("three"), assistant("hello"), user("four")]),
        json!([user("five")]),
    ];
    assert_eq!(world.conversations("m")?, expected);
    Ok(())
}

async fn the_system_prompt_stays_until_it_is_replaced(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hello' end").start().await?;
    let mut client = world.session().await?;
    let mut firsts = Vec::new();
    for prompt in
        [Prompt::to("m").with("system", "A."), Prompt::to("m"), Prompt::to("m").with("system", "B."), Prompt::to("m").with("system", "")]
    {
        client.complete(&prompt).await?;
        firsts.push(last(&world)?[0].clone());
    }
    assert_eq!(firsts, [system("A."), system("A."), system("B."), user("Say hello.")]);
    Ok(())
}

async fn what_came_to_no_end_leaves_no_trace(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hello' end | 'hel' cut | 'hel' stall | 'bonjour' end").start().await?;
    let mut client = world.session().await?;
    say(&mut client, "one").await?;
    let cut = client.ask(&Prompt::to("m").with("content", "two")).await?;
    assert_eq!(client.end(&cut).await?.code(), "upstream_cut");
    let stopped = client.ask(&Prompt::to("m").with("content", "three")).await?;
    client.tokens(&stopped, 1).await?;
    client.cancel(&stopped).await?;
    say(&mut client, "four").await?;
    assert_eq!(last(&world)?, json!([user("one"), assistant("hello"), user("four")]));
    Ok(())
}

async fn the_oldest_turns_go_first_and_the_system_prompt_stays(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hello' end").model("context_window = 400").start().await?;
    let mut client = world.session().await?;
    // About fifty tokens each: of 400, a tenth is left free, and a quarter of the rest is the answer's.
    let long = |n: usize| format!("{n}: {}", "the tide comes in twice a day ".repeat(7));
    client.complete(&Prompt::to("m").with("content", long(0)).with("system", "Be brief.")).await?;
    for n in 1..8 {
        say(&mut client, &long(n)).await?;
    }
    let asked = last(&world)?;
    let asked = asked.as_array().context("a list")?;
    assert_eq!((&asked[0], &asked[asked.len() - 1]), (&system("Be brief."), &user(&long(7))));
    let turns = asked.len() / 2 - 1;
    assert!((2..=5).contains(&turns), "{turns} turns of seven");
    for (n, turn) in (7 - turns..7).zip(asked[1..].chunks(2)) {
        assert_eq!(turn, [user(&long(n)), assistant("hello")]);
    }
    let left_out = format!("{} oldest", 2 * (7 - turns));
    let task = client.log().tasks().next_back().context("a task")?;
    assert!(client.log().notices(task).any(|(text, _)| text.contains(&left_out)), "{:#?}", client.log());
    Ok(())
}

async fn a_prompt_that_cannot_fit_is_told_which_member_is_too_much(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hello' end").model("context_window = 400").start().await?;
    let mut client = world.session().await?;
    say(&mut client, "one").await?;
    let long = "the tide comes in twice a day ".repeat(100);
    let prompts = [
        ("`content`", Prompt::to("m").with("content", long.as_str())),
        ("`system`", Prompt::to("m").with("system", long.as_str())),
        ("`max_tokens`", Prompt::to("m").with("max_tokens", 400)),
    ];
    for (member, prompt) in prompts {
        let task = client.ask(&prompt).await?;
        let end = client.end(&task).await?;
        let problem = end.problem().context("an error")?;
        assert_eq!((end.code(), problem.retryable), ("invalid_request", false));
        assert!(problem.message.starts_with(member), "{problem:?}");
    }
    say(&mut client, "two").await?;
    assert_eq!(last(&world)?, json!([user("one"), assistant("hello"), user("two")]));
    assert_eq!(world.requests("m").len(), 2);
    Ok(())
}

/// The calls that a NOTICE tells before the task's end.
fn calls(client: &SessionClient, task: &str) -> Option<Value> {
    client.log().messages().iter().find_map(|message| match message {
        Message::Notice { task_id, tool_calls, .. } if task_id == task => tool_calls.clone(),
        _ => None,
    })
}

async fn tool_calls_are_told_and_the_next_prompt_is_their_result(backend: Backend) -> Result<()> {
    let world = world(backend, "m: fixture tools | 'High at nine.' end | 'bye' end").start().await?;
    let mut client = world.session().await?;
    let (task, text) = client.complete(&Prompt::to("m").with("content", "When is high tide?")).await?;
    assert_eq!(text, "");
    let calls = calls(&client, &task).context("the calls")?;
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "tide", "arguments": "{\"port\":\"Brest\"}"}});
    assert_eq!(calls, json!([call]));
    client.log().agree(&task, &world.record_of_task(&task).await?)?;

    say(&mut client, "09:00").await?;
    let called = json!({"role": "assistant", "tool_calls": calls});
    let result = json!({"role": "tool", "tool_call_id": "call_1", "content": "09:00"});
    assert_eq!(last(&world)?, json!([user("When is high tide?"), called, result]));
    say(&mut client, "Thanks.").await?;
    assert_eq!(last(&world)?, json!([user("When is high tide?"), called, result, assistant("High at nine."), user("Thanks.")]));
    Ok(())
}

async fn each_of_several_tool_calls_gets_its_result(backend: Backend) -> Result<()> {
    let world = world(backend, "m: fixture tools-parallel | 'done' end").start().await?;
    let mut client = world.session().await?;
    let task = client.complete(&Prompt::to("m")).await?.0;
    let ids: Vec<Value> =
        calls(&client, &task).context("the calls")?.as_array().context("a list")?.iter().map(|call| call["id"].clone()).collect();
    assert_eq!(ids, ["call_1", "call_2"]);
    say(&mut client, "both").await?;
    let result = |id: &str| json!({"role": "tool", "tool_call_id": id, "content": "both"});
    let asked = last(&world)?;
    assert_eq!((&asked[2], &asked[3]), (&result("call_1"), &result("call_2")));
    Ok(())
}
