//! What becomes of a stream whose client leaves before its end.

use tidegate_config::OnDisconnect;
use tidegate_core::failure::Failure;
use tidegate_core::record::Delivered;

use crate::gateway::Gateway;
use crate::record::live::Live;
use crate::relay::drainage;
use crate::relay::pump::Pump;

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
pub struct Leaving {
    /// What the record says of it.
    pub failure: Failure,
    /// What its socket took until then.
    pub taken: Delivered,
    /// What becomes of the provider's request.
    pub on_disconnect: OnDisconnect,
}

/// Ends the provider's request at once, or lets it be read on where the model says so; then the record is written when that is done, and
/// nothing is returned.
pub fn leave(pump: Box<Pump>, leaving: Leaving, gateway: &Gateway) -> Option<Box<Live>> {
    let now = gateway.clock.now();
    let (mut live, rest) = pump.into_parts();
    live.abandon(leaving.failure, now);
    live.delivered = leaving.taken;
    match (leaving.on_disconnect, rest) {
        (OnDisconnect::Drain { max_tokens, max_time }, Some(rest)) => {
            let tasks = gateway.tasks.clone();
            gateway.tasks.spawn(drainage::drain(live, rest, (max_tokens, max_time), tasks));
            None
        }
        (_, rest) => {
            drop(rest);
            live.left_at = Some(now);
            Some(live)
        }
    }
}
