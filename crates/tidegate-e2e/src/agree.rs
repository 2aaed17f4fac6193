//! What the record says must be what the client saw.

use anyhow::{Result, ensure};
use serde_json::Value;

use crate::view::View;

/// Compares a client's view with the gateway's record of the same stream: status, partial flag, code, delivered output events.
///
/// A client that left cannot know what was still on its way to it, so there the record may say more than it saw, never less.
///
/// # Errors
///
/// They disagree; the message shows both.
pub fn agree(view: &View, record: &Value) -> Result<()> {
    let status = record["status"].as_str().unwrap_or_default();
    let delivered = record["delivered"]["output_events"].as_u64().unwrap_or_default();
    let code = record["code"].as_str().unwrap_or_default();
    let both = || format!("client: {view:?}\nrecord: {record}");
    // A whole answer counts the events that it was made of.
    let whole = view.body.is_some();
    if view.end.is_some() {
        ensure!(status == view.ending(), "the client saw {}, the record says {status}\n{}", view.ending(), both());
        ensure!(code == view.code(), "the client read code {:?}, the record says {code:?}\n{}", view.code(), both());
        ensure!(whole || delivered == view.output_events, "the client saw {} output events\n{}", view.output_events, both());
    } else {
        ensure!(delivered >= view.output_events, "the client saw {} output events before it left\n{}", view.output_events, both());
        let cancelled = if delivered > 0 { "cancelled_after_output" } else { "cancelled_before_output" };
        let ended_first = matches!(status, "completed" | "failed_before_output" | "failed_after_output");
        ensure!(status == cancelled || ended_first, "the client left\n{}", both());
    }
    let partial = delivered > 0 && status != "completed";
    ensure!(record["partial"] == partial, "partial should be {partial}\n{}", both());
    if let Some(told) = view.partial() {
        ensure!(record["partial"] == told, "the client was told partial: {told}\n{}", both());
    }
    Ok(())
}
