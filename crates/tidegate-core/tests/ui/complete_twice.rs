use tidegate_core::delivery::Delivery;
use tidegate_core::route::RoutePlan;

fn main() {
    let committed = Delivery::new(RoutePlan::new([])).commit();
    let _ = committed.complete();
    let _ = committed.complete();
}
