//! A WebSocket client without a WebSocket library: it can break every rule of RFC 6455, and notices when the gateway breaks one.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::chat::request;
use crate::raw::Answer;
use crate::wait::in_time;

/// The key of the RFC's example, and the answer to it (section 1.3).
const KEY: (&str, &str) = ("dGhlIHNhbXBsZSBub25jZQ==", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// The masking key of the RFC's example (section 5.7).
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A text frame's opcode.
pub const TEXT: u8 = 1;
/// A binary frame's opcode.
pub const BINARY: u8 = 2;
/// The opcode of a frame that goes on with a message.
pub const CONTINUATION: u8 = 0;
/// A Close frame's opcode.
pub const CLOSE: u8 = 8;
/// A ping's opcode.
pub const PING: u8 = 9;
/// A pong's opcode.
pub const PONG: u8 = 10;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// It is its message's last.
    pub fin: bool,
    /// The three reserved bits, 0 to 7.
    pub rsv: u8,
    /// What it is, 0 to 15.
    pub opcode: u8,
    /// It is masked, as a client's has to be.
    pub masked: bool,
    /// What it carries, without the mask.
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message, or a control frame, as a client sends it.
    #[must_use]
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { fin: true, rsv: 0, opcode, masked: true, payload: payload.into() }
    }

    /// A Close frame.
    #[must_use]
    pub fn close(code: u16, reason: &[u8]) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason].concat())
    }

    /// The same frame with more of its message to come.
    #[must_use]
    pub fn unfinished(self) -> Self {
        Self { fin: false, ..self }
    }

    /// The same frame with these reserved bits.
    #[must_use]
    pub fn reserved(self, rsv: u8) -> Self {
        Self { rsv, ..self }
    }

    /// The same frame without a mask.
    #[must_use]
    pub fn unmasked(self) -> Self {
        Self { masked: false, ..self }
    }

    /// Its code, if it is a Close frame that has one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        let code = self.payload.first_chunk().filter(|_| self.opcode == CLOSE)?;
        Some(u16::from_be_bytes(*code))
    }

    /// As it goes over the wire, its length in the shortest form.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.announcement(self.payload.len() as u64);
        if self.masked {
            bytes.extend(self.payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        } else {
            bytes.extend_from_slice(&self.payload);
        }
        bytes
    }

    /// Its head alone, announcing `length` bytes of payload.
    #[must_use]
    pub fn announcement(&self, length: u64) -> Vec<u8> {
        let masked = u8::from(self.masked) << 7;
        let mut bytes = vec![u8::from(self.fin) << 7 | self.rsv << 4 | self.opcode];
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..=125), _) => bytes.push(masked | short),
            (_, Ok(middle)) => {
                bytes.push(masked | 126);
                bytes.extend(middle.to_be_bytes());
            }
            _ => {
                bytes.push(masked | 127);
                bytes.extend(length.to_be_bytes());
            }
        }
        if self.masked {
            bytes.extend(MASK);
        }
        bytes
    }

    /// Takes the first frame off `raw`; `None` while it is not all there.
    fn take(raw: &mut Vec<u8>) -> Result<Option<Self>> {
        let [first, second, ..] = raw[..] else { return Ok(None) };
        let (length, head) = match second & 0x7f {
            126 => match raw.get(2..4) {
                Some(bytes) => (u64::from(u16::from_be_bytes(bytes.try_into()?)), 4),
                None => return Ok(None),
            },
            127 => match raw.get(2..10) {
                Some(bytes) => (u64::from_be_bytes(bytes.try_into()?), 10),
                None => return Ok(None),
            },
            short => (u64::from(short), 2),
        };
        let end = head + usize::try_from(length)?;
        let Some(payload) = raw.get(head..end).map(<[u8]>::to_vec) else { return Ok(None) };
        let frame = Self { fin: first >> 7 == 1, rsv: first >> 4 & 7, opcode: first & 15, masked: second >> 7 == 1, payload };
        ensure!(frame.announcement(length) == raw[..head], "a length that is not in its shortest form");
        raw.drain(..end);
        Ok(Some(frame))
    }
}

/// What comes next on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A frame.
    Frame(Frame),
    /// The orderly end of the connection.
    End,
    /// The connection was reset.
    Reset,
}

/// A connection that has become a WebSocket.
#[derive(Debug)]
pub struct WebSocket {
    /// Subprotocol that the gateway chose.
    pub subprotocol: Option<String>,
    socket: TcpStream,
    raw: Vec<u8>,
}

impl WebSocket {
    /// Opens a session at `path`, with these headers beside those of every handshake.
    ///
    /// # Errors
    ///
    /// The handshake is refused, or its answer is not what the RFC asks for.
    pub async fn open(addr: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Result<Self> {
        Self::on(Answer::to(addr, &handshake(path, headers)).await?)
    }

    /// Goes on from the answer to a [`handshake`].
    ///
    /// # Errors
    ///
    /// The handshake was refused, or its answer is not what the RFC asks for.
    pub fn on(answer: Answer) -> Result<Self> {
        ensure!(answer.status == 101, "the handshake was refused: {} {:?}", answer.status, answer.headers);
        let is = |name: &str, value: &str| answer.header(name).is_some_and(|given| given.eq_ignore_ascii_case(value));
        ensure!(is("upgrade", "websocket") && is("connection", "upgrade"), "no upgrade: {:?}", answer.headers);
        ensure!(answer.header("sec-websocket-accept") == Some(KEY.1), "another key's answer: {:?}", answer.headers);
        let surplus = ["sec-websocket-extensions", "content-length", "transfer-encoding"];
        ensure!(surplus.iter().all(|name| answer.header(name).is_none()), "nobody asked for it: {:?}", answer.headers);
        let subprotocol = answer.header("sec-websocket-protocol").map(str::to_owned);
        let (socket, raw) = answer.into_socket();
        Ok(Self { subprotocol, socket, raw })
    }

    /// Sends these bytes. One that the gateway does not take any more is not an error: what it says is what counts.
    ///
    /// # Errors
    ///
    /// It neither takes them in time nor closes.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        drop(in_time("the gateway to read", self.socket.write_all(bytes)).await?);
        Ok(())
    }

    /// Sends a message of a session.
    ///
    /// # Errors
    ///
    /// As for [`Self::send`].
    pub async fn say(&mut self, message: &Value) -> Result<()> {
        self.send(&Frame::new(TEXT, message.to_string()).bytes()).await
    }

    /// Waits for the next message of the session, and answers pings until then, as every library does.
    ///
    /// # Errors
    ///
    /// None came in time, or something else did.
    pub async fn message(&mut self) -> Result<Value> {
        loop {
            match self.next().await? {
                Heard::Frame(frame) if frame.opcode == TEXT => return Ok(serde_json::from_slice(&frame.payload)?),
                Heard::Frame(frame) if frame.opcode == PING => self.send(&Frame::new(PONG, frame.payload).bytes()).await?,
                other => bail!("instead of a message: {other:?}"),
            }
        }
    }

    /// Waits for the next message of this type, and returns it with all those before it.
    ///
    /// # Errors
    ///
    /// As for [`Self::message`].
    pub async fn until(&mut self, kind: &str) -> Result<Vec<Value>> {
        let mut messages = Vec::new();
        loop {
            messages.push(self.message().await?);
            if messages.last().is_some_and(|last| last["type"] == kind) {
                return Ok(messages);
            }
        }
    }

    /// Waits for what comes next.
    ///
    /// # Errors
    ///
    /// Nothing came in time, or a frame that a server may not send.
    pub async fn next(&mut self) -> Result<Heard> {
        loop {
            if let Some(frame) = Frame::take(&mut self.raw).context("the gateway broke the protocol")? {
                let is_legal = frame.fin && frame.rsv == 0 && !frame.masked && (frame.opcode < CLOSE || frame.payload.len() <= 125);
                ensure!(is_legal, "the gateway broke the protocol: {frame:?}");
                return Ok(Heard::Frame(frame));
            }
            match in_time("a frame", self.socket.read_buf(&mut self.raw)).await? {
                Ok(0) if self.raw.is_empty() => return Ok(Heard::End),
                Ok(0) => anyhow::bail!("the connection ended within a frame"),
                Ok(_) => {}
                Err(_) => return Ok(Heard::Reset),
            }
        }
    }
}

/// The request that opens a session: RFC 6455's example, with these headers beside.
#[must_use]
pub fn handshake(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let usual = [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-key", KEY.0), ("sec-websocket-version", "13")];
    let headers: Vec<(String, String)> =
        usual.iter().chain(headers).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    request("GET", path, &headers, b"")
}
