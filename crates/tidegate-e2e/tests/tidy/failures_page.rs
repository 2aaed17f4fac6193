//! Renders `docs/failures.md` from the failure table.

use std::fmt::Write as _;

use tidegate_core::failure::{Blame, Failure, Retry, Vote};

const HEAD: &str = "\
# What can go wrong

Generated from `tidegate-core/src/failure.rs` by `just docs`; a test compares the two.

A failure reaches the client in its own protocol's shape, with the code of this table:

- **before the head** as the HTTP status below, with a JSON error;
- **after the head, before any output** as a typed error event inside the stream, `\"partial\": false`;
- **after output** as a typed error event with `\"partial\": true`. Never `[DONE]`, never an invented `stop`, and nothing of another model.

An answer whose repetition is useless carries `x-should-retry: false`, which the official SDKs obey.

| code | blame | HTTP before the head | tried again inside, before output | the breaker | client may retry | what the client reads |
| --- | --- | --- | --- | --- | --- | --- |
";

/// The page.
pub(crate) fn render() -> String {
    let mut page = HEAD.to_owned();
    for failure in Failure::ALL {
        let facts = failure.facts();
        let status = match (failure, facts.status) {
            (Failure::UpstreamRejected(_), _) => "the provider's own 4xx".to_owned(),
            (_, Some(status)) => status.to_string(),
            (_, None) => "recorded only".to_owned(),
        };
        let (blame, retry, vote) = (blame(facts.blame), retry(facts.retry), vote(facts.breaker));
        let may_retry = if facts.client_may_retry { "yes" } else { "no" };
        writeln!(page, "| `{}` | {blame} | {status} | {retry} | {vote} | {may_retry} | {} |", facts.code, facts.message)
            .expect("a string takes everything");
    }
    page
}

fn blame(blame: Blame) -> &'static str {
    match blame {
        Blame::Client => "client",
        Blame::Gateway => "gateway",
        Blame::Upstream => "upstream",
    }
}

fn retry(retry: Retry) -> &'static str {
    match retry {
        Retry::Never => "no",
        Retry::SameOnceThenNext => "same target once, then the next",
        Retry::SameThenNext => "same target with backoff, then the next",
        Retry::NextTarget => "next target",
        Retry::LargerContext => "only a route with `larger_context`",
        Retry::AfterPushback => "after `Retry-After` if the deadline allows, or the next target",
    }
}

fn vote(vote: Vote) -> &'static str {
    match vote {
        Vote::None => "does not count it",
        Vote::Failure => "counts it",
        Vote::OpenNow => "opens at once",
        Vote::CoolDown => "does not count it; the target rests",
    }
}
