use tidegate_core::delivery::Committed;

fn main() {
    let _ = Committed(());
}
