use tidegate_core::delivery::Delivery;
use tidegate_core::failure::Failure;
use tidegate_core::route::RoutePlan;

fn main() {
    let pending = Delivery::new(RoutePlan::new([]));
    let _ = pending.fail(Failure::UpstreamCut);
    let _ = pending.fail(Failure::UpstreamCut);
}
