use tidegate_core::delivery::{Delivery, Pending};
use tidegate_core::failure::Failure;
use tidegate_core::route::RoutePlan;

fn pending() -> Delivery<Pending> {
    Delivery::new(RoutePlan::new([]))
}

fn main() {
    // Before the line another target may be asked, also when the head is out.
    let mut delivery = pending();
    delivery.send_head();
    assert!(delivery.next_target().is_none());

    // Behind it the answer is completed, or it fails, once.
    let committed = delivery.commit();
    assert!(committed.complete().failure.is_none());
    assert!(pending().commit().fail(Failure::UpstreamCut).is_partial());
    assert!(!pending().fail(Failure::UpstreamCut).is_partial());
}
