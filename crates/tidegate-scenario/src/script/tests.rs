use std::num::NonZeroU32;

use expect_test::{Expect, expect};

use super::*;

/// Parses `text` and compares its canonical form, or the error.
#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check(text: &str, expected: Expect) {
    let actual = text.parse::<Scenario>().map_or_else(|error| format!("error: {error}"), |scenario| scenario.to_string());
    expected.assert_eq(&actual);
}

fn beats(text: &str) -> Vec<String> {
    let script: Script = text.parse().expect("a script");
    script
        .walk()
        .map(|beat| match beat {
            Beat::Wait(time) => format!("{time:?}"),
            Beat::Word(n) => format!("word {n}"),
            Beat::Do(step) => step.to_string(),
            Beat::End(ending) => ending.to_string(),
        })
        .collect()
}

#[test]
fn waits_texts_and_endings_are_read_for_several_targets() {
    check("a: 1s 'hel' 20ms 'lo' end", expect!["a: 1s 'hel' 20ms 'lo' end"]);
    check("a: 1s 'hel' cut; b: 1s 'WRONG' end;", expect!["a: 1s 'hel' cut; b: 1s 'WRONG' end"]);
    check("gpt-4o.mini/x:stall", expect!["gpt-4o.mini/x: stall"]);
}

#[test]
fn alternatives_serve_one_request_each_and_the_last_one_repeats() {
    check("a: refuse|status 503 | 'ok' end", expect!["a: refuse | status 503 | 'ok' end"]);
    let scenario: Scenario = "a: refuse | 'ok' end".parse().expect("a scenario");
    let endings: Vec<_> = (0..4).filter_map(|nth| scenario.script("a", nth)).map(|script| &script.ending).collect();
    assert_eq!(endings, [&Ending::Refuse, &Ending::End, &Ending::End, &Ending::End]);
    assert_eq!(scenario.script("b", 0), None);
}

#[test]
fn a_script_without_an_ending_ends_without_a_proof() {
    check("a: 'hel'", expect!["a: 'hel' eof"]);
    check("a: 'hel' finish done", expect!["a: 'hel' finish 'stop' done eof"]);
}

#[test]
fn short_forms_are_written_back_in_full() {
    check("a: 3 x 'b' 2 x ('c' 1500ms) end", expect!["a: repeat 3 ('b') repeat 2 ('c' 1500ms) end"]);
    check("a: comment blank burst burst 4 bytes 1 lines cr words 3 every 1000us end", {
        expect!["a: comment blank burst burst 4 bytes 1 lines cr words 3 every 1ms end"]
    });
    check("a: burst 3 x 'b' end", expect!["a: burst repeat 3 ('b') end"]);
    check("a: 60s 3600000ms 0ms stall", expect!["a: 1m 1h 0s stall"]);
}

#[test]
fn http_answers_take_their_options_in_any_order() {
    check("a: status 429 retry-after 2 code 'slow_down' message 'later'", {
        expect!["a: status 429 code 'slow_down' message 'later' retry-after 2s"]
    });
    check("a: 1s status 503 retry-after 1500ms", expect!["a: 1s status 503 retry-after 1500ms"]);
    check("a: answer 200 'text/html' '<p>\\n'", expect![[r"a: answer 200 'text/html' '<p>\n'"]]);
}

#[test]
fn quoted_text_knows_escapes() {
    check(r"a: 'it\'s\n\u{e9}\\' raw '\xff\0' end", expect![[r"a: 'it\'s\né\\' raw '\xff\x00' end"]]);
    check(r"a: '\xff' end", expect!["error: character 4: expected text in UTF-8; only `raw` takes any bytes, found `'`"]);
    check(r"a: '\q' end", expect![[r#"error: character 5: expected an escape: \' \" \\ \n \r \t \0 \xHH \u{HEX}, found `\`"#]]);
    check("a: 'hel", expect!["error: character 8: expected `'` to end the text, found the end of the text"]);
}

#[test]
fn a_mistake_is_shown_with_its_place_and_what_was_expected() {
    check("", expect!["error: character 1: expected the name of a target, found the end of the text"]);
    check("a 'hel'", expect!["error: character 3: expected `:` after the target's name, found `'`"]);
    check("a: ", expect!["error: character 4: expected a step such as `1s`, `'text'` or `end`, found the end of the text"]);
    check("a: 'é' hang", {
        expect![
            "error: character 8: expected a step such as `1s`, `'text'`, `words 10`, `end`, `cut`, `stall` or `status 503`, found `hang`"
        ]
    });
    check("a: 20 'hel'", expect!["error: character 4: expected a time such as `20ms`, `1s` or `2m`, found `20`"]);
    check(
        "a: cut 'hel'",
        expect!["error: character 8: expected a step, `|`, `;` or the end of the text; an ending is the last step, found `'`"],
    );
    check("a: end; a: end", expect!["error: character 9: expected a new target; `|` adds a script to an old one, found `a`"]);
    check("a: words 0 end", expect!["error: character 10: expected a number from 1 to 4294967295, found `0`"]);
    check("a: status 200", expect!["error: character 11: expected an HTTP status from 300 to 599, found `200`"]);
    check("a: 25h end", expect!["error: character 4: expected a time of at most a day, found `25h`"]);
    check("a: repeat 2 ('x' cut)", expect!["error: character 18: expected a step or `)`; endings cannot be repeated, found `cut`"]);
}

#[test]
fn an_http_answer_after_something_was_sent_is_refused() {
    check("a: 'hel' status 503", {
        expect!["error: character 10: expected nothing sent before an ending that is an HTTP answer of its own, found `status`"]
    });
    check("a: 2 x (head) refuse", {
        expect!["error: character 15: expected nothing sent before an ending that is an HTTP answer of its own, found `refuse`"]
    });
    check("a: 1s stamp status 503", expect!["a: 1s stamp status 503"]);
}

#[test]
fn hostile_nesting_is_refused_instead_of_exhausting_the_stack() {
    let deep = format!("a: {}'x'{} end", "repeat 2 (".repeat(10_000), ")".repeat(10_000));
    let error = deep.parse::<Scenario>().expect_err("too deep");
    assert!(error.to_string().contains("at most 8 repetitions inside each other"), "{error}");
}

#[test]
fn an_unknown_fixture_is_answered_with_the_known_ones() {
    check("a: 1s fixture tools", expect!["a: 1s fixture tools"]);
    let error = "a: fixture tool".parse::<Scenario>().expect_err("no such fixture");
    assert_eq!((error.position, error.found.as_str()), (11, "`tool`"));
    assert!(error.expected.contains("tools, tools-parallel"), "{error}");
}

#[test]
fn a_walk_unrolls_repetitions_words_and_fixtures() {
    assert_eq!(beats("2 x ('a' 2 x 'b') cut"), ["'a'", "'b'", "'b'", "'a'", "'b'", "'b'", "cut"]);
    assert_eq!(beats("words 2 every 5ms 1s words 1 end"), ["word 0", "5ms", "word 1", "1s", "word 2", "end"]);
    assert_eq!(beats("0s fixture no-done"), ["'hel'", "'lo'", "finish 'stop'", "eof"]);
}

#[test]
fn the_text_of_a_script_is_what_a_reader_ends_up_with() {
    let script: Script = "'Say: ' words 3 reasoning 'hm' 2 x '!' end".parse().expect("a script");
    assert_eq!(script.text(), "Say: The tide comes!!");
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    fn time() -> impl Strategy<Value = Duration> {
        (0_u64..86_400_000_000).prop_map(Duration::from_micros)
    }

    fn count() -> impl Strategy<Value = NonZeroU32> {
        any::<NonZeroU32>()
    }

    fn write() -> impl Strategy<Value = Write> {
        prop_oneof![Just(Write::Everything), count().prop_map(Write::Events), count().prop_map(Write::Bytes)]
    }

    fn step() -> impl Strategy<Value = Step> {
        let form = prop_oneof![Just(ErrorForm::Nested), Just(ErrorForm::Flat), Just(ErrorForm::OpenRouter)];
        let simple = prop_oneof![Just(Step::Head), Just(Step::Role), Just(Step::NoRole), Just(Step::Blank), Just(Step::Malformed)];
        let marks =
            prop_oneof![Just(Step::Usage), Just(Step::Comment), Just(Step::Done), Just(Step::Stamp), Just(Step::Lines(LineEnd::CrLf))];
        let texts = prop_oneof![
            any::<String>().prop_map(Step::Text),
            any::<String>().prop_map(Step::Reasoning),
            any::<String>().prop_map(Step::Chunk),
            any::<String>().prop_map(Step::Data),
            any::<String>().prop_map(Step::Finish),
            any::<Vec<u8>>().prop_map(Step::Raw),
            (form, any::<String>()).prop_map(|(form, text)| Step::Error { form, text }),
        ];
        let words = (count(), time()).prop_map(|(count, gap)| Step::Words { count: count.get(), gap });
        let leaf = prop_oneof![time().prop_map(Step::Wait), write().prop_map(Step::Write), words, simple, marks, texts];
        leaf.prop_recursive(3, 20, 4, |inner| {
            (count(), prop::collection::vec(inner, 1..4)).prop_map(|(times, steps)| Step::Repeat { times, steps })
        })
    }

    fn ending() -> impl Strategy<Value = Ending> {
        prop_oneof![Just(Ending::End), Just(Ending::Eof), Just(Ending::Half), Just(Ending::Cut), Just(Ending::Stall)]
    }

    fn instead() -> impl Strategy<Value = Ending> {
        let text = || prop::option::of(any::<String>());
        let status = (300_u16..600, text(), text(), prop::option::of(time()))
            .prop_map(|(status, code, message, retry_after)| Ending::Status(Status { status, code, message, retry_after }));
        let answer = (200_u16..600, any::<String>(), any::<Vec<u8>>()).prop_map(|(status, content_type, body)| Ending::Answer {
            status,
            content_type,
            body,
        });
        prop_oneof![Just(Ending::Refuse), status, answer]
    }

    fn script() -> impl Strategy<Value = Script> {
        let sends = (prop::collection::vec(step(), 0..6), ending()).prop_map(|(steps, ending)| Script { steps, ending });
        let instead =
            (prop::collection::vec(time().prop_map(Step::Wait), 0..3), instead()).prop_map(|(steps, ending)| Script { steps, ending });
        prop_oneof![sends, instead]
    }

    fn scenario() -> impl Strategy<Value = Scenario> {
        let scripts = prop::collection::vec(prop::collection::vec(script(), 1..4), 1..4);
        scripts.prop_map(|targets| Scenario {
            targets: targets.into_iter().zip('a'..).map(|(scripts, name)| Target { name: name.to_string(), scripts }).collect(),
        })
    }

    proptest! {
        #[test]
        fn what_display_writes_is_read_back_as_the_same_scenario(scenario in scenario()) {
            let text = scenario.to_string();
            prop_assert_eq!(text.parse::<Scenario>().map_err(|error| format!("{text}: {error}")), Ok(scenario));
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in any::<String>()) {
            let _ = text.parse::<Scenario>();
        }

        #[test]
        fn no_mixture_of_known_words_makes_the_parser_panic(
            words in prop::collection::vec(prop::sample::select(vec!["a:", "'x'", "'", "1s", "3", "x", "(", ")", "repeat", "burst", "status", "cut", ";", "|", "\\"]), 0..20)
        ) {
            let _ = words.join(" ").parse::<Scenario>();
        }
    }
}
