//! One connection to the source: requests in, answers out, until its peer leaves.

use std::{io::ErrorKind, ops::Range, pin::pin, rc::Rc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use memchr::memmem;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task,
    time::{Instant, sleep_until},
};

use super::count::{CONTROL_PATH, Count};
use crate::{
    clock::now_ns,
    event::{EventBytes, chunk},
    spec::{Mode, Spec},
};

const STREAM_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nX-Request-Id: req_bench\r\nTransfer-Encoding: chunked\r\n\r\n";
const FINISH: &[u8] = b"data: {\"id\":\"chatcmpl-B7tideGateBenchmark0000000001\",\"object\":\"chat.completion.chunk\",\"created\":1763700000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &[u8] = b"data: {\"id\":\"chatcmpl-B7tideGateBenchmark0000000001\",\"object\":\"chat.completion.chunk\",\"created\":1763700000,\"model\":\"bench\",\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":20,\"total_tokens\":29}}\n\n";
const DONE: &[u8] = b"data: [DONE]\n\n";
const WHOLE: &str = r#"{"id":"chatcmpl-B7tideGateBenchmark0000000001","object":"chat.completion","created":1763700000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"The tide follows the moon, and the gate follows the tide.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":9,"completion_tokens":14,"total_tokens":23}}"#;
/// Flat-out events that one stream writes at once before the others have their turn: so the source is faster than any peer.
const BURST: usize = 3;
const MAX_REQUEST: usize = 64 * 1024;

/// Answers requests until the peer leaves or breaks the protocol.
pub(super) async fn serve(mut connection: TcpStream, count: Rc<Count>) {
    // A peer that leaves in the middle is what many figures are about, so it is no fault worth a word.
    let _left = answer_all(&mut connection, &count).await;
    count.departed(connection);
}

async fn answer_all(connection: &mut TcpStream, count: &Count) -> Result<()> {
    let mut bytes = Vec::with_capacity(2048);
    while let Some(request) = Request::read(connection, &mut bytes).await? {
        match request.asks {
            Asks::Count { since } => write_json(connection, &count.snapshot(since).line()).await?,
            Asks::Answer { spec, usage } => answer(connection, count, request.received, spec, usage).await?,
        }
    }
    Ok(())
}

async fn answer(connection: &mut TcpStream, count: &Count, received: u64, spec: Spec, usage: bool) -> Result<()> {
    let _open = count.open();
    let begin = Instant::now() + spec.think;
    if !spec.think.is_zero() {
        wait(connection, begin).await?;
    }
    if spec.mode == Mode::Whole {
        return write_json(connection, WHOLE).await;
    }
    let mut event = EventBytes::new(received);
    let now = now_ns();
    connection.write_all(&[STREAM_HEAD, event.stamped(now)].concat()).await?;
    count.wrote(now);
    match spec.mode {
        Mode::Whole => {}
        Mode::Silent => gone(connection).await?,
        Mode::Paced { gap } => paced(connection, count, &mut event, begin, gap, spec.events).await?,
        Mode::Flat => flat(connection, &mut event, spec.events).await?,
    }
    let end = [FINISH, if usage { USAGE } else { &[] }, DONE].into_iter().filter(|event| !event.is_empty()).flat_map(chunk);
    connection.write_all(&end.chain(*b"0\r\n\r\n").collect::<Vec<_>>()).await?;
    Ok(())
}

async fn paced(
    connection: &mut TcpStream,
    count: &Count,
    event: &mut EventBytes,
    begin: Instant,
    gap: Duration,
    events: u64,
) -> Result<()> {
    let mut due = begin;
    for _ in after_the_first(events) {
        due += gap;
        wait(connection, due).await?;
        let now = now_ns();
        connection.write_all(event.stamped(now)).await?;
        count.wrote(now);
    }
    Ok(())
}

async fn flat(connection: &mut TcpStream, event: &mut EventBytes, events: u64) -> Result<()> {
    let mut left = after_the_first(events);
    let mut burst = Vec::new();
    while !left.is_empty() {
        burst.clear();
        let now = now_ns();
        left.by_ref().take(BURST).for_each(|_| burst.extend_from_slice(event.stamped(now)));
        connection.write_all(&burst).await?;
        task::yield_now().await;
    }
    Ok(())
}

/// The events after the first one of `events`, where 0 stands for no end.
fn after_the_first(events: u64) -> Range<u64> {
    1..if events == 0 { u64::MAX } else { events }
}

/// Waits until `due`; a peer that leaves before ends the wait with an error.
async fn wait(connection: &TcpStream, due: Instant) -> Result<()> {
    let mut timer = pin!(sleep_until(due));
    tokio::select! {
        biased;
        () = &mut timer => Ok(()),
        left = gone(connection) => left,
    }
}

/// Waits for the peer to leave, and is an error then. Bytes that it sends before its answer has ended are an error too.
async fn gone(connection: &TcpStream) -> Result<()> {
    loop {
        connection.readable().await?;
        match connection.try_read(&mut [0; 64]) {
            Ok(read) => bail!("the peer left, or sent {read} bytes out of turn"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
    }
}

async fn write_json(connection: &mut TcpStream, body: &str) -> Result<()> {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-Request-Id: req_bench\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    Ok(connection.write_all(answer.as_bytes()).await?)
}

struct Request {
    received: u64,
    asks: Asks,
}

enum Asks {
    Count { since: u64 },
    Answer { spec: Spec, usage: bool },
}

impl Request {
    /// The next request, or `None` when the peer closed the connection between two.
    async fn read(connection: &mut TcpStream, bytes: &mut Vec<u8>) -> Result<Option<Self>> {
        bytes.clear();
        loop {
            if connection.read_buf(bytes).await? == 0 {
                return Ok(None);
            }
            let received = now_ns();
            ensure!(bytes.len() < MAX_REQUEST, "the request is too long");
            if let Some(asks) = Self::parse(bytes)? {
                return Ok(Some(Self { received, asks }));
            }
        }
    }

    /// What whole request the bytes are, if they are one.
    fn parse(bytes: &[u8]) -> Result<Option<Asks>> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(body_at) = request.parse(bytes).context("the request is not HTTP/1.1")? else {
            return Ok(None);
        };
        if let Some(since) = request.path.and_then(|path| path.strip_prefix(CONTROL_PATH)) {
            return Ok(Some(Asks::Count { since: since.parse().context("the time asked for is no number")? }));
        }
        let length = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let length = std::str::from_utf8(length.context("the request has no length")?.value)?.parse::<usize>()?;
        let body = &bytes[body_at..];
        if body.len() < length {
            return Ok(None);
        }
        let spec = model(body).context("the request names no model")?.parse()?;
        Ok(Some(Asks::Answer { spec, usage: memmem::find(body, b"include_usage").is_some() }))
    }
}

/// The value of the body's `model`: found by search, since every client of the source writes it as a plain text.
fn model(body: &[u8]) -> Option<&str> {
    const NAME: &[u8] = b"\"model\"";
    let rest = std::str::from_utf8(&body[memmem::find(body, NAME)? + NAME.len()..]).ok()?;
    rest.split('"').nth(1)
}

#[cfg(test)]
mod tests;
