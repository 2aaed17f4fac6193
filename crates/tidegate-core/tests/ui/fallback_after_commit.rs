use tidegate_core::delivery::Delivery;
use tidegate_core::route::RoutePlan;

fn main() {
    let mut committed = Delivery::new(RoutePlan::new([])).commit();
    committed.next_target();
}
