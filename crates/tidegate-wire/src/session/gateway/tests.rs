use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde_json::Value;
use tidegate_core::event::{Usage, UsageSource};
use tidegate_core::failure::Failure;
use tidegate_core::id::{SessionId, StreamId, TaskId};
use tidegate_core::session::{Code, DropReason};

use super::*;

const MILLIS: u64 = 1_763_000_000_000;

fn task() -> TaskId {
    TaskId::new(MILLIS, 7)
}

fn session() -> SessionId {
    SessionId::new(MILLIS, 8)
}

fn stream() -> StreamId {
    StreamId::new(MILLIS, 9)
}

fn text(message: &Message) -> String {
    let mut out = Vec::new();
    write(message, &mut out);
    String::from_utf8(out).expect("JSON is text")
}

fn numbered(body: Body) -> String {
    text(&Message::Numbered { seq: 3, body })
}

fn check(message: &str, expected: &Expect) {
    let _: Value = serde_json::from_str(message).expect("it is JSON");
    expected.assert_eq(message);
}

#[test]
fn an_ack_has_the_first_clients_members_and_more() {
    let ack = |queue_depth, id: Option<&str>| Body::Ack(Ack { task: task(), queue_depth, session: session(), id: id.map(Arc::from) });
    check(
        &numbered(ack(0, None)),
        &expect![[
            r#"{"type":"ACK","taskId":"task_01k9xft7g00000000000000007","queueDepth":0,"sessionId":"sess_01k9xft7g00000000000000008","seq":3}"#
        ]],
    );
    check(
        &numbered(ack(16, Some("my \"id\""))),
        &expect![[
            r#"{"type":"ACK","taskId":"task_01k9xft7g00000000000000007","queueDepth":16,"sessionId":"sess_01k9xft7g00000000000000008","id":"my \"id\"","seq":3}"#
        ]],
    );
}

#[test]
fn a_token_has_its_text_under_data() {
    check(
        &numbered(Body::Token { task: task(), data: "Hel\"lo\n\u{1f600}\u{1}".into() }),
        &expect![[r#"{"type":"TOKEN","taskId":"task_01k9xft7g00000000000000007","seq":3,"data":"Hel\"lo\n😀\u0001"}"#]],
    );
}

#[test]
fn a_completion_tells_usage_as_the_record_does() {
    let usage = Usage {
        input_tokens: Some(12),
        output_tokens: Some(200),
        cached_input_tokens: None,
        reasoning_tokens: Some(0),
        source: UsageSource::Provider,
    };
    check(
        &numbered(Body::Complete(Box::new(Complete { task: task(), usage: Some(usage), stream: stream() }))),
        &expect![[
            r#"{"type":"COMPLETE","taskId":"task_01k9xft7g00000000000000007","usage":{"input_tokens":12,"output_tokens":200,"cached_input_tokens":null,"reasoning_tokens":0,"source":"provider"},"streamId":"strm_01k9xft7g00000000000000009","seq":3}"#
        ]],
    );
    check(
        &numbered(Body::Complete(Box::new(Complete { task: task(), usage: None, stream: stream() }))),
        &expect![[
            r#"{"type":"COMPLETE","taskId":"task_01k9xft7g00000000000000007","usage":null,"streamId":"strm_01k9xft7g00000000000000009","seq":3}"#
        ]],
    );
}

#[test]
fn an_error_says_what_the_failure_table_says_unless_more_is_known() {
    let partial = Problem {
        task: Some(task()),
        partial: true,
        retry_after: Some(Duration::from_millis(1500)),
        stream: Some(stream()),
        ..Problem::of(Code::Failure(Failure::UpstreamCut))
    };
    check(
        &numbered(Body::Error(Box::new(partial))),
        &expect![[
            r#"{"type":"ERROR","taskId":"task_01k9xft7g00000000000000007","code":"upstream_cut","message":"the provider's stream ended before the answer was complete","partial":true,"retryable":true,"retryAfterMs":1500,"streamId":"strm_01k9xft7g00000000000000009","seq":3}"#
        ]],
    );
    let refused = Problem { id: Some("p-1".into()), ..Problem::of(Code::Failure(Failure::GatewayDraining)) };
    check(
        &numbered(Body::Error(Box::new(refused))),
        &expect![[
            r#"{"type":"ERROR","code":"gateway_draining","message":"the gateway is shutting down","partial":false,"retryable":true,"id":"p-1","seq":3}"#
        ]],
    );
    let unknown = Problem { task: Some(task()), ..Problem::of(Code::TaskNotFound) };
    check(
        &numbered(Body::Error(Box::new(unknown))),
        &expect![[
            r#"{"type":"ERROR","taskId":"task_01k9xft7g00000000000000007","code":"task_not_found","message":"no task of this id waits or runs in this session","partial":false,"retryable":false,"seq":3}"#
        ]],
    );
    let invalid = Problem { message: Some("`content` is empty; send what the user says".into()), ..Problem::of(Code::InvalidMessage) };
    check(
        &numbered(Body::Error(Box::new(invalid))),
        &expect![[
            r#"{"type":"ERROR","code":"invalid_message","message":"`content` is empty; send what the user says","partial":false,"retryable":false,"seq":3}"#
        ]],
    );
}

#[test]
fn the_messages_of_later_clients_have_the_members_of_the_contract() {
    let expires_in = Duration::from_secs(120);
    check(
        &text(&Message::Session { session: session(), resumed: false, expires_in }),
        &expect![[r#"{"type":"SESSION","sessionId":"sess_01k9xft7g00000000000000008","resumed":false,"expiresInMs":120000}"#]],
    );
    check(
        &text(&Message::Session { session: session(), resumed: true, expires_in }),
        &expect![[r#"{"type":"SESSION","sessionId":"sess_01k9xft7g00000000000000008","resumed":true,"expiresInMs":120000}"#]],
    );
    check(&text(&Message::Pong), &expect![[r#"{"type":"PONG"}"#]]);
    let retry_after = Duration::from_micros(2_000_999);
    let overloaded = Problem { retry_after: Some(retry_after), ..Problem::of(Code::Failure(Failure::GatewayOverloaded)) };
    check(
        &text(&Message::Refused(Box::new(overloaded))),
        &expect![[
            r#"{"type":"ERROR","code":"gateway_overloaded","message":"the gateway has no room for another stream right now","partial":false,"retryable":true,"retryAfterMs":2000}"#
        ]],
    );
    check(
        &numbered(Body::RateLimited { queue_depth: 16, retry_after, id: None }),
        &expect![[r#"{"type":"RATE_LIMITED","queueDepth":16,"retryAfterMs":2000,"seq":3}"#]],
    );
    check(
        &numbered(Body::RateLimited { queue_depth: 16, retry_after, id: Some("p-1".into()) }),
        &expect![[r#"{"type":"RATE_LIMITED","queueDepth":16,"retryAfterMs":2000,"id":"p-1","seq":3}"#]],
    );
    check(
        &numbered(Body::Dropped { task: task(), reason: DropReason::Cancelled }),
        &expect![[r#"{"type":"DROPPED","taskId":"task_01k9xft7g00000000000000007","reason":"cancelled","seq":3}"#]],
    );
    check(
        &numbered(Body::Dropped { task: task(), reason: DropReason::QueueFull }),
        &expect![[r#"{"type":"DROPPED","taskId":"task_01k9xft7g00000000000000007","reason":"queue_full","seq":3}"#]],
    );
}

#[test]
fn a_notice_tells_a_place_an_estimate_or_tool_calls_where_there_are_any() {
    let notice = Notice { task: task(), message: "taking longer".into(), position: None, eta: None, tool_calls: None };
    check(
        &numbered(Body::Notice(Box::new(notice.clone()))),
        &expect![[r#"{"type":"NOTICE","taskId":"task_01k9xft7g00000000000000007","message":"taking longer","seq":3}"#]],
    );
    let waits = Notice { position: Some(2), eta: Some(Duration::from_secs(3)), ..notice.clone() };
    check(
        &numbered(Body::Notice(Box::new(waits))),
        &expect![[
            r#"{"type":"NOTICE","taskId":"task_01k9xft7g00000000000000007","message":"taking longer","queuePosition":2,"etaMs":3000,"seq":3}"#
        ]],
    );
    let calls = r#"[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]"#;
    check(
        &numbered(Body::Notice(Box::new(Notice { tool_calls: Some(calls.into()), ..notice }))),
        &expect![[
            r#"{"type":"NOTICE","taskId":"task_01k9xft7g00000000000000007","message":"taking longer","toolCalls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}],"seq":3}"#
        ]],
    );
}

#[test]
fn messages_are_appended_to_what_is_there() {
    let mut out = b"before ".to_vec();
    write(&Message::Pong, &mut out);
    assert_eq!(out, br#"before {"type":"PONG"}"#);
}

proptest! {
    #[test]
    fn any_token_reads_as_it_was_written(seq in any::<u64>(), data in ".*") {
        let written = text(&Message::Numbered { seq, body: Body::Token { task: task(), data: data.as_str().into() } });
        let read: Value = serde_json::from_str(&written).expect("it is JSON");
        prop_assert_eq!(read["data"].as_str(), Some(&*data));
        prop_assert_eq!(read["seq"].as_u64(), Some(seq));
        prop_assert_eq!(read["taskId"].as_str().and_then(TaskId::parse), Some(task()));
        prop_assert_eq!(read.as_object().map(serde_json::Map::len), Some(4));
    }

    #[test]
    fn any_text_of_an_error_or_a_notice_is_escaped(said in ".*", id in ".*") {
        let problem = Problem { message: Some(said.as_str().into()), id: Some(id.as_str().into()), ..Problem::of(Code::TaskNotFound) };
        let read: Value = serde_json::from_str(&numbered(Body::Error(Box::new(problem)))).expect("it is JSON");
        prop_assert_eq!((read["message"].as_str(), read["id"].as_str()), (Some(&*said), Some(&*id)));
        let notice = Notice { task: task(), message: said.as_str().into(), position: None, eta: None, tool_calls: None };
        let read: Value = serde_json::from_str(&numbered(Body::Notice(Box::new(notice)))).expect("it is JSON");
        prop_assert_eq!(read["message"].as_str(), Some(&*said));
    }
}
