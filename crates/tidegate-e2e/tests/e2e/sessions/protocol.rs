//! The messages: as the first clients knew them, and as those that can do more do.

use anyhow::{Result, bail};
use serde_json::json;
use tidegate_e2e::{Backend, Hello, Message, Prompt, SessionClient};
use tokio_tungstenite::tungstenite::protocol::Message as Frame;

use super::world;

on_every_backend!(
    a_client_that_knows_five_messages_is_answered_on_both_paths,
    a_client_that_can_resume_is_told_its_session_before_all_else,
    a_client_that_says_nothing_is_told_its_session_soon,
    a_failure_is_an_error_for_clients_that_know_five_messages_too,
    what_is_no_message_is_answered_and_the_session_lives_on,
    model_system_prompt_and_bound_go_to_the_provider,
    a_prompt_without_a_model_asks_that_of_the_settings_or_is_told_to_name_one,
    a_key_may_use_its_own_models_only,
    a_prompt_is_accepted_once_under_its_id,
);

async fn a_client_that_knows_five_messages_is_answered_on_both_paths(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hel' 'lo' end").more("[sessions]\nmodel = \"m\"\n").start().await?;
    for path in ["/v1/sessions", "/"] {
        let mut client = SessionClient::open(world.gateway.addr(), &Hello::plain().at(path)).await?;
        let (task, text) = client.complete(&Prompt::of("Say hello.")).await?;
        assert_eq!(text, "hello");
        let [Message::Ack { queue_depth: 0, id: None, .. }, Message::Token { .. }, Message::Token { .. }, Message::Complete { usage, .. }] =
            client.log().messages()
        else {
            bail!("{:#?}", client.log().messages())
        };
        assert_eq!(usage["output_tokens"], 2, "{usage}");
        let record = world.record_of_task(&task).await?;
        client.log().agree(&task, &record)?;
    }
    Ok(())
}

async fn a_client_that_can_resume_is_told_its_session_before_all_else(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hello' end").more("[sessions]\nresume_ttl = \"77s\"\n").start().await?;
    let mut client = world.session().await?;
    client.complete(&Prompt::to("m")).await?;
    let [Message::Session { session_id, resumed: false, expires_in_ms: 77_000 }, Message::Ack { session_id: same, .. }, ..] =
        client.log().messages()
    else {
        bail!("{:#?}", client.log().messages())
    };
    assert_eq!(session_id, same);
    client.ping().await
}

async fn a_client_that_says_nothing_is_told_its_session_soon(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hello' end").start().await?;
    let (mut first, mut second) = (world.session().await?, world.session().await?);
    assert_ne!(first.id().await?, second.id().await?);
    Ok(())
}

async fn a_failure_is_an_error_for_clients_that_know_five_messages_too(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hel' cut").start().await?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::plain().at("/")).await?;
    let task = client.ask(&Prompt::to("m")).await?;
    assert_eq!(client.end(&task).await?.code(), "upstream_cut");
    assert!(matches!(client.log().messages(), [Message::Ack { .. }, Message::Token { .. }, Message::Error(_)]));
    Ok(())
}

async fn what_is_no_message_is_answered_and_the_session_lives_on(backend: Backend) -> Result<()> {
    let world = world(backend, "m: 'hello' end").start().await?;
    let mut client = world.session().await?;
    let wrong = [
        "sesame",
        "[]",
        "{}",
        "{\"type\":\"sesame\"}",
        "{\"type\":\"prompt\",\"content\":\"sesame\"}",
        "{\"type\":\"PROMPT\"}",
        "{\"type\":\"PROMPT\",\"content\":\"\"}",
        "{\"type\":\"PROMPT\",\"content\":[\"sesame\"]}",
        "{\"type\":\"PROMPT\",\"content\":\"x\",\"max_tokens\":0}",
        "{\"type\":\"PROMPT\",\"content\":\"x\",\"model\":7}",
        "{\"type\":\"CANCEL\"}",
        "{\"type\":\"RESUME\",\"sessionId\":\"sesame\"}",
        "{\"type\":\"RESUME\",\"sessionId\":\"sesame\",\"lastSeq\":-1}",
    ];
    for (n, text) in wrong.into_iter().enumerate() {
        client.frame(Frame::text(text)).await?;
        let problem = client.see(text, |log| log.messages().iter().filter_map(Message::problem).nth(n).cloned()).await?;
        assert_eq!((problem.code.as_str(), problem.partial, problem.retryable), ("invalid_message", false, false), "{text}");
        assert!(!problem.message.contains("sesame"), "{problem:?} repeats what was said");
    }
    // A binary frame is taken for the text that it holds.
    client.frame(Frame::binary(Prompt::to("m").json().to_string().into_bytes())).await?;
    client.see("an answer", |log| log.messages().iter().any(|message| matches!(message, Message::Complete { .. })).then_some(())).await
}

async fn model_system_prompt_and_bound_go_to_the_provider(backend: Backend) -> Result<()> {
    let world = world(backend, "a: 'hello' end; b: 'bonjour' end").start().await?;
    let mut client = world.session().await?;
    let prompt = Prompt::of("Say hello.").with("model", "b").with("system", "Be brief.").with("max_tokens", 7);
    assert_eq!(client.complete(&prompt).await?.1, "bonjour");
    assert_eq!(client.complete(&Prompt::to("a")).await?.1, "hello");

    let bodies: Vec<serde_json::Value> =
        world.mock.journal().entries().iter().map(|entry| serde_json::from_slice(&entry.body)).collect::<Result<_, _>>()?;
    assert_eq!((&bodies[0]["model"], &bodies[0]["stream"]), (&json!("b"), &json!(true)), "{bodies:?}");
    assert!([&bodies[0]["max_tokens"], &bodies[0]["max_completion_tokens"]].contains(&&json!(7)), "{bodies:?}");
    let [system, user] = [json!({"role": "system", "content": "Be brief."}), json!({"role": "user", "content": "Say hello."})];
    assert_eq!(bodies[0]["messages"], json!([system, user]));
    assert_eq!((&bodies[1]["model"], bodies[1].get("max_tokens")), (&json!("a"), None), "{bodies:?}");
    Ok(())
}

async fn a_prompt_without_a_model_asks_that_of_the_settings_or_is_told_to_name_one(backend: Backend) -> Result<()> {
    let named = world(backend, "first: 'hello' end; second: 'bonjour' end");
    let named = named.more("[models.first]\nroutes = [{ provider = \"mock\" }]\n").start().await?;
    assert_eq!(named.session().await?.complete(&Prompt::of("Say hello.")).await?.1, "hello");

    let patterns_alone = world(backend, "m: 'hello' end").start().await?;
    let mut client = patterns_alone.session().await?;
    let task = client.ask(&Prompt::of("Say hello.")).await?;
    assert_eq!(client.end(&task).await?.code(), "model_not_found");
    assert_eq!(client.complete(&Prompt::to("m")).await?.1, "hello");
    Ok(())
}

async fn a_key_may_use_its_own_models_only(backend: Backend) -> Result<()> {
    let (world, _) = world(backend, "a: 'hello' end; b: 'bonjour' end").start_with_key().await?;
    let key = world.make_key(&["--models", "a"]).await?;
    let mut client = SessionClient::open(world.gateway.addr(), &Hello::resumable().key(&key)).await?;
    let task = client.ask(&Prompt::to("b")).await?;
    let end = client.end(&task).await?;
    assert_eq!((end.code(), end.problem().map(|problem| problem.retryable)), ("model_not_allowed", Some(false)));
    assert_eq!(client.complete(&Prompt::to("a")).await?.1, "hello");
    assert_eq!(world.requests("b").len(), 0);
    Ok(())
}

async fn a_prompt_is_accepted_once_under_its_id(backend: Backend) -> Result<()> {
    let world = world(backend, "m: words 3 end").start().await?;
    let mut client = world.session().await?;
    let prompts = ["one", "two"].map(|id| Prompt::to("m").with("id", id));
    let (first, second) = (client.ask(&prompts[0]).await?, client.ask(&prompts[1]).await?);
    assert_ne!(first, second);
    // Running or waiting, and when it is over: the log wants the very same ACK.
    assert_eq!((client.ask(&prompts[0]).await?, client.ask(&prompts[1]).await?), (first.clone(), second.clone()));
    client.end(&second).await?;
    assert_eq!((client.ask(&prompts[0]).await?, client.ask(&prompts[1]).await?), (first, second));
    client.complete(&Prompt::to("m").with("id", "three")).await?;
    assert_eq!(world.requests("m").len(), 3);
    Ok(())
}
