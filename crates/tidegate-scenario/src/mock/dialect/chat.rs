//! OpenAI Chat Completions (protocols.md, section 2).

mod ask;
mod whole;

use serde_json::{Value, json};

use super::{Event, EventMoment, Said, Voice, error_json};
use crate::mock::http::push_fmt;
use crate::script::ErrorForm;

pub(crate) use ask::{Ask, Refused};

/// Members of `delta` that show output; an empty one shows nothing.
const OUTPUT_MEMBERS: [&str; 7] = ["content", "refusal", "reasoning_content", "reasoning", "tool_calls", "function_call", "audio"];

/// One chat answer. What stays the same in all events is written once, so that an event is three copies.
pub(crate) struct Chat {
    ask: Ask,
    id: String,
    created: u64,
    /// From `data: {` to the last member that all events share, with the comma after it.
    opening: Vec<u8>,
    /// From the comma after an event's own members to its last member.
    closing: Vec<u8>,
}

impl Chat {
    /// The answer to the mock's `n`-th request.
    pub(crate) fn new(ask: Ask, n: u64, created: u64) -> Self {
        let id = format!("chatcmpl-mock{n:020}");
        let mut opening = Vec::with_capacity(192);
        push_fmt(&mut opening, format_args!(r#"data: {{"id":"{id}","object":"chat.completion.chunk","created":{created},"#));
        push_fmt(
            &mut opening,
            format_args!(r#""model":{},"service_tier":"default","system_fingerprint":"fp_mock","#, Value::from(ask.model.as_str())),
        );
        let mut closing = Vec::with_capacity(64);
        if ask.include_usage {
            closing.extend_from_slice(br#","usage":null"#);
        }
        if ask.obfuscates {
            closing.extend_from_slice(br#","obfuscation":"v3Qm8ZtKx1""#);
        }
        Self { ask, id, created, opening, closing }
    }

    /// Appends a chunk with these members.
    fn chunk(&self, stamp: Option<u64>, out: &mut Vec<u8>, members: impl FnOnce(&mut Vec<u8>)) {
        out.extend_from_slice(&self.opening);
        members(out);
        out.extend_from_slice(&self.closing);
        if let Some(nanos) = stamp {
            push_fmt(out, format_args!(r#","t":{nanos}"#));
        }
        out.extend_from_slice(b"}\n\n");
    }

    /// Appends a chunk whose delta has this one text member.
    fn delta(&self, member: &str, text: &str, moment: &EventMoment, out: &mut Vec<u8>) {
        self.chunk(moment.stamp, out, |out| {
            push_fmt(out, format_args!(r#""choices":[{{"index":{},"delta":{{"{member}":"#, moment.choice));
            push_json(out, text);
            out.extend_from_slice(br#"},"logprobs":null,"finish_reason":null}]"#);
        });
    }

    fn error(&self, form: ErrorForm, text: &str, moment: &EventMoment, out: &mut Vec<u8>) {
        match form {
            ErrorForm::Nested => push_fmt(out, format_args!("data: {}\n\n", error_json(text, "server_error", None, Some("server_error")))),
            ErrorForm::Flat => {
                let error = json!({"object": "error", "message": text, "type": "InternalServerError", "param": null, "code": 500});
                push_fmt(out, format_args!("data: {error}\n\n"));
            }
            ErrorForm::OpenRouter => self.chunk(moment.stamp, out, |out| {
                let error = json!({"code": 502, "message": text});
                push_fmt(
                    out,
                    format_args!(r#""error":{error},"choices":[{{"index":0,"delta":{{"content":""}},"finish_reason":"error"}}]"#),
                );
            }),
        }
    }

    fn usage(&self, completion_tokens: u64) -> Value {
        let prompt_tokens = self.ask.prompt_tokens;
        json!({
            "prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": 0}, "completion_tokens_details": {"reasoning_tokens": 0},
        })
    }
}

impl Voice for Chat {
    fn streams(&self) -> bool {
        self.ask.stream
    }

    fn choices(&self) -> u32 {
        self.ask.choices
    }

    fn wants_usage(&self) -> bool {
        self.ask.include_usage
    }

    fn event(&self, event: &Event<'_>, moment: &EventMoment, out: &mut Vec<u8>) {
        let choice = moment.choice;
        match event {
            Event::Text(text) => self.delta("content", text, moment, out),
            Event::Reasoning(text) => self.delta("reasoning_content", text, moment, out),
            Event::Refusal(text) => self.delta("refusal", text, moment, out),
            Event::Role => self.chunk(moment.stamp, out, |out| {
                let delta = r#"{"role":"assistant","content":"","refusal":null}"#;
                push_fmt(out, format_args!(r#""choices":[{{"index":{choice},"delta":{delta},"logprobs":null,"finish_reason":null}}]"#));
            }),
            Event::Finish(reason) => self.chunk(moment.stamp, out, |out| {
                let reason = Value::from(*reason);
                push_fmt(out, format_args!(r#""choices":[{{"index":{choice},"delta":{{}},"logprobs":null,"finish_reason":{reason}}}]"#));
            }),
            Event::Usage => {
                // The one event without `usage: null`.
                out.extend_from_slice(&self.opening);
                push_fmt(out, format_args!(r#""choices":[],"usage":{}}}{}"#, self.usage(moment.tokens), "\n\n"));
            }
            Event::Members(members) => {
                out.extend_from_slice(&self.opening);
                push_fmt(out, format_args!("{members}}}\n\n"));
            }
            Event::Error(form, text) => self.error(*form, text, moment, out),
            Event::Done => out.extend_from_slice(b"data: [DONE]\n\n"),
        }
    }

    fn whole(&self, said: &Said<'_>) -> Vec<u8> {
        whole::body(self, said)
    }
}

/// The members of a chunk show output.
pub(super) fn members_show_output(members: &str) -> bool {
    let Ok(chunk) = serde_json::from_str::<Value>(&format!("{{{members}}}")) else { return false };
    let choices = chunk["choices"].as_array().map_or(&[][..], Vec::as_slice);
    choices.iter().any(|choice| {
        OUTPUT_MEMBERS.iter().any(|member| match &choice["delta"][member] {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Array(calls) => !calls.is_empty(),
            _ => true,
        })
    })
}

fn push_json(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a Vec takes every write");
}
