use super::*;

fn keys(count: u8) -> Keys {
    Keys::new((0..count).map(|n| HeaderValue::from_bytes(&[b'a' + n]).expect("a letter is a header")))
}

fn turns(keys: &Keys, now: Instant) -> Vec<usize> {
    (0..6).filter_map(|_| keys.take(now)).map(|(index, _)| index.number()).collect()
}

#[test]
fn keys_take_turns_and_a_refused_one_rests() {
    let (keys, now) = (keys(3), Instant::now());
    assert_eq!(turns(&keys, now), [1, 2, 3, 1, 2, 3]);
    assert!(keys.refused(Some(KeyIndex(1)), now), "the operator is told");
    assert!(!keys.refused(Some(KeyIndex(1)), now), "once");
    assert!(!turns(&keys, now).contains(&2));
    assert_eq!((keys.awake(now), keys.count()), (2, 3));
    assert!(turns(&keys, now + REST).contains(&2), "for a while");
}

#[test]
fn when_all_were_refused_each_is_tried_again_and_one_that_is_accepted_serves() {
    let (keys, now) = (keys(2), Instant::now());
    let _told = (keys.refused(Some(KeyIndex(0)), now), keys.refused(Some(KeyIndex(1)), now));
    assert_eq!(turns(&keys, now), [1, 2, 1, 2, 1, 2]);
    keys.accepted(KeyIndex(0));
    assert_eq!(turns(&keys, now), [1; 6]);
}

#[test]
fn a_server_that_asks_for_no_key_gets_none() {
    let (none, now) = (keys(0), Instant::now());
    assert!(none.take(now).is_none());
    assert!(none.refused(None, now) && !none.refused(None, now), "one that does ask is told, once");
}

#[test]
fn a_limited_key_rests_for_as_long_as_it_was_asked_to() {
    let (keys, now) = (keys(2), Instant::now());
    assert!(keys.limited(KeyIndex(0), Duration::from_secs(30), now));
    assert_eq!(turns(&keys, now + Duration::from_secs(29)), [2; 6]);
    assert!(turns(&keys, now + Duration::from_secs(30)).contains(&1));
}
