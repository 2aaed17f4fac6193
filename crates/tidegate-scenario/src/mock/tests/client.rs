//! A client that keeps every byte and says how an answer ended.

use std::io;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Mock;

pub(super) struct Client {
    socket: TcpStream,
    inbox: Vec<u8>,
    pub(super) version: &'static str,
    /// One more header line.
    pub(super) header: &'static str,
}

/// How the bytes of an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As the head or the chunks announced.
    Framed,
    /// By a close before that, or without any announcement.
    Closed,
    /// By a reset.
    Reset,
}

#[derive(Debug)]
pub(super) struct Answer {
    /// 0 without a head.
    pub(super) status: u16,
    head: String,
    /// Chunks put together.
    pub(super) body: Vec<u8>,
    pub(super) wire_bytes: u64,
    pub(super) end: End,
}

impl Client {
    pub(super) async fn connect(mock: &Mock) -> Self {
        let socket = TcpStream::connect(mock.addr()).await.expect("the mock listens");
        Self { socket, inbox: Vec::new(), version: "HTTP/1.1", header: "" }
    }

    pub(super) async fn ask(&mut self, model: &str, stream: bool) -> Answer {
        self.send_only(model, stream).await;
        self.answer().await
    }

    pub(super) async fn send_only(&mut self, model: &str, stream: bool) {
        let body = json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "say something"}]});
        let request = self.request("/v1/chat/completions", body.to_string().as_bytes());
        self.socket.write_all(&request).await.expect("the mock reads");
    }

    pub(super) async fn send(&mut self, body: &Value) -> Answer {
        self.post("/v1/chat/completions", body.to_string().as_bytes()).await
    }

    pub(super) async fn post(&mut self, path: &str, body: &[u8]) -> Answer {
        let request = self.request(path, body);
        self.raw(&request).await
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.raw(format!("GET {path} HTTP/1.1\r\nhost: mock\r\n\r\n").as_bytes()).await
    }

    pub(super) async fn raw(&mut self, bytes: &[u8]) -> Answer {
        self.socket.write_all(bytes).await.expect("the mock reads");
        self.answer().await
    }

    pub(super) fn request(&self, path: &str, body: &[u8]) -> Vec<u8> {
        let header = if self.header.is_empty() { String::new() } else { format!("{}\r\n", self.header) };
        let mut request =
            format!("POST {path} {}\r\nhost: mock\r\n{header}content-length: {}\r\n\r\n", self.version, body.len()).into_bytes();
        request.extend_from_slice(body);
        request
    }

    /// Reads one answer to its end, whatever that is.
    pub(super) async fn answer(&mut self) -> Answer {
        loop {
            if let Some(answer) = self.framed_answer() {
                return answer;
            }
            let end = match self.socket.read_buf(&mut self.inbox).await {
                Ok(0) => End::Closed,
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => End::Reset,
                Err(error) => panic!("{error}"),
            };
            let wire = std::mem::take(&mut self.inbox);
            let Some(at) = find(&wire, b"\r\n\r\n") else {
                return Answer { status: 0, head: String::new(), body: Vec::new(), wire_bytes: wire.len() as u64, end };
            };
            let head = String::from_utf8_lossy(&wire[..at]).into_owned();
            let body = if head.contains("transfer-encoding") { unchunk(&wire[at + 4..]).0 } else { wire[at + 4..].to_vec() };
            return Answer { status: status(&head), head, body, wire_bytes: wire.len() as u64, end };
        }
    }

    /// Takes an answer out of the inbox, if it is there to the end of its framing.
    fn framed_answer(&mut self) -> Option<Answer> {
        let body_at = find(&self.inbox, b"\r\n\r\n")? + 4;
        let head = String::from_utf8_lossy(&self.inbox[..body_at]).into_owned();
        let (body, length) = if let Some(length) = header(&head, "content-length") {
            let length: usize = length.parse().expect("a number");
            (self.inbox.get(body_at..body_at + length)?.to_vec(), length)
        } else if head.contains("transfer-encoding: chunked") {
            let (body, length) = unchunk(&self.inbox[body_at..]);
            (body, length?)
        } else if status(&head) == 100 {
            (Vec::new(), 0)
        } else {
            return None;
        };
        self.inbox.drain(..body_at + length);
        Some(Answer { status: status(&head), head, body, wire_bytes: (body_at + length) as u64, end: End::Framed })
    }
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", String::from_utf8_lossy(&self.body)))
    }

    /// The data of each event, in a stream with plain line ends.
    pub(super) fn data(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        text.split("\n\n").filter_map(|event| event.trim_start().strip_prefix("data: ")).map(str::to_owned).collect()
    }

    /// The events that are JSON.
    pub(super) fn events(&self) -> Vec<Value> {
        self.data().iter().filter_map(|data| serde_json::from_str(data).ok()).collect()
    }

    /// The text that a reader saw.
    pub(super) fn text(&self) -> String {
        self.events().iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned)).collect()
    }
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0)
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().filter_map(|line| line.split_once(": ")).find(|(known, _)| *known == name).map(|(_, value)| value)
}

/// The body in `bytes`, and how many of them it takes if its last chunk is there.
fn unchunk(bytes: &[u8]) -> (Vec<u8>, Option<usize>) {
    let (mut body, mut at) = (Vec::new(), 0);
    while let Some(line) = find(&bytes[at..], b"\r\n") {
        let size = usize::from_str_radix(&String::from_utf8_lossy(&bytes[at..at + line]), 16).expect("a chunk size");
        let data = at + line + 2;
        let Some(chunk) = bytes.get(data..data + size) else { break };
        if bytes.len() < data + size + 2 {
            break;
        }
        body.extend_from_slice(chunk);
        at = data + size + 2;
        if size == 0 {
            return (body, Some(at));
        }
    }
    (body, None)
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}
