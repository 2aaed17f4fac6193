//! One chat request, as a raw client writes it.

use serde_json::{Value, json};

/// A request for `POST /v1/chat/completions`.
#[derive(Debug, Clone)]
pub struct Chat {
    body: Value,
    headers: Vec<(String, String)>,
}

impl Chat {
    /// A streamed request for `model` with one short message.
    #[must_use]
    pub fn new(model: &str) -> Self {
        let body = json!({"model": model, "stream": true, "messages": [{"role": "user", "content": "Say hello."}]});
        Self { body, headers: Vec::new() }
    }

    /// The same, not streamed.
    #[must_use]
    pub fn whole(model: &str) -> Self {
        Self::new(model).with("stream", false)
    }

    /// Sets one member of the body.
    #[must_use]
    pub fn with(mut self, member: &str, value: impl Into<Value>) -> Self {
        self.body[member] = value.into();
        self
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Authenticates with a Tidegate key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// The request's bytes, HTTP/1.1.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        request("POST", "/v1/chat/completions", &self.headers, self.body.to_string().as_bytes())
    }

    /// Only its head, announcing the whole body.
    #[must_use]
    pub fn head_bytes(&self) -> Vec<u8> {
        let mut bytes = self.bytes();
        bytes.truncate(bytes.len() - self.body.to_string().len());
        bytes
    }
}

/// Any request's bytes, HTTP/1.1, in one piece.
#[must_use]
pub fn request(method: &str, path: &str, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: tidegate\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    }
    text += "\r\n";
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    bytes
}
