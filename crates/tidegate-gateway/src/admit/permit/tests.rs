use super::*;

#[test]
fn no_more_streams_run_than_the_limit_and_a_dropped_permit_makes_room() {
    let permits = Permits::default();
    let first = permits.admit(2).expect("room for two");
    let _second = permits.admit(2).expect("room for two");
    assert!(permits.admit(2).is_none());
    drop(first);
    assert_eq!(permits.running(), 1);
    assert!(permits.admit(2).is_some());
}
