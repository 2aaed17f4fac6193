//! A provider that fails after it showed something: the answer ends as incomplete, typed, and nothing of it is repaired in silence.

use anyhow::{Context, Result};
use tidegate_e2e::{Chat, TransportEnd, World, agree};

use crate::before_output::scenario;

/// What the provider does after `'hel'`, and the code that the client reads. The status is that of a whole answer.
const FAULTS: &[(&str, &str, u16, &str)] = &[
    ("cut", "cut", 502, "upstream_cut"),
    ("eof", "eof", 502, "upstream_cut"),
    ("half", "half", 502, "upstream_cut"),
    ("stall", "stall", 504, "idle_timeout"),
    ("comments", "repeat 200 (20ms comment) stall", 504, "idle_timeout"),
    ("malformed", "malformed 'lo' end", 502, "upstream_malformed"),
    ("error", "error 'out of memory'", 502, "upstream_error"),
    ("error-flat", "error-flat 'out of memory'", 502, "upstream_error"),
    ("error-openrouter", "error-openrouter 'out of memory'", 502, "upstream_error"),
    ("error-then-done", "error 'out of memory' done eof", 502, "upstream_error"),
];

const SOON: &str = "timeouts = { first_byte = \"1s\", idle = \"1s\", total = \"20s\" }";

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_ends_the_stream_with_a_typed_event_and_never_with_an_end_marker() -> Result<()> {
    let world = World::of(&scenario(FAULTS, "'hel'")).model(SOON).start().await?;
    for (model, _, _, code) in FAULTS {
        let (view, record) = world.chat_and_record(&Chat::new(model)).await.context(*model)?;
        assert_eq!((view.status, view.text.as_str(), view.output_events), (200, "hel", 1), "{model}: {view:?}");
        assert_eq!((view.code(), view.partial()), (*code, Some(true)), "{model}: {view:?}");
        assert_eq!((view.done, &view.finish_reason, view.end), (false, &None, Some(TransportEnd::Complete)), "{model}: {view:?}");
        assert_eq!((&record["status"], &record["partial"]), (&"failed_after_output".into(), &true.into()), "{model}");
        agree(&view, &record).context(*model)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_that_cannot_be_completed_is_an_http_error() -> Result<()> {
    let world = World::of(&scenario(FAULTS, "'hel'")).model(SOON).start().await?;
    for (model, _, status, code) in FAULTS {
        let (view, record) = world.chat_and_record(&Chat::new(model).header("x-tidegate-delivery", "buffered")).await.context(*model)?;
        assert_eq!((view.status, view.code(), view.partial()), (*status, *code, Some(false)), "{model}: {view:?}");
        assert_eq!(record["status"], "failed_before_output", "{model}: nobody saw any output");
        agree(&view, &record).context(*model)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drip_without_end_is_stopped_by_the_total_and_by_nothing_else() -> Result<()> {
    let world = World::of("m: repeat 1000 ('x' 50ms) end")
        .model("timeouts = { connect = \"1s\", first_byte = \"1s\", idle = \"1s\", total = \"2s\" }")
        .start()
        .await?;
    let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
    assert_eq!((view.code(), view.partial(), view.done), ("deadline_exceeded", Some(true), false), "{view:?}");
    assert_eq!(record["disconnect_source"], "gateway_timeout");
    agree(&view, &record)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_event_is_dropped_and_counted_where_the_model_says_skip() -> Result<()> {
    let world = World::of("m: 'hel' malformed 'lo' end").model("on_malformed = \"skip\"").start().await?;
    let (view, record) = world.chat_and_record(&Chat::new("m")).await?;
    assert_eq!((view.text.as_str(), view.completed()), ("hello", true), "{view:?}");
    agree(&view, &record)
}
