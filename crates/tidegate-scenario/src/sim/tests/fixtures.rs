//! The oddities of real servers.

use super::*;
use crate::script::fixtures;

#[test]
fn each_oddity_of_a_real_server_is_completed_or_told() {
    let mut lines = String::new();
    for name in fixtures::names() {
        let scenario = scenario(&format!("a: fixture {name}"));
        let [streamed, whole] = [Stream, Buffered].map(|mode| Simulation::new(&scenario, mode).run().view);
        assert_eq!(streamed.ending == Ending::Completed, whole.ending == Ending::Completed, "{name}: {streamed}, but {whole}");
        lines += &format!("{name}: {streamed}\n");
    }
    expect![[r#"
        bom: 200 at 0s: 'hel' 'lo' | completed
        crlf: 200 at 0s: 'hel' 'lo' | completed
        cr: 200 at 0s: 'hel' 'lo' | completed
        cr-split: 200 at 0s: 'hel' 'lo' | completed
        1-byte-reads: 200 at 0s: 'hel' 'lo' | completed
        multiline: 200 at 0s: 'hel' 'lo' | completed
        no-space: 200 at 0s: 'hel' 'lo' | completed
        id-only: 200 at 0s: 'hel' 'lo' | completed
        nul-id: 200 at 0s: 'hel' 'lo' | completed
        retry-only: 200 at 0s: 'hel' 'lo' | completed
        comment-only: 502 upstream_cut at 10ms
        empty-data: 200 at 0s: 'hel' 'lo' | completed
        field-without-colon: 200 at 0s: 'hel' 'lo' | completed
        unknown-event: 200 at 0s: 'hel' 'lo' | completed
        invalid-utf8: 502 upstream_malformed at 0s
        no-final-blank: 200 at 0s: 'hel' 'lo' | completed
        two-spaces: 200 at 0s: 'hel' 'lo' | completed
        done-with-more: 200 at 0s: 'hel' 'lo' | completed
        after-done: 200 at 0s: 'hel' | completed
        plain: 200 at 0s: 'hel' 'lo' | completed
        n2: 200 at 0s: 'hel' 'bon' 'lo' 'jour' | completed
        tools: 200 at 0s: tool_calls tool_calls tool_calls | completed
        tools-parallel: 200 at 0s: tool_calls tool_calls | completed
        usage: 200 at 0s: 'hel' 'lo' | completed
        usage-each-chunk: 200 at 0s: 'hel' 'lo' | completed
        usage-with-choice: 200 at 0s: 'hel' 'lo' | completed
        azure-prompt-filter: 200 at 0s: 'hel' 'lo' | completed
        reasoning_content: 200 at 0s: reasoning 'well, ' reasoning 'hm' 'hel' 'lo' | completed
        refusal: 200 at 0s: refusal 'I can ' refusal 'not' | completed
        logprobs: 200 at 0s: 'hel' | completed
        obfuscation: 200 at 0s: 'hel' 'lo' | completed
        no-done: 200 at 0s: 'hel' 'lo' | completed
        done-only: 200 at 0s: 'hel' 'lo' | completed
        error-first: 502 upstream_error at 3s
        error-mid: 200 at 0s: 'hel' | error upstream_error partial
        error-chunk-openrouter: 200 at 0s: 'hel' | error upstream_error partial
        empty-body-200: 502 upstream_cut at 0s
        json-200: 502 upstream_malformed at 0s
        html-502: 502 upstream_error at 3s
        cut-clean: 200 at 0s: 'hel' | error upstream_cut partial
        cut-half-event: 200 at 0s: 'hel' | error upstream_cut partial
        cut-reset: 200 at 0s: 'hel' | error upstream_cut partial
        deepseek-newlines-json: 200 at 20ms: comment comment comment 'hel' 'lo' | completed
    "#]]
    .assert_eq(&lines);
}
