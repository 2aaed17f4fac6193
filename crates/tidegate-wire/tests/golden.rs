//! What the gateway makes of providers' answers as they come over the wire.
//!
//! Each `tests/golden/openai_chat/**/*.in` is a body; the `.snap` beside it says what was read from it. `UPDATE_EXPECT=1` writes them anew.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use expect_test::expect_file;
use tidegate_core::event::{EventFacts, Usage};
use tidegate_wire::openai_chat::{Assembler, ChatReader, read_error, read_whole};
use tidegate_wire::sse::{RawEvent, Scanner};

#[test]
fn streams_are_read_as_their_pages_say() {
    for (path, body) in cases("stream") {
        let choices = if path.to_string_lossy().ends_with("n2.in") { 2 } else { 1 };
        let read = read_stream(&body, body.len().max(1), choices);
        assert_eq!(read, read_stream(&body, 7, choices), "{}: its pieces matter", path.display());
        expect_file![path.with_extension("snap")].assert_eq(&read);
    }
}

#[test]
fn whole_answers_are_read_as_their_pages_say() {
    for (path, body) in cases("whole") {
        expect_file![path.with_extension("snap")].assert_eq(&format!("{}\n", describe(&read_whole(&body))));
    }
}

#[test]
fn refusals_are_read_as_their_pages_say() {
    for (path, body) in cases("refusal") {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        let status = name.split('-').next().and_then(|status| status.parse().ok()).expect("it begins with the status");
        expect_file![path.with_extension("snap")].assert_eq(&format!("{:#?}\n", read_error(status, &body)));
    }
}

fn cases(folder: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/openai_chat").join(folder);
    let entries = fs::read_dir(folder).expect("the folder is there").flatten().map(|entry| entry.path());
    let mut cases: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "in")).collect();
    cases.sort();
    cases.into_iter().map(|path| (path.clone(), fs::read(path).expect("it can be read"))).collect()
}

/// One line an event, whether the end is proved, and the whole answer that the events make.
fn read_stream(body: &[u8], piece: usize, choices: u32) -> String {
    let (mut scanner, mut reader, mut assembler) = (Scanner::new(1 << 20), ChatReader::new(choices, false), Assembler::new());
    let mut page = String::new();
    let mut read = |event: &RawEvent| {
        assembler.add(event);
        writeln!(page, "{}", describe(&reader.read(event))).expect("memory takes it");
    };
    for piece in body.chunks(piece) {
        scanner.push(Bytes::copy_from_slice(piece));
        while let Some(event) = scanner.next().expect("no event is too long") {
            read(&event);
        }
    }
    if let Some(event) = scanner.finish() {
        read(&event);
    }
    let proof = if reader.end_is_proved() { "proved" } else { "not proved" };
    writeln!(page, "end: {proof}\n{}", String::from_utf8_lossy(&assembler.finish())).expect("memory takes it");
    page
}

/// The facts in one line, without what they do not say.
fn describe(facts: &EventFacts) -> String {
    let mut line = format!("{:?}", facts.kind).to_lowercase();
    for (is, word) in [
        (facts.has_output, "output"),
        (facts.proves_end, "proves-end"),
        (facts.is_last, "last"),
        (facts.for_gateway_only, "for-gateway-only"),
    ] {
        if is && word != line {
            line = format!("{line} {word}");
        }
    }
    let number = |number: Option<u64>| number.map_or("?".to_owned(), |number| number.to_string());
    if let Some(Usage { input_tokens, output_tokens, cached_input_tokens, reasoning_tokens, .. }) = facts.usage {
        let [input, output, cached, reasoning] = [input_tokens, output_tokens, cached_input_tokens, reasoning_tokens].map(number);
        line = format!("{line} in={input} out={output} cached={cached} reasoning={reasoning}");
    }
    if let Some(failure) = facts.failure {
        line = format!("{line} {failure}({})", failure.facts().status.unwrap_or_default());
    }
    line
}
