//! Group 7: how a connection is closed, with what codes and reasons, and what counts behind a Close frame.

use anyhow::Result;
use tidegate_e2e::websocket::{CLOSE, PING};
use tidegate_e2e::{Frame, World};

use super::{MESSAGE, Seen, Vector, continuation, message_of, ping, play, text};

fn close(code: u16) -> Frame {
    Frame::close(code, b"")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_before_a_close_frame_is_answered_and_what_comes_behind_it_is_not() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let vectors = [
        Vector::new("7.1.1 a message before").send([text(MESSAGE), close(1000)]).hear([Seen::Answer]).closes(1000),
        Vector::new("7.1.2 a second one").send([close(1000), close(1001)]).closes(1000),
        Vector::new("7.1.3 a ping behind").send([close(1000), ping("")]).closes(1000),
        Vector::new("7.1.4 a message behind").send([close(1000), text(MESSAGE)]).closes(1000),
        Vector::new("7.1.5 within a message").send([text("{").unfinished(), close(1000), continuation("}")]).closes(1000),
        Vector::new("7.1.6 large messages before, a ping behind")
            .send([text(message_of(262_144)), text(MESSAGE), close(1000), ping("")])
            .hear([Seen::Answer, Seen::Answer])
            .closes(1000),
        Vector::new("7 what is no frame behind").send([close(1000), Frame::new(3, "").reserved(7)]).closes(1000),
    ];
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_close_frame_has_no_payload_or_a_code_and_a_reason() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let reason = |length: usize| Frame::close(1000, &vec![b'*'; length]);
    let vectors = [
        Vector::new("7.3.1 no payload").send([Frame::new(CLOSE, "")]).closes_with_one_of(&[]),
        Vector::new("7.3.2 half a code").send([Frame::new(CLOSE, "\x03")]).closes(1002),
        Vector::new("7.3.3 a code").send([close(1000)]).closes(1000),
        Vector::new("7.3.4 a code and a reason").send([Frame::close(1000, b"Hello, world!")]).closes(1000),
        Vector::new("7.3.5 the longest reason").send([reason(123)]).closes(1000),
        Vector::new("7.3.6 a reason that is too long").send([reason(124)]).closes(1002),
        Vector::new("7.5.1 a reason that is not UTF-8").send([Frame::close(1000, b"\xce\xba\xed\xa0\x80edited")]).closes(1007),
        Vector::new("7.5 a reason that ends within a letter").send([Frame::close(1000, b"\xce\xba\xe1\xbd")]).closes(1007),
    ];
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_may_be_sent_are_confirmed_and_others_fail_the_connection() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let named = |code: u16| Vector::new(format!("7 the code {code}")).send([close(code)]);
    let valid = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 3999, 4000, 4999];
    let invalid = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999];
    let mut vectors: Vec<Vector> = valid.map(|code| named(code).closes_with_one_of(&[code, 1000])).to_vec();
    vectors.extend(invalid.map(|code| named(code).closes(1002)));
    // Given away after the RFC, or outside of all its ranges: it does not say what becomes of them.
    vectors.extend([1014, 5000, 65535].map(|code| named(code).closes_with_one_of(&[code, 1000, 1002])));
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_fault_nothing_is_answered_any_more() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let behind = [text(MESSAGE), Frame::new(PING, "late"), close(1000)];
    let vectors = [
        Vector::new("7 behind a protocol fault").send([vec![continuation("")], behind.to_vec()].concat()).closes(1002),
        Vector::new("7 behind what is not UTF-8").send([vec![text(b"\xff")], behind.to_vec()].concat()).closes(1007),
        Vector::new("7 much behind a fault").send([continuation(""), text(message_of(900_000))]).closes(1002),
    ];
    play(world.gateway.addr(), &vectors).await
}
