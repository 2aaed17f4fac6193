//! The list of models.

use bytes::Bytes;
use serde::Serialize;

use crate::names::chat;

/// Who the list says has made a model; the gateway does not tell which provider is behind a name.
const OWNER: &str = "tidegate";

/// The JSON that answers `GET /v1/models`, in the order of `ids`. `created`, in seconds since 1970, stands at each.
#[must_use]
pub fn models_body<'a>(ids: impl IntoIterator<Item = &'a str>, created: u64) -> Bytes {
    let data = ids.into_iter().map(|id| Model { id, object: chat::MODEL, created, owned_by: OWNER }).collect();
    serde_json::to_vec(&List { object: chat::LIST, data }).expect("text and numbers are JSON").into()
}

#[derive(Serialize)]
struct List<'a> {
    object: &'a str,
    data: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'a str,
    created: u64,
    owned_by: &'a str,
}

#[cfg(test)]
mod tests;
