//! WebSocket conformance: the groups of the Autobahn test suite as tables, against the gateway.
//!
//! The suite expects a server that echoes. This one answers: a text or binary message that holds `{"type":"PING"}`, padded with blanks to
//! any length, by PONG, and any other by an error that leaves the session alive. Each vector is sent in one piece, frame by frame and in
//! small pieces: how the bytes are cut must not matter.

mod close;
mod fragments;
mod frames;
mod limits;
mod utf8;

use std::fmt;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tidegate_e2e::websocket::{CLOSE, CONTINUATION, PING, PONG, TEXT};
use tidegate_e2e::{Frame, Heard, WebSocket};

/// A message that is answered by [`Seen::Answer`].
const MESSAGE: &str = r#"{"type":"PING"}"#;
/// How bytes are cut in small pieces: octet by octet up to this many, then in pieces of a size that meets no boundary.
const OCTETS: usize = 600;
const PIECE: usize = 997;

/// What a client does, and what it has to see.
#[derive(Debug, Clone)]
struct Vector {
    name: String,
    steps: Vec<Step>,
}

#[derive(Debug, Clone)]
enum Step {
    /// These bytes, a frame each, go out.
    Send(Vec<Vec<u8>>),
    /// This comes next.
    Hear(Seen),
}

/// What the gateway says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    /// A pong with this payload.
    Pong(Vec<u8>),
    /// The answer to [`MESSAGE`].
    Answer,
    /// The message is none of the protocol's.
    Invalid,
    /// It is well: it answers a further message, and closes when asked to.
    Alive,
    /// A Close frame with one of these codes, or without one where there is none, and then nothing.
    Closed(Vec<u16>),
}

impl Vector {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), steps: Vec::new() }
    }

    fn send(self, frames: impl IntoIterator<Item = Frame>) -> Self {
        self.send_bytes(frames.into_iter().map(|frame| frame.bytes()))
    }

    fn send_bytes(mut self, frames: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.steps.push(Step::Send(frames.into_iter().collect()));
        self
    }

    fn hear(mut self, seen: impl IntoIterator<Item = Seen>) -> Self {
        self.steps.extend(seen.into_iter().map(Step::Hear));
        self
    }

    /// After all that, the session goes on.
    fn lives(self) -> Self {
        self.hear([Seen::Alive])
    }

    /// After all that, the gateway closes with this code.
    fn closes(self, code: u16) -> Self {
        self.closes_with_one_of(&[code])
    }

    fn closes_with_one_of(self, codes: &[u16]) -> Self {
        self.hear([Seen::Closed(codes.to_vec())])
    }

    async fn play(&self, addr: SocketAddr, cut: Cut) -> Result<()> {
        let mut socket = WebSocket::open(addr, "/v1/sessions", &[]).await?;
        for step in &self.steps {
            match step {
                Step::Send(frames) => cut.send(&mut socket, frames).await?,
                Step::Hear(seen) => seen.hear(&mut socket).await.with_context(|| format!("waiting for {seen:?}"))?,
            }
        }
        Ok(())
    }
}

impl Seen {
    async fn hear(&self, socket: &mut WebSocket) -> Result<()> {
        match self {
            Self::Alive => {
                socket.send(&Frame::new(TEXT, MESSAGE).bytes()).await?;
                expect(socket, &Self::Answer).await?;
                socket.send(&Frame::close(1000, b"").bytes()).await?;
                expect(socket, &Self::Closed(vec![1000])).await?;
                let end = socket.next().await?;
                ensure!(end == Heard::End, "after the closing handshake: {end:?}");
            }
            Self::Closed(_) => {
                expect(socket, self).await?;
                let end = socket.next().await?;
                ensure!(matches!(end, Heard::End | Heard::Reset), "after the Close frame: {end:?}");
            }
            Self::Pong(_) | Self::Answer | Self::Invalid => expect(socket, self).await?,
        }
        Ok(())
    }
}

async fn expect(socket: &mut WebSocket, wanted: &Seen) -> Result<()> {
    let Heard::Frame(frame) = socket.next().await? else { bail!("the connection ended") };
    let is_wanted = match (wanted, frame.opcode) {
        (Seen::Closed(codes), CLOSE) => frame.code().map_or(codes.is_empty(), |code| codes.contains(&code)),
        (Seen::Pong(payload), PONG) => *payload == frame.payload,
        (Seen::Answer, TEXT) => said(&frame)? == ("PONG".to_owned(), None),
        (Seen::Invalid, TEXT) => said(&frame)? == ("ERROR".to_owned(), Some("invalid_message".to_owned())),
        _ => false,
    };
    ensure!(is_wanted, "the gateway said {frame:?}");
    Ok(())
}

/// A message's type, and its code if it has one.
fn said(frame: &Frame) -> Result<(String, Option<String>)> {
    let message: Value = serde_json::from_slice(&frame.payload).with_context(|| format!("not JSON: {frame:?}"))?;
    let text = |member: &str| message[member].as_str().map(str::to_owned);
    Ok((text("type").unwrap_or_default(), text("code")))
}

/// Into what pieces the bytes of a step are cut.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Whole,
    Frames,
    Pieces,
}

impl Cut {
    const ALL: [Self; 3] = [Self::Whole, Self::Frames, Self::Pieces];

    async fn send(self, socket: &mut WebSocket, frames: &[Vec<u8>]) -> Result<()> {
        let whole = frames.concat();
        let pieces: Vec<&[u8]> = match self {
            Self::Whole => vec![&whole],
            Self::Frames => frames.iter().map(Vec::as_slice).collect(),
            Self::Pieces => whole.chunks(if whole.len() <= OCTETS { 1 } else { PIECE }).collect(),
        };
        for piece in pieces {
            socket.send(piece).await?;
            // Gives the other side a chance to read the piece alone.
            tokio::task::yield_now().await;
        }
        Ok(())
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Whole => "in one piece",
            Self::Frames => "frame by frame",
            Self::Pieces => "in small pieces",
        })
    }
}

/// Plays each vector, in each cut, on a connection of its own, and lists all that went wrong.
async fn play(addr: SocketAddr, vectors: &[Vector]) -> Result<()> {
    let mut wrong = Vec::new();
    for vector in vectors {
        for cut in Cut::ALL {
            if let Err(error) = vector.play(addr, cut).await {
                wrong.push(format!("{}, {cut}: {error:#}", vector.name));
            }
        }
    }
    ensure!(wrong.is_empty(), "{} of {} went wrong:\n{}", wrong.len(), vectors.len() * Cut::ALL.len(), wrong.join("\n"));
    Ok(())
}

/// [`MESSAGE`] with blanks behind it, `length` bytes in all.
fn message_of(length: usize) -> Vec<u8> {
    let mut message = MESSAGE.as_bytes().to_vec();
    message.resize(length, b' ');
    message
}

fn text(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(TEXT, payload)
}

fn continuation(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(CONTINUATION, payload)
}

fn ping(payload: impl Into<Vec<u8>>) -> Frame {
    Frame::new(PING, payload)
}

fn pong(payload: impl Into<Vec<u8>>) -> Seen {
    Seen::Pong(payload.into())
}

/// A message in fragments of these payloads.
fn in_fragments<'a>(opcode: u8, payloads: impl IntoIterator<Item = &'a [u8]>) -> Vec<Frame> {
    let mut frames: Vec<Frame> = payloads.into_iter().map(|payload| continuation(payload).unfinished()).collect();
    if let Some(first) = frames.first_mut() {
        first.opcode = opcode;
    }
    if let Some(last) = frames.last_mut() {
        last.fin = true;
    }
    frames
}
