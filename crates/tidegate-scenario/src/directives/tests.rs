use expect_test::{Expect, expect};

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in the call")]
fn check(model: &str, expected: Expect) {
    let actual =
        script(model).map_or_else(|wrong| format!("{} {}: {}", wrong.status, wrong.code, wrong.message), |script| script.to_string());
    expected.assert_eq(&actual);
}

/// The reason of a refusal, without the list of directives that follows it.
fn refusal(model: &str) -> String {
    let wrong = script(model).expect_err("a wrong name");
    assert!(wrong.message.contains("cut@10 (a connection reset after ten words)"), "{}", wrong.message);
    wrong.message.split(". The directives are").next().unwrap_or_default().to_owned()
}

#[test]
fn the_plain_model_says_forty_words_at_a_readable_pace() {
    check("mock", expect!["words 40 every 20ms end"]);
}

#[test]
fn length_pace_and_start_are_chosen_by_name() {
    check("mock:words=200,gap=5ms", expect!["words 200 every 5ms end"]);
    check("mock:words=50000,gap=0ms,stamp", expect!["stamp words 50000 end"]);
    check("mock:first=3s", expect!["3s words 40 every 20ms end"]);
    check("mock:head=0,first=3s", expect!["head 3s words 40 every 20ms end"]);
    check("mock:head=1s, first=3s, words=0", expect!["1s head 2s end"]);
}

#[test]
fn writes_are_cut_or_joined_by_name() {
    check("mock:drip", expect!["bytes 1 words 40 every 20ms end"]);
    check("mock:bytes=7", expect!["bytes 7 words 40 every 20ms end"]);
    check("mock:burst", expect!["burst words 40 end"]);
    check("mock:burst=5,gap=0s", expect!["burst 5 words 40 end"]);
    check("mock:burst=5,words=12", expect!["burst 5 repeat 2 (words 5 20ms) words 2 end"]);
    check("mock:burst=5,words=10", expect!["burst 5 repeat 1 (words 5 20ms) words 5 end"]);
}

#[test]
fn a_fault_comes_after_so_many_words_and_a_gap() {
    check("mock:stall@10", expect!["words 10 every 20ms 20ms stall"]);
    check("mock:cut@5,gap=0s", expect!["words 5 cut"]);
    check("mock:cut", expect!["cut"]);
    check("mock:eof@3", expect!["words 3 every 20ms 20ms eof"]);
    check("mock:half@3", expect!["words 3 every 20ms 20ms half"]);
    check("mock:error@3", expect!["words 3 every 20ms 20ms error 'the mock was told to fail' eof"]);
    check("mock:error-openrouter@0", expect!["error-openrouter 'the mock was told to fail' eof"]);
    check("mock:malformed@3", expect!["words 3 every 20ms 20ms malformed 20ms words 37 every 20ms end"]);
    check("mock:comment@3,words=3", expect!["words 3 every 20ms 20ms comment end"]);
    check("mock:nodone,words=2", expect!["words 2 every 20ms finish 'stop' eof"]);
    check("mock:nousage,words=2", expect!["words 2 every 20ms finish 'stop' done eof"]);
}

#[test]
fn an_http_error_takes_its_code_and_pushback() {
    check("mock:status=503", expect!["status 503"]);
    check("mock:status=429,retry-after=2,code=slow_down", expect!["status 429 code 'slow_down' retry-after 2s"]);
    check("mock:first=1s,refuse", expect!["1s refuse"]);
    check("mock:fixture=tools", expect!["fixture tools"]);
}

#[test]
fn a_wrong_directive_is_answered_with_all_of_them() {
    assert_eq!(refusal("mock:explode"), "there is no directive `explode`");
    assert_eq!(refusal("mock:speed=5"), "there is no directive `speed=`");
    assert_eq!(refusal("mock:"), "there is no directive ``");
    assert_eq!(refusal("mock:words=many"), "`words` needs a number, not `many`");
    assert_eq!(refusal("mock:gap=20"), "`gap` needs a time such as `20ms` or `3s`, not `20`");
    assert_eq!(refusal("mock:cut@x"), "`cut` needs a number, not `x`");
    assert_eq!(refusal("mock:cut@1,stall@2"), "only one fault is possible");
    assert_eq!(refusal("mock:burst,drip"), "only one of `burst`, `drip` and `bytes` is possible");
    assert_eq!(refusal("mock:words=1,words=2"), "`words` is there twice");
    assert_eq!(refusal("mock:status=200"), "`status` needs an HTTP status from 300 to 599");
    assert_eq!(refusal("mock:retry-after=2"), "`code` and `retry-after` belong to a `status`");
}

#[test]
fn a_name_of_another_model_is_not_found() {
    check("gpt-4o", {
        expect![[
            r#"404 model_not_found: there is no model "gpt-4o"; the mock has `mock`, `mock:` with directives, and the targets of its scenario"#
        ]]
    });
    check("mockingbird", {
        expect![[
            r#"404 model_not_found: there is no model "mockingbird"; the mock has `mock`, `mock:` with directives, and the targets of its scenario"#
        ]]
    });
}

#[test]
fn the_page_about_the_mock_knows_every_directive_and_every_fixture() {
    let page = include_str!("../../../../docs/mock.md");
    let directives = LIST.iter().map(|(directive, _)| *directive);
    for name in directives.chain(crate::script::fixtures::names()) {
        assert!(page.contains(&format!("| `{name}` |")), "docs/mock.md has no row for `{name}`");
    }
}

#[test]
fn every_directive_of_the_list_makes_a_script() {
    for (directive, _) in LIST {
        let status = if matches!(*directive, "code=server_is_overloaded" | "retry-after=2") { "status=503," } else { "" };
        assert!(script(&format!("mock:{status}{directive}")).is_ok(), "{directive}");
    }
}
