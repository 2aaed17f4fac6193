//! Groups 1 to 4: lengths, pings and pongs, reserved bits, opcodes. And what the suite takes for granted: masks, and frames that come
//! together with the handshake.

use anyhow::Result;
use tidegate_e2e::raw::Answer;
use tidegate_e2e::websocket::{BINARY, CLOSE, PING, PONG, TEXT, handshake};
use tidegate_e2e::{Frame, WebSocket, World};

use super::{MESSAGE, Seen, Vector, continuation, message_of, ping, play, pong, text};

/// Where the form of a length changes, and its neighbours.
const LENGTHS: &[usize] = &[15, 125, 126, 127, 128, 65535, 65536, 65537];

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_every_form_of_length_are_answered() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let mut vectors = Vec::new();
    for (kind, opcode) in [("text", TEXT), ("binary", BINARY)] {
        vectors.push(Vector::new(format!("1 {kind} of 0 bytes")).send([Frame::new(opcode, "")]).hear([Seen::Invalid]).lives());
        for &length in LENGTHS {
            let frame = Frame::new(opcode, message_of(length));
            vectors.push(Vector::new(format!("1 {kind} of {length} bytes")).send([frame]).hear([Seen::Answer]).lives());
        }
    }
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_ping_gets_its_pong_and_a_pong_gets_nothing() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let longest = vec![0xfe; 125];
    let binary = b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff";
    let ten = || (0..10).map(|n| format!("payload {n}"));
    let unasked = Frame::new(PONG, "nobody asked");
    let vectors = [
        Vector::new("2.1 without payload").send([ping("")]).hear([pong("")]).lives(),
        Vector::new("2.2 text").send([ping("Hello, world!")]).hear([pong("Hello, world!")]).lives(),
        Vector::new("2.3 no text").send([ping(binary)]).hear([pong(binary)]).lives(),
        Vector::new("2.4 125 bytes").send([ping(longest.clone())]).hear([pong(longest)]).lives(),
        Vector::new("2.5 126 bytes").send([ping(vec![0xfe; 126])]).closes(1002),
        Vector::new("2.7 a pong without payload").send([Frame::new(PONG, "")]).lives(),
        Vector::new("2.8 a pong with payload").send([unasked.clone()]).lives(),
        Vector::new("2.9 a pong, then a ping").send([unasked, ping("and now")]).hear([pong("and now")]).lives(),
        Vector::new("2.10 ten pings").send(ten().map(ping)).hear(ten().map(pong)).lives(),
        Vector::new("2 a pong of 126 bytes").send([Frame::new(PONG, vec![0; 126])]).closes(1002),
    ];
    play(world.gateway.addr(), &vectors).await
}

/// What fails the connection, after a message that is answered and before a ping that is not.
fn poison(name: String, frame: Frame) -> Vector {
    Vector::new(name).send([text(MESSAGE), frame, ping("too late")]).hear([Seen::Answer]).closes(1002)
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_bits_fail_the_connection() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let kinds = [("text", TEXT), ("binary", BINARY), ("close", CLOSE), ("ping", PING), ("pong", PONG)];
    let vectors: Vec<Vector> = (1..=7)
        .flat_map(|bits| kinds.map(|(kind, opcode)| (bits, kind, Frame::new(opcode, if opcode == CLOSE { "" } else { MESSAGE }))))
        .map(|(bits, kind, frame)| poison(format!("3 {kind} with the bits {bits:03b}"), frame.reserved(bits)))
        .collect();
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_opcodes_fail_the_connection() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let mut vectors = Vec::new();
    for opcode in (3..=7).chain(11..=15) {
        vectors.push(Vector::new(format!("4 opcode {opcode} at once")).send([Frame::new(opcode, "")]).closes(1002));
        vectors.push(poison(format!("4 opcode {opcode} without payload"), Frame::new(opcode, "")));
        vectors.push(poison(format!("4 opcode {opcode} with payload"), Frame::new(opcode, MESSAGE)));
        vectors.push(poison(format!("4 opcode {opcode}, unfinished"), Frame::new(opcode, MESSAGE).unfinished()));
    }
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_without_a_mask_fail_the_connection() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let vectors = [
        poison("unmasked text".to_owned(), text(MESSAGE).unmasked()),
        poison("unmasked binary".to_owned(), Frame::new(BINARY, MESSAGE).unmasked()),
        poison("unmasked ping".to_owned(), ping("").unmasked()),
        poison("unmasked close".to_owned(), Frame::close(1000, b"").unmasked()),
        Vector::new("unmasked continuation").send([text("{").unfinished(), continuation("}").unmasked()]).closes(1002),
    ];
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_come_together_with_the_handshake_are_not_lost() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    for frames in [vec![text(MESSAGE)], vec![ping("early"), text(message_of(5000))]] {
        let mut bytes = handshake("/v1/sessions", &[]);
        frames.iter().for_each(|frame| bytes.extend(frame.bytes()));
        let mut socket = WebSocket::on(Answer::to(world.gateway.addr(), &bytes).await?)?;
        if frames.len() > 1 {
            pong("early").hear(&mut socket).await?;
        }
        Seen::Answer.hear(&mut socket).await?;
        Seen::Alive.hear(&mut socket).await?;
    }
    Ok(())
}
