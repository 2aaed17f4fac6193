//! Group 5: messages in fragments, what may come between them, and what may not.

use anyhow::Result;
use tidegate_e2e::websocket::{BINARY, CLOSE, PING, PONG, TEXT};
use tidegate_e2e::{Frame, World};

use super::{MESSAGE, Seen, Vector, continuation, in_fragments, ping, play, pong, text};

/// [`MESSAGE`] in this many fragments.
fn parts(count: usize) -> Vec<Frame> {
    in_fragments(TEXT, MESSAGE.as_bytes().chunks(MESSAGE.len().div_ceil(count)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_fragments_is_one_message_whatever_control_frames_come_between() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let [first, second] = <[Frame; 2]>::try_from(parts(2)).expect("two");
    let [a, b, c, d, e] = <[Frame; 5]>::try_from(parts(5)).expect("five");
    let octets = MESSAGE.as_bytes().chunks(1);
    let between: Vec<Frame> =
        octets.clone().zip(in_fragments(TEXT, octets.clone())).flat_map(|(byte, frame)| [ping(byte), frame]).collect();
    let vectors = [
        Vector::new("5.3 two fragments").send([first.clone(), second.clone()]).hear([Seen::Answer]).lives(),
        Vector::new("5.6 a ping between them")
            .send([first.clone(), ping("between"), second.clone()])
            .hear([pong("between"), Seen::Answer])
            .lives(),
        Vector::new("5 a pong between them").send([first, Frame::new(PONG, ""), second]).hear([Seen::Answer]).lives(),
        Vector::new("5.19 each ping is answered before the message is whole")
            .send([a, b, ping("one")])
            .hear([pong("one")])
            .send([c, d, ping("two")])
            .hear([pong("two")])
            .send([e])
            .hear([Seen::Answer])
            .lives(),
        Vector::new("5 fragments of one octet").send(in_fragments(TEXT, octets.clone())).hear([Seen::Answer]).lives(),
        Vector::new("5 a ping between any two of them").send(between).hear(octets.clone().map(pong)).hear([Seen::Answer]).lives(),
        Vector::new("5 binary").send(in_fragments(BINARY, octets)).hear([Seen::Answer]).lives(),
        Vector::new("5 empty fragments around it")
            .send(in_fragments(TEXT, [b"", MESSAGE.as_bytes(), b"", b""]))
            .hear([Seen::Answer])
            .lives(),
        Vector::new("5 nothing in fragments").send(in_fragments(TEXT, [&b""[..]; 3])).hear([Seen::Invalid]).lives(),
        Vector::new("5 two messages in turn").send([parts(2), parts(3)].concat()).hear([Seen::Answer, Seen::Answer]).lives(),
    ];
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn control_frames_in_fragments_fail_the_connection() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let half = |opcode: u8| [Frame::new(opcode, "").unfinished(), continuation("")];
    let vectors = [
        Vector::new("5.1 ping").send(half(PING)).closes(1002),
        Vector::new("5.2 pong").send(half(PONG)).closes(1002),
        Vector::new("5 close").send(half(CLOSE)).closes(1002),
        Vector::new("5 ping within a message").send([text("{").unfinished(), ping("").unfinished()]).closes(1002),
    ];
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_out_of_order_fail_the_connection() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let stray = || continuation("nothing to go on with");
    let [first, second] = <[Frame; 2]>::try_from(parts(2)).expect("two");
    let vectors = [
        Vector::new("5.9 a last fragment without a first").send([stray(), text(MESSAGE)]).closes(1002),
        Vector::new("5.12 a fragment without a first").send([stray().unfinished(), text(MESSAGE)]).closes(1002),
        Vector::new("5.15 a fragment behind the last")
            .send([first.clone(), second.clone(), stray().unfinished(), text(MESSAGE)])
            .hear([Seen::Answer])
            .closes(1002),
        Vector::new("5.16 a fragment before the first").send([stray().unfinished(), first.clone(), second.clone()]).closes(1002),
        Vector::new("5.17 a last fragment before the first").send([stray(), first.clone(), second]).closes(1002),
        Vector::new("5.18 text within a message").send([first.clone(), text(MESSAGE)]).closes(1002),
        Vector::new("5 binary within a message").send([first.clone(), Frame::new(BINARY, MESSAGE)]).closes(1002),
        Vector::new("5 another message's first fragment").send([first, text(MESSAGE).unfinished()]).closes(1002),
    ];
    play(world.gateway.addr(), &vectors).await
}
