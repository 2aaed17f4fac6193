//! Oddities of real servers, each as a script with a name (protocols.md, section 12).

use super::Script;

/// A named script, chosen by `fixture name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixture {
    name: &'static str,
    script: Box<Script>,
}

impl Fixture {
    /// The fixture called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let (name, _, text) = TABLE.iter().find(|(known, _, _)| *known == name)?;
        let script = text.parse().ok()?;
        Some(Self { name, script: Box::new(script) })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What it does.
    #[must_use]
    pub fn script(&self) -> &Script {
        &self.script
    }
}

/// All names, in the order of the table.
#[must_use]
pub fn names() -> Vec<&'static str> {
    TABLE.iter().map(|(name, _, _)| *name).collect()
}

/// Name, what it shows, script.
pub const TABLE: &[(&str, &str, &str)] = &[
    // The form of an event stream.
    ("bom", "a byte order mark before the first event", r"raw '\xef\xbb\xbf' 'hel' 'lo' end"),
    ("crlf", "lines end with CR LF", "lines crlf 'hel' 'lo' end"),
    ("cr", "lines end with CR", "lines cr 'hel' 'lo' end"),
    ("cr-split", "CR and LF in different reads", "lines crlf bytes 1 'hel' 'lo' end"),
    ("1-byte-reads", "one byte in a read", "bytes 1 'hel' 'lo' end"),
    (
        "multiline",
        "one event on two data lines",
        r#"data '{"choices":[{"index":0,\n"delta":{"content":"hel"},"finish_reason":null}]}' 'lo' end"#,
    ),
    (
        "no-space",
        "no space after `data:`",
        r#"raw 'data:{"choices":[{"index":0,"delta":{"content":"hel"},"finish_reason":null}]}\n\n' 'lo' end"#,
    ),
    ("id-only", "an event of an id alone", r"'hel' raw 'id: 7\n\n' 'lo' end"),
    ("nul-id", "an id with a NUL in it", r"'hel' raw 'id: 7\x008\n' 'lo' end"),
    ("retry-only", "an event of a retry time alone", r"'hel' raw 'retry: 3000\n\n' 'lo' end"),
    ("comment-only", "comments, and nothing else", "comment 10ms comment eof"),
    ("empty-data", "an event without data", r"'hel' raw 'data:\n\n' 'lo' end"),
    ("field-without-colon", "a field without a colon", r"'hel' raw 'data\n\n' 'lo' end"),
    ("unknown-event", "an event of an unknown name", r#"'hel' raw 'event: ping\ndata: {"type":"ping"}\n\n' 'lo' end"#),
    (
        "invalid-utf8",
        "bytes that are no UTF-8",
        r#"raw 'data: {"choices":[{"index":0,"delta":{"content":"\xff\xfe"},"finish_reason":null}]}\n\n' end"#,
    ),
    ("no-final-blank", "no blank line after the end marker", r"'hel' 'lo' finish raw 'data: [DONE]\n' eof"),
    ("two-spaces", "two spaces before the end marker", r"'hel' 'lo' finish raw 'data:  [DONE]\n\n' eof"),
    ("done-with-more", "JSON right after the end marker", r"'hel' 'lo' finish data '[DONE]{}' eof"),
    ("after-done", "text after the end marker", "'hel' finish done 'lo' eof"),
    // Chat answers.
    ("plain", "a clean answer", "'hel' 'lo' end"),
    (
        "n2",
        "two answers at once, ending one after the other",
        r#"chunk '"choices":[{"index":0,"delta":{"role":"assistant","content":"hel"},"finish_reason":null}]'
        chunk '"choices":[{"index":1,"delta":{"role":"assistant","content":"bon"},"finish_reason":null}]'
        chunk '"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}]'
        chunk '"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]'
        chunk '"choices":[{"index":1,"delta":{"content":"jour"},"finish_reason":null}]'
        chunk '"choices":[{"index":1,"delta":{},"finish_reason":"length"}]' usage done"#,
    ),
    (
        "tools",
        "one tool call in pieces",
        r#"chunk '"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"tide","arguments":""}}]},"finish_reason":null}]'
        chunk '"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\\"port\\":"}}]},"finish_reason":null}]'
        chunk '"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"\\"Brest\\"}"}}]},"finish_reason":null}]'
        finish 'tool_calls' usage done"#,
    ),
    (
        "tools-parallel",
        "two tool calls, the second one whole in one event",
        r#"chunk '"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"tide","arguments":"{}"}}]},"finish_reason":null}]'
        chunk '"choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"id":"call_2","type":"function","function":{"name":"wind","arguments":"{}"}}]},"finish_reason":null}]'
        finish 'tool_calls' usage done"#,
    ),
    ("usage", "the usage event, asked for or not", "'hel' 'lo' finish usage done"),
    (
        "usage-each-chunk",
        "running totals on every event",
        r#"chunk '"choices":[{"index":0,"delta":{"content":"hel"},"finish_reason":null}],"usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}'
        chunk '"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}'
        finish done"#,
    ),
    (
        "usage-with-choice",
        "usage in the finishing event",
        r#"'hel' 'lo' chunk '"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}' done"#,
    ),
    (
        "azure-prompt-filter",
        "an event without choices first, as Azure sends it",
        r#"chunk '"choices":[],"prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]' 'hel' 'lo' end"#,
    ),
    ("reasoning_content", "hidden thinking before the text", "reasoning 'well, ' reasoning 'hm' 'hel' 'lo' end"),
    ("refusal", "a refusal instead of text", "refusal 'I can ' refusal 'not' end"),
    (
        "logprobs",
        "token probabilities beside the text",
        r#"role chunk '"choices":[{"index":0,"delta":{"content":"hel"},"logprobs":{"content":[{"token":"hel","logprob":-0.1,"bytes":[104,101,108],"top_logprobs":[]}],"refusal":null},"finish_reason":null}]' end"#,
    ),
    (
        "obfuscation",
        "a random text on each event",
        r#"role chunk '"choices":[{"index":0,"delta":{"content":"hel"},"finish_reason":null}],"obfuscation":"Zk"'
        chunk '"choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":null}],"obfuscation":"q81LmTx"' end"#,
    ),
    ("no-done", "no end marker", "'hel' 'lo' finish eof"),
    ("done-only", "an end marker, but no finishing event", "'hel' 'lo' done eof"),
    ("error-first", "an error event before any text", "error 'the mock was told to fail' eof"),
    ("error-mid", "an error event after text", "'hel' error 'the mock was told to fail' eof"),
    (
        "error-chunk-openrouter",
        "an error inside a chunk, as OpenRouter writes it",
        "'hel' error-openrouter 'the mock was told to fail' done",
    ),
    ("empty-body-200", "a 200 without a body", "answer 200 'text/event-stream' ''"),
    ("json-200", "a 200 with JSON of another kind", r#"answer 200 'application/json' '{"status":"ok"}'"#),
    ("html-502", "a page of a proxy", "answer 502 'text/html' '<html><body><h1>502 Bad Gateway</h1></body></html>'"),
    ("cut-clean", "the body ends without a proof", "'hel' eof"),
    ("cut-half-event", "the body ends inside an event", "'hel' half"),
    ("cut-reset", "the connection is reset", "'hel' cut"),
    ("deepseek-newlines-json", "empty lines while the answer is made", "blank 10ms blank 10ms blank 'hel' 'lo' end"),
];

#[cfg(test)]
mod tests;
