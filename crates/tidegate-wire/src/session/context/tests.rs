use std::sync::Arc;

use expect_test::expect;
use tidegate_core::session::{Counted, History, Room, ToolCalls};

use super::*;
use crate::openai_chat::ChatRequest;

fn counted(text: &str) -> Counted {
    Counted { text: text.into(), tokens: 1 }
}

const ANY: Room = Room { window: None, max_tokens: None };

#[test]
fn a_first_prompt_is_one_message_behind_its_system_prompt() {
    let history = History::default();
    let ask = history.ask(&counted("say \"hi\""), Some(counted("be brief")));
    let written = messages(&history.fit(&ask, ANY).expect("it fits"));
    expect![[r#"[{"role":"system","content":"be brief"},{"role":"user","content":"say \"hi\""}]"#]]
        .assert_eq(&String::from_utf8(written).expect("JSON is text"));
    let ask = history.ask(&counted("hi"), None);
    let written = messages(&history.fit(&ask, ANY).expect("it fits"));
    expect![[r#"[{"role":"user","content":"hi"}]"#]].assert_eq(&String::from_utf8(written).expect("JSON is text"));
}

#[test]
fn a_tool_call_and_its_result_are_told_in_the_form_of_a_chat_request() {
    let call = ToolCalls {
        ids: [Arc::from("call_1")].into(),
        json: r#"[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]"#.into(),
    };
    let entry = |said| Entry { said, tokens: 1 };
    let past = [
        entry(Said::User("weather?".into())),
        entry(Said::Assistant { text: "".into(), calls: Some(call.clone()) }),
        entry(Said::Tool { call: "call_1".into(), text: "sun".into() }),
        entry(Said::Assistant { text: "Sun.".into(), calls: None }),
        entry(Said::User("again".into())),
        entry(Said::Assistant { text: "I look.".into(), calls: Some(call) }),
    ];
    let said = [entry(Said::Tool { call: "call_1".into(), text: "rain".into() })];
    let written = messages(&Context { system: None, past: &past, said: &said, left_out: 0, tokens: 0 });
    expect![[r#"[{"role":"user","content":"weather?"},{"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_1","content":"sun"},{"role":"assistant","content":"Sun."},{"role":"user","content":"again"},{"role":"assistant","content":"I look.","tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_1","content":"rain"}]"#]].assert_eq(&String::from_utf8(written.clone()).expect("JSON is text"));
    let body = [br#"{"model":"m","messages":"#, &*written, b"}"].concat();
    assert!(ChatRequest::parse(body.into()).is_ok());
}
