use proptest::prelude::*;

use super::*;

fn trail(offsets: &[i64]) -> Trail {
    let mut trail = Trail::default();
    offsets.iter().for_each(|offset| trail.note(*offset));
    trail
}

#[test]
fn what_stands_close_together_is_one_stretch() {
    let stretches = |offsets: &[i64]| trail(offsets).0.into_iter().map(|stretch| (stretch.start, stretch.end)).collect::<Vec<_>>();
    assert_eq!(stretches(&[7, 8, 50, 2_000]), [(7, 2_001)]);
    assert_eq!(stretches(&[7, 8, 5_000, 5_001]), [(7, 9), (5_000, 5_002)]);
}

#[test]
fn a_reader_goes_from_stretch_to_stretch_and_from_the_last_to_the_rest() {
    let trail = trail(&[100, 130, 10_000, 10_050]);
    assert_eq!(trail.begin(), Some(100));
    assert_eq!(trail.onward(101, 90_000), 101);
    assert_eq!(trail.onward(131, 90_000), 10_000);
    assert_eq!(trail.onward(10_051, 90_000), 90_000);
    assert_eq!(trail.onward(90_001, 90_000), 90_001);
    assert_eq!(trail.onward(10_051, 10_060), 10_051, "it is not worth the jump");
}

#[test]
fn a_trail_is_read_as_it_was_written() {
    for trail in [Trail::default(), trail(&[7, 8, 5_000])] {
        let mut out = BytesMut::new();
        trail.put(&mut out);
        assert_eq!(Trail::get(&mut out.clone().freeze()), Some(trail));
        out.truncate(out.len() - 1);
        assert_eq!(Trail::get(&mut out.freeze()), None, "it is torn");
    }
}

proptest! {
    #[test]
    fn a_reader_comes_by_every_entry_however_many_stretches_there_are(gaps in prop::collection::vec(1..6_000_i64, 1..80), since in 0..9_000_i64) {
        let offsets: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
        let (trail, end) = (trail(&offsets), offsets[offsets.len() - 1] + since);
        prop_assert!(trail.0.len() <= MOST);
        let (mut next, mut read) = (trail.begin().unwrap(), Vec::new());
        while next < end + 1 {
            if offsets.contains(&next) {
                read.push(next);
            }
            next = trail.onward(next + 1, end);
        }
        prop_assert_eq!(read, offsets);
    }
}
