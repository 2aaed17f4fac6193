use std::num::NonZeroU32;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

fn prompt(text: &str) -> Prompt {
    match read(text.as_bytes()) {
        Ok(ClientMessage::Prompt(prompt)) => prompt,
        other => panic!("{other:?}"),
    }
}

fn refused(payload: impl AsRef<[u8]>, why: &Expect) {
    let fault = read(payload.as_ref()).expect_err("it is refused");
    assert_eq!(Fault::CODE.name(), "invalid_message");
    why.assert_eq(&fault.to_string());
}

#[test]
fn a_prompt_of_the_first_clients_is_content_and_nothing_else() {
    let bare = Prompt { content: "hel\"lo\n".into(), id: None, model: None, system: None, max_tokens: None };
    assert_eq!(prompt(r#"{"type":"PROMPT","content":"hel\"lo\n"}"#), bare);
    assert_eq!(prompt(r#"{"content":"hel\"lo\u000a","type":"PROMPT","temperature":{"deep":[1]},"content ":7}"#), bare);
}

#[test]
fn a_prompt_says_everything_that_the_contract_has_for_it() {
    let full = r#"{"type":"PROMPT","content":"c","id":"p-1","model":"gpt-4o","system":"be brief","max_tokens":512}"#;
    let expected = Prompt {
        content: "c".into(),
        id: Some("p-1".into()),
        model: Some("gpt-4o".into()),
        system: Some("be brief".into()),
        max_tokens: NonZeroU32::new(512),
    };
    assert_eq!(prompt(full), expected);
    let nulls = prompt(r#"{"type":"PROMPT","content":"c","id":null,"model":null,"system":null,"max_tokens":null}"#);
    assert_eq!((nulls.id, nulls.model, nulls.system, nulls.max_tokens), (None, None, None, None));
    assert_eq!(prompt(r#"{"type":"PROMPT","content":"c","system":""}"#).system.as_deref(), Some(""), "it takes the system prompt away");
}

#[test]
fn of_a_member_that_stands_twice_the_last_counts() {
    assert_eq!(&*prompt(r#"{"type":"PING","type":"PROMPT","content":"a","content":"b"}"#).content, "b");
    refused(r#"{"type":"PROMPT","content":"a","content":null}"#, &expect!["`content` must be what the user says, as text"]);
}

#[test]
fn the_other_messages_are_read_with_their_members() {
    let task = TaskId::new(1, 2);
    let session = SessionId::new(3, 4);
    let read = |text: String| read(text.as_bytes()).expect("it is a message");
    assert_eq!(read(json!({"type": "CANCEL", "taskId": task.to_string()}).to_string()), ClientMessage::Cancel(Some(task)));
    assert_eq!(read(json!({"type": "CANCEL", "taskId": "of another gateway"}).to_string()), ClientMessage::Cancel(None));
    assert_eq!(
        read(json!({"type": "RESUME", "sessionId": session.to_string(), "lastSeq": u64::MAX}).to_string()),
        ClientMessage::Resume { session: Some(session), last_seq: u64::MAX }
    );
    assert_eq!(
        read(json!({"type": "RESUME", "sessionId": "?", "lastSeq": 0}).to_string()),
        ClientMessage::Resume { session: None, last_seq: 0 }
    );
    assert_eq!(read(r#"{"type":"RESET","and":"more"}"#.to_owned()), ClientMessage::Reset);
    assert_eq!(read(" {\"type\" : \"PI\\u004eG\"}\r\n".to_owned()), ClientMessage::Ping);
}

#[test]
fn a_refusal_names_the_member_and_what_to_send() {
    refused(r#"{"type":"PROMPT"}"#, &expect!["`content` must be what the user says, as text"]);
    refused(r#"{"type":"PROMPT","content":["secret"]}"#, &expect!["`content` must be what the user says, as text"]);
    refused(r#"{"type":"PROMPT","content":"\ud800"}"#, &expect!["`content` must be what the user says, as text"]);
    refused(r#"{"type":"PROMPT","content":""}"#, &expect!["`content` is empty; send what the user says"]);
    let about_id = expect!["`id` must be text of 1 to 128 printable characters; shorten it or leave it out"];
    for id in [json!(7), json!(""), json!("a\nb"), json!("x".repeat(129))] {
        refused(json!({"type": "PROMPT", "content": "c", "id": id}).to_string(), &about_id);
    }
    assert!(read(json!({"type": "PROMPT", "content": "c", "id": "ü".repeat(128)}).to_string().as_bytes()).is_ok());
    refused(
        r#"{"type":"PROMPT","content":"c","model":""}"#,
        &expect!["`model` must be text of 1 to 256 printable characters; shorten it or leave it out"],
    );
    refused(r#"{"type":"PROMPT","content":"c","system":{}}"#, &expect!["`system` must be the system prompt, as text"]);
    let about_bound = expect!["`max_tokens` must be a whole number from 1 to 4294967295; leave it out for no bound"];
    for bound in ["0", "-1", "1.5", "1e3", "\"5\"", "4294967296"] {
        refused(format!(r#"{{"type":"PROMPT","content":"c","max_tokens":{bound}}}"#), &about_bound);
    }
    refused(r#"{"type":"CANCEL"}"#, &expect!["`taskId` must be the id of a task, as its ACK told it"]);
    refused(r#"{"type":"CANCEL","taskId":5}"#, &expect!["`taskId` must be the id of a task, as its ACK told it"]);
    refused(r#"{"type":"RESUME","lastSeq":0}"#, &expect!["`sessionId` must be the id of a session, as its ACK or SESSION told it"]);
    let about_seq = expect!["`lastSeq` must be the `seq` of the last message that was seen, 0 for none"];
    for seq in ["null", "-1", "1.5", "\"3\""] {
        refused(format!(r#"{{"type":"RESUME","sessionId":"s","lastSeq":{seq}}}"#), &about_seq);
    }
}

#[test]
fn what_is_no_object_of_a_known_type_is_refused() {
    let about_type = expect![[r#"`type` must be one of "PROMPT", "CANCEL", "RESUME", "RESET" and "PING""#]];
    for text in ["{}", r#"{"type":"prompt"}"#, r#"{"type":"ACK"}"#, r#"{"type":5}"#, r#"{"type":null}"#] {
        refused(text, &about_type);
    }
    let about_object = expect!["the message must be a JSON object with a `type`"];
    for text in ["[]", "5", "null", "\"PING\"", "true"] {
        refused(text, &about_object);
    }
    refused("", &expect!["the message is not valid JSON: see line 1, column 0"]);
    refused("{\"type\":\n\"PING\"", &expect!["the message is not valid JSON: see line 2, column 6"]);
    refused(r#"{"type":"PING"} x"#, &expect!["the message is not valid JSON: see line 1, column 17"]);
    refused(b"{\"type\":\"PING\xff\"}", &expect!["the message is not UTF-8; send JSON in UTF-8"]);
}

proptest! {
    #[test]
    fn whatever_comes_is_read_or_refused_without_its_words(payload in prop::collection::vec(any::<u8>(), 0..200)) {
        let _one_of_both = read(&payload);
    }

    #[test]
    fn a_refusal_repeats_nothing_of_the_message(secret in "[a-z]{12,40}", member in 0_usize..8) {
        let name = ["content", "id", "model", "system", "max_tokens", "taskId", "sessionId", "lastSeq"][member];
        for kind in ["PROMPT", "CANCEL", "RESUME", &secret] {
            let message = json!({"type": kind, name: [&secret], &secret: secret});
            if let Err(fault) = read(message.to_string().as_bytes()) {
                prop_assert!(!fault.message.contains(&secret), "{fault}");
            }
        }
    }

    #[test]
    fn a_prompt_reads_as_it_was_written(
        content in ".+", id in prop::option::of("[ -~]{1,128}"), system in prop::option::of(".*"), most in prop::option::of(1_u32..),
    ) {
        let mut message = Map::new();
        message.insert("type".to_owned(), "PROMPT".into());
        message.insert("content".to_owned(), content.clone().into());
        message.extend(id.clone().map(|id| ("id".to_owned(), Value::from(id))));
        message.extend(system.clone().map(|system| ("system".to_owned(), Value::from(system))));
        message.extend(most.map(|most| ("max_tokens".to_owned(), Value::from(most))));
        let read = prompt(&Value::Object(message).to_string());
        prop_assert_eq!(&*read.content, content);
        prop_assert_eq!(read.id.as_deref(), id.as_deref());
        prop_assert_eq!(read.system.as_deref(), system.as_deref());
        prop_assert_eq!(read.max_tokens.map(NonZeroU32::get), most);
    }
}
