//! Group 9, turned round: the suite sends ever larger messages; a gateway has a bound, takes messages up to it in any form and refuses the
//! byte behind it.

use anyhow::Result;
use tidegate_e2e::websocket::{BINARY, TEXT};
use tidegate_e2e::{Frame, World};

use super::{MESSAGE, Seen, Vector, continuation, in_fragments, message_of, play, text};

/// `sessions.max_message` of these tests, and of a gateway that says nothing else.
const SMALL: usize = 64 * 1024;
const USUAL: usize = 1024 * 1024;

async fn world() -> Result<World> {
    World::of("m: 'hello' end").more("[sessions]\nmax_message = \"64KiB\"\n").start().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_the_largest_size_passes_whole_and_in_fragments() -> Result<()> {
    let mut vectors = Vec::new();
    for (kind, opcode) in [("text", TEXT), ("binary", BINARY)] {
        let message = message_of(SMALL);
        vectors.push(Vector::new(format!("9.1 {kind}, whole")).send([Frame::new(opcode, message.clone())]).hear([Seen::Answer]).lives());
        for size in [64, 256, 1024, 4096, 16384, 65535] {
            let frames = in_fragments(opcode, message.chunks(size));
            vectors.push(Vector::new(format!("9.3 {kind}, in fragments of {size}")).send(frames).hear([Seen::Answer]).lives());
        }
    }
    play(world().await?.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_a_byte_too_large_closes_with_1009() -> Result<()> {
    let mut vectors = Vec::new();
    for (kind, opcode) in [("text", TEXT), ("binary", BINARY)] {
        let message = message_of(SMALL + 1);
        let answered = |name: String| Vector::new(name).send([text(MESSAGE)]).hear([Seen::Answer]);
        vectors.push(answered(format!("9 {kind}, whole")).send([Frame::new(opcode, message.clone())]).closes(1009));
        for size in [64, 1024, 16384, SMALL] {
            let frames = in_fragments(opcode, message.chunks(size));
            vectors.push(answered(format!("9 {kind}, in fragments of {size}")).send(frames).closes(1009));
        }
        let unfinished = [Frame::new(opcode, message_of(SMALL)).unfinished(), continuation(" ").unfinished()];
        vectors.push(answered(format!("9 {kind}, before it is whole")).send(unfinished).closes(1009));
    }
    play(world().await?.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_length_closes_with_1009_before_its_bytes_come() -> Result<()> {
    let mut vectors = Vec::new();
    for length in [SMALL as u64 + 1, 1 << 31, 1 << 32, u64::MAX >> 1] {
        let name = |what: &str| Vector::new(format!("9 {length} bytes announced{what}"));
        vectors.push(name("").send_bytes([text("").announcement(length)]).closes(1009));
        vectors.push(name(" in a fragment").send_bytes([text("").unfinished().announcement(length)]).closes(1009));
        vectors.push(name(" for later").send_bytes([text("{").unfinished().bytes(), continuation("").announcement(length)]).closes(1009));
    }
    // No length: its first bit has to be 0.
    vectors.push(Vector::new("9 no length announced").send_bytes([text("").announcement(u64::MAX)]).closes_with_one_of(&[1002, 1009]));
    play(world().await?.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_still_sends_a_message_that_is_too_large_reads_why_it_is_refused() -> Result<()> {
    let world = world().await?;
    let vectors =
        [64, 128, 512].map(|times| Vector::new(format!("9 {times} times too large")).send([text(message_of(times * SMALL))]).closes(1009));
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_megabyte_passes_where_nothing_else_is_set() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let vectors = [
        Vector::new("9 1 MiB").send([text(message_of(USUAL))]).hear([Seen::Answer]).lives(),
        Vector::new("9 1 MiB in fragments of 64").send(in_fragments(TEXT, message_of(USUAL).chunks(64))).hear([Seen::Answer]).lives(),
        Vector::new("9 a byte more").send([text(message_of(USUAL + 1))]).closes(1009),
    ];
    play(world.gateway.addr(), &vectors).await
}
