use super::*;

fn pointer() -> Pointer {
    let mut pointer = Pointer::new(Tenure { ttl: Duration::from_secs(120), holder: "key_1".to_owned() });
    pointer.trail.note(7);
    pointer.rest = 9;
    pointer
}

#[test]
fn a_pointer_is_read_as_it_was_written() {
    let written = pointer().encode();
    assert_eq!(Pointer::decode(&written), Some(pointer()));
    assert_eq!(Pointer::decode(&written[..written.len() - 1]), None, "it is torn");
}

#[test]
fn a_session_expires_when_its_last_pointer_is_older_than_its_time_to_live() {
    let age = Written::read(&pointer().encode(), 1_000).unwrap().age;
    assert!(!age.expired(121_000));
    assert!(age.expired(121_001));
}
