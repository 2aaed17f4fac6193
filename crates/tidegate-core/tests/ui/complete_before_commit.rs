use tidegate_core::delivery::Delivery;
use tidegate_core::route::RoutePlan;

fn main() {
    let pending = Delivery::new(RoutePlan::new([]));
    pending.complete();
}
