use super::*;

#[test]
fn a_lasting_trouble_is_told_at_its_beginning_and_every_ten_minutes() {
    let (alarm, began) = (Alarm::default(), Instant::now());
    let told: Vec<u64> = (0..=1300).step_by(100).filter(|second| alarm.raise(began + Duration::from_secs(*second))).collect();
    assert_eq!(told, [0, 600, 1200]);
}

#[test]
fn a_trouble_that_comes_back_is_a_new_one() {
    let (alarm, now) = (Alarm::default(), Instant::now());
    assert!(alarm.raise(now) && !alarm.raise(now));
    alarm.clear();
    assert!(alarm.raise(now));
}
