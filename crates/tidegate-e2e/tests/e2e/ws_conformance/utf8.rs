//! Group 6: what is UTF-8 and what is not, whole, in fragments, and at once. The sequences are those of Markus Kuhn's stress test for
//! decoders, and of RFC 3629.

use anyhow::Result;
use tidegate_e2e::websocket::{BINARY, TEXT};
use tidegate_e2e::{Frame, World};

use super::{MESSAGE, Seen, Vector, continuation, in_fragments, play, text};

/// The Greek word kosme, whose second letter has three octets.
const KOSME: &[u8] = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
/// Where a letter of it ends.
const KOSME_ENDS: &[usize] = &[2, 5, 7, 9, 11];

/// Sequences that are UTF-8, by group.
const VALID: &[(&str, &[&[u8]])] = &[
    ("6.2 text of many scripts", &["Hello-µ@ßöäüàá-UTF-8!!".as_bytes(), KOSME]),
    ("6.5 lengths", &[b"hello$world", b"hello\xc2\xa2world", b"hello\xe2\x82\xacworld", b"hello\xf0\xa4\xad\xa2world"]),
    ("6.7 the first of each length", &[b"\x00", b"\xc2\x80", b"\xe0\xa0\x80", b"\xf0\x90\x80\x80"]),
    ("6.9 the last of each length", &[b"\x7f", b"\xdf\xbf", b"\xef\xbf\xbf", b"\xf4\x8f\xbf\xbf"]),
    ("6.11 beside what is none", &[b"\xed\x9f\xbf", b"\xee\x80\x80", b"\xef\xbf\xbd", b"\xf4\x8f\xbf\xbf"]),
    ("6.22 code points that are no characters", &[b"\xef\xbf\xbe", b"\xef\xbf\xbf", b"\xf0\x9f\xbf\xbe", b"\xf3\xbf\xbf\xbf"]),
    ("6.23 specials", &[b"\xef\xbf\xb9", b"\xef\xbf\xba", b"\xef\xbf\xbb", b"\xef\xbf\xbc", b"\xef\xbf\xbd"]),
];

/// Sequences that are not, by group.
const INVALID: &[(&str, &[&[u8]])] = &[
    ("6.3 a surrogate within a text", &[b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"]),
    ("6.8 the first of five and six octets", &[b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80"]),
    ("6.10 the last of four, five and six octets", &[b"\xf7\xbf\xbf\xbf", b"\xfb\xbf\xbf\xbf\xbf", b"\xfd\xbf\xbf\xbf\xbf\xbf"]),
    ("6.11 beyond the last code point", &[b"\xf4\x90\x80\x80"]),
    (
        "6.12 continuations of nothing",
        &[b"\x80", b"\xbf", b"\x80\xbf", b"\x80\xbf\x80", b"\x80\xbf\x80\xbf", b"\x80\xbf\x80\xbf\x80", b"\x80\xbf\x80\xbf\x80\xbf"],
    ),
    ("6.13 first octets alone", &[b"\xc2 ", b"\xdf ", b"\xe0 ", b"\xef ", b"\xf0 ", b"\xf4 ", b"\xf8 ", b"\xfc "]),
    (
        "6.14 without the last octet",
        &[
            b"\xc0",
            b"\xe0\x80",
            b"\xf0\x80\x80",
            b"\xf8\x80\x80\x80",
            b"\xfc\x80\x80\x80\x80",
            b"\xdf",
            b"\xef\xbf",
            b"\xf7\xbf\xbf",
            b"\xfb\xbf\xbf\xbf",
            b"\xfd\xbf\xbf\xbf\xbf",
        ],
    ),
    ("6.15 several without the last octet", &[b"\xc0\xe0\x80\xf0\x80\x80\xf8\x80\x80\x80\xdf\xef\xbf\xf7\xbf\xbf\xfb\xbf\xbf\xbf"]),
    ("6.16 octets that never occur", &[b"\xfe", b"\xff", b"\xfe\xfe\xff\xff"]),
    (
        "6.17 a slash in too many octets",
        &[b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xf8\x80\x80\x80\xaf", b"\xfc\x80\x80\x80\x80\xaf"],
    ),
    (
        "6.18 the last in one octet too many",
        &[b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xf0\x8f\xbf\xbf", b"\xf8\x87\xbf\xbf\xbf", b"\xfc\x83\xbf\xbf\xbf\xbf"],
    ),
    (
        "6.19 NUL in too many octets",
        &[b"\xc0\x80", b"\xe0\x80\x80", b"\xf0\x80\x80\x80", b"\xf8\x80\x80\x80\x80", b"\xfc\x80\x80\x80\x80\x80"],
    ),
    (
        "6.20 single surrogates",
        &[b"\xed\xa0\x80", b"\xed\xad\xbf", b"\xed\xae\x80", b"\xed\xaf\xbf", b"\xed\xb0\x80", b"\xed\xbe\x80", b"\xed\xbf\xbf"],
    ),
    (
        "6.21 pairs of surrogates",
        &[
            b"\xed\xa0\x80\xed\xb0\x80",
            b"\xed\xa0\x80\xed\xbf\xbf",
            b"\xed\xad\xbf\xed\xb0\x80",
            b"\xed\xad\xbf\xed\xbf\xbf",
            b"\xed\xae\x80\xed\xb0\x80",
            b"\xed\xae\x80\xed\xbf\xbf",
            b"\xed\xaf\xbf\xed\xb0\x80",
            b"\xed\xaf\xbf\xed\xbf\xbf",
        ],
    ),
];

/// The sequences of a table, each with its group's name and itself in hexadecimal digits.
fn each(table: &'static [(&str, &[&[u8]])]) -> impl Iterator<Item = (String, &'static [u8])> {
    let named = |group: &str, sequence: &[u8]| format!("{group}: {sequence:02x?}");
    table.iter().flat_map(move |(group, sequences)| sequences.iter().map(move |sequence| (named(group, sequence), *sequence)))
}

/// [`MESSAGE`] with a further member whose value is this sequence.
fn said_in_a_message(sequence: &[u8]) -> Vec<u8> {
    [&MESSAGE.as_bytes()[..MESSAGE.len() - 1], b",\"x\":\"", sequence, b"\"}"].concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_utf_8_is_read() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let mut vectors = Vec::new();
    let prefixes = KOSME_ENDS.iter().map(|&end| (format!("6.6 the first {end} octets of a word"), &KOSME[..end]));
    for (name, sequence) in each(VALID).chain(prefixes) {
        // Alone it is no JSON, which is an error of another kind. NUL may not even stand within JSON.
        let alone = [text(sequence)].into_iter().chain(in_fragments(TEXT, sequence.chunks(1)));
        vectors.push(Vector::new(name.clone()).send(alone).hear([Seen::Invalid, Seen::Invalid]).lives());
        if sequence != b"\x00" {
            let message = said_in_a_message(sequence);
            let twice = [text(message.clone())].into_iter().chain(in_fragments(TEXT, message.chunks(1)));
            vectors.push(Vector::new(format!("{name}, within JSON")).send(twice).hear([Seen::Answer, Seen::Answer]).lives());
        }
    }
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_utf_8_fails_the_connection() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let mut vectors = Vec::new();
    let broken = (1..KOSME.len()).filter(|end| !KOSME_ENDS.contains(end));
    let prefixes = broken.map(|end| (format!("6.6 the first {end} octets of a word"), &KOSME[..end]));
    for (name, sequence) in each(INVALID).chain(prefixes) {
        let message = said_in_a_message(sequence);
        vectors.push(Vector::new(name.clone()).send([text(sequence)]).closes(1007));
        vectors.push(Vector::new(format!("{name}, in fragments")).send(in_fragments(TEXT, sequence.chunks(1))).closes(1007));
        vectors.push(Vector::new(format!("{name}, within JSON")).send([text(message.clone())]).closes(1007));
        vectors.push(Vector::new(format!("{name}, both")).send(in_fragments(TEXT, message.chunks(1))).closes(1007));
    }
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fragment_that_cannot_become_utf_8_fails_the_connection_before_the_message_is_whole() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let spoilt = [KOSME, b"\xf4\x90\x80\x80", b"edited"].concat();
    // The octet that spoils it is the 13th.
    let vectors = [
        Vector::new("6.4.1 a spoilt fragment")
            .send([text(KOSME).unfinished()])
            .send([continuation(b"\xf4\x90\x80\x80").unfinished()])
            .closes(1007),
        Vector::new("6.4.2 up to the octet that spoils it")
            .send([text(&spoilt[..12]).unfinished()])
            .send([continuation(&spoilt[12..13]).unfinished()])
            .closes(1007),
        // Within one frame it is noticed once the frame is whole, which the suite calls less strict and the RFC allows.
        Vector::new("6.4.3 within one frame").send([text(spoilt)]).closes(1007),
        Vector::new("6.4 the message ends within a letter").send(in_fragments(TEXT, [KOSME, b"\xce"])).closes(1007),
    ];
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn binary_messages_need_not_be_utf_8_and_are_then_none_of_the_protocols() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let vectors: Vec<Vector> = each(INVALID)
        .map(|(name, sequence)| Vector::new(name).send([Frame::new(BINARY, sequence)]).hear([Seen::Invalid]).lives())
        .collect();
    play(world.gateway.addr(), &vectors).await
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_text_is_a_message_and_none_of_the_protocols() -> Result<()> {
    let world = World::start("m: 'hello' end").await?;
    let vectors = [
        Vector::new("6.1.1 no octets").send([text("")]).hear([Seen::Invalid]).lives(),
        Vector::new("6.1.2 no octets in three fragments").send(in_fragments(TEXT, [&b""[..]; 3])).hear([Seen::Invalid]).lives(),
        Vector::new("6.1.3 octets in the second of three")
            .send(in_fragments(TEXT, [b"", MESSAGE.as_bytes(), b""]))
            .hear([Seen::Answer])
            .lives(),
    ];
    play(world.gateway.addr(), &vectors).await
}
