use super::*;

#[test]
fn an_id_reads_back_what_it_wrote_and_sorts_by_time() {
    let early = StreamId::new(1_700_000_000_000, u128::MAX);
    let late = StreamId::new(1_700_000_000_001, 0);
    assert_eq!(StreamId::parse(&early.to_string()), Some(early));
    assert!(early < late && early.to_string() < late.to_string());
    assert!(late.to_string().starts_with("strm_01"));
}

#[test]
fn a_foreign_or_damaged_id_is_refused() {
    let id = StreamId::new(1_700_000_000_000, 7).to_string();
    assert_eq!(RequestId::parse(&id), None);
    assert_eq!(StreamId::parse(&id[..id.len() - 1]), None);
    assert_eq!(StreamId::parse(&id.to_uppercase()), None);
    assert_eq!(StreamId::parse("strm_zzzzzzzzzzzzzzzzzzzzzzzzzz"), None);
}
