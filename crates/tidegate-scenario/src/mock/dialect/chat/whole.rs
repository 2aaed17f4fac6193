//! The answer to a request without `stream`.

use serde_json::{Map, Value, json};

use super::{Chat, Said};

/// The body of the whole answer: what was said, and the script's own chunks folded into it the way an SDK folds them.
pub(super) fn body(chat: &Chat, said: &Said<'_>) -> Vec<u8> {
    let mut answer = json!({
        "id": chat.id, "object": "chat.completion", "created": chat.created, "model": chat.ask.model,
        "service_tier": "default", "system_fingerprint": "fp_mock",
        "choices": (0..chat.ask.choices).map(|index| choice(index, said)).collect::<Vec<_>>(),
        "usage": chat.usage(said.tokens),
    });
    for members in &said.members {
        if let Ok(chunk) = serde_json::from_str(&format!("{{{members}}}")) {
            fold(&mut answer, &chunk);
        }
    }
    answer.to_string().into_bytes()
}

fn choice(index: u32, said: &Said<'_>) -> Value {
    let or_null = |text: &str| if text.is_empty() { Value::Null } else { Value::from(text) };
    let mut message = json!({"role": "assistant", "content": or_null(&said.text), "refusal": or_null(&said.refusal)});
    if !said.reasoning.is_empty() {
        message["reasoning_content"] = Value::from(said.reasoning.as_str());
    }
    json!({"index": index, "message": message, "logprobs": null, "finish_reason": said.finish})
}

/// Adds a chunk to the answer. Choices are found by their index, everything else replaces what was there.
fn fold(answer: &mut Value, chunk: &Map<String, Value>) {
    for (name, value) in chunk.iter().filter(|(name, value)| *name != "choices" && !value.is_null()) {
        answer[name] = value.clone();
    }
    for choice in chunk.get("choices").and_then(Value::as_array).into_iter().flatten() {
        let Some(choices) = answer["choices"].as_array_mut() else { return };
        let index = &choice["index"];
        let at = choices.iter().position(|known| known["index"] == *index).unwrap_or_else(|| {
            choices.push(json!({"index": index, "message": {"role": "assistant", "content": null}, "finish_reason": null}));
            choices.len() - 1
        });
        if !choice["finish_reason"].is_null() {
            choices[at]["finish_reason"] = choice["finish_reason"].clone();
        }
        merge(&mut choices[at]["logprobs"], &choice["logprobs"]);
        merge(&mut choices[at]["message"], &choice["delta"]);
    }
}

/// Joins texts, appends lists, merges objects member by member; list items with an `index` are merged by it.
fn merge(whole: &mut Value, part: &Value) {
    match (whole, part) {
        (_, Value::Null) => {}
        (Value::String(whole), Value::String(part)) if part != "assistant" && part != "function" => whole.push_str(part),
        (Value::Object(whole), Value::Object(part)) => {
            for (name, value) in part {
                merge(whole.entry(name.as_str()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(whole), Value::Array(part)) => {
            for item in part {
                let known = whole.iter_mut().find(|known| item["index"].is_u64() && known["index"] == item["index"]);
                match known {
                    Some(known) => merge(known, item),
                    None => whole.push(item.clone()),
                }
            }
        }
        (whole, part) => *whole = part.clone(),
    }
}
