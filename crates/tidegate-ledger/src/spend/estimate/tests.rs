use proptest::prelude::*;
use tidegate_core::event::{Usage, UsageSource};

use super::{Sample, estimate, tokens};

/// How much of an answer the gateway keeps.
const BOUND: usize = 4096;

/// Sentences of the kinds that answers are made of.
const SENTENCES: &[&str] = &[
    "The harbour lay quiet while the tide turned, and nobody on the quay said a word. ",
    "Der Zug nach Köln fährt heute leider nicht; nehmen Sie bitte den Bus am Südausgang. ",
    "潮汐の力は月と太陽の引力から生まれる。",
    "let total: u64 = rows.iter().map(|row| row.tokens).sum();\n    assert_eq!(total, 42);\n",
    "{\"city\": \"Lisbon\", \"temperature_c\": 21.5, \"wind\": null},\n",
    "| column | another column | 0.0042 |\n",
    "Привет! Как дела сегодня? ",
    "1. **Measure** twice, cut once \u{1F4D0}\n",
];

fn whole(text: &str) -> Sample<'_> {
    Sample { text, total_bytes: text.len() as u64 }
}

fn exact(text: &str) -> u64 {
    bpe_openai::o200k_base().count(text) as u64
}

#[test]
fn known_texts_have_their_known_tokens() {
    assert_eq!(
        estimate(Some(whole("tiktoken is great!")), Some(whole("hello world"))),
        Usage { input_tokens: Some(6), output_tokens: Some(2), source: UsageSource::Estimated, ..Usage::default() }
    );
}

#[test]
fn what_there_is_no_sample_of_is_unknown_and_not_zero() {
    assert_eq!(estimate(None, None), Usage::default());
    let half = estimate(Some(whole("hello")), None);
    assert_eq!((half.input_tokens, half.output_tokens, half.source), (Some(1), None, UsageSource::Estimated));
}

#[test]
fn odd_totals_do_no_harm() {
    assert_eq!(tokens(Sample { text: "hello", total_bytes: 0 }), 1);
    assert_eq!(tokens(Sample { text: "", total_bytes: 99 }), 0);
    assert_eq!(tokens(Sample { text: "hello", total_bytes: u64::MAX }), u64::MAX / 5);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_text_that_is_its_own_sample_is_counted_exactly(text in "\\PC{1,300}") {
        prop_assert_eq!(tokens(whole(&text)), exact(&text));
    }

    #[test]
    fn a_long_mixed_text_is_estimated_within_15_percent(sentences in proptest::collection::vec(proptest::sample::select(SENTENCES), 200..600)) {
        let text = sentences.concat();
        let sample = Sample { text: &text[..text.floor_char_boundary(BOUND)], total_bytes: text.len() as u64 };
        let (estimated, exact) = (tokens(sample), exact(&text));
        prop_assert!(estimated.abs_diff(exact) * 100 <= exact * 15, "{} instead of {}", estimated, exact);
    }
}
