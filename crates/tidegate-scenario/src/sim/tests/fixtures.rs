//! The oddities of real servers.

use super::*;
use crate::script::fixtures;

#[test]
fn each_oddity_of_a_real_server_is_completed_or_told() {
    let texts: Vec<String> = fixtures::names().iter().map(|name| format!("a: fixture {name}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    check_all(
        &texts,
        &[Stream, Buffered],
        expect![[r#"
            a: fixture bom
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture crlf
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture cr
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture cr-split
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture 1-byte-reads
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture multiline
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture no-space
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture id-only
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture nul-id
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture retry-only
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture comment-only
                stream   502 upstream_cut at 10ms
                buffered 502 upstream_cut at 10ms
            a: fixture empty-data
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture field-without-colon
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture unknown-event
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture invalid-utf8
                stream   502 upstream_malformed at 0s
                buffered 502 upstream_malformed at 0s
            a: fixture no-final-blank
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture two-spaces
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture done-with-more
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture after-done
                stream   200 at 0s: 'hel' | completed
                buffered 200 at 0s: whole 'hel' | completed
            a: fixture plain
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture n2
                stream   200 at 0s: 'hel' 'bon' 'lo' 'jour' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture tools
                stream   200 at 0s: tool_calls tool_calls tool_calls | completed
                buffered 200 at 0s: whole '' | completed
            a: fixture tools-parallel
                stream   200 at 0s: tool_calls tool_calls | completed
                buffered 200 at 0s: whole '' | completed
            a: fixture usage
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture usage-each-chunk
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture usage-with-choice
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture azure-prompt-filter
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture reasoning_content
                stream   200 at 0s: reasoning 'well, ' reasoning 'hm' 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture refusal
                stream   200 at 0s: refusal 'I can ' refusal 'not' | completed
                buffered 200 at 0s: whole '' | completed
            a: fixture logprobs
                stream   200 at 0s: 'hel' | completed
                buffered 200 at 0s: whole 'hel' | completed
            a: fixture obfuscation
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture no-done
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture done-only
                stream   200 at 0s: 'hel' 'lo' | completed
                buffered 200 at 0s: whole 'hello' | completed
            a: fixture error-first
                stream   502 upstream_error at 0s
                buffered 502 upstream_error at 0s
            a: fixture error-mid
                stream   200 at 0s: 'hel' | error upstream_error partial
                buffered 502 upstream_error at 0s
            a: fixture error-chunk-openrouter
                stream   200 at 0s: 'hel' | error upstream_error partial
                buffered 502 upstream_error at 0s
            a: fixture empty-body-200
                stream   502 upstream_cut at 0s
                buffered 502 upstream_cut at 0s
            a: fixture json-200
                stream   502 upstream_malformed at 0s
                buffered 502 upstream_malformed at 0s
            a: fixture html-502
                stream   502 upstream_error at 0s
                buffered 502 upstream_error at 0s
            a: fixture cut-clean
                stream   200 at 0s: 'hel' | error upstream_cut partial
                buffered 502 upstream_cut at 0s
            a: fixture cut-half-event
                stream   200 at 0s: 'hel' | error upstream_cut partial
                buffered 502 upstream_cut at 0s
            a: fixture cut-reset
                stream   200 at 0s: 'hel' | error upstream_cut partial
                buffered 502 upstream_cut at 0s
            a: fixture deepseek-newlines-json
                stream   200 at 20ms: comment comment comment 'hel' 'lo' | completed
                buffered 200 at 20ms: whole 'hello' | completed
        "#]],
    );
}
