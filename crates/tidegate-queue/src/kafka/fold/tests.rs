use proptest::prelude::*;

use super::*;
use crate::kafka::entry::Position;
use crate::lease::Piece;

/// A session whose log is written line by line; an offset is a line's number, and a millisecond passes with each.
#[derive(Default)]
struct Play {
    fold: Fold,
    offset: i64,
    seq: u64,
}

impl Play {
    fn owned() -> Self {
        let mut play = Self::default();
        assert_eq!(play.says(&Entry::Create), Ok(Effect::Owned));
        play
    }

    fn says(&mut self, entry: &Entry) -> Result<Effect, Refusal> {
        self.offset += 1;
        self.fold.apply(self.offset - 1, self.offset - 1, entry)
    }

    fn stamp(&mut self, epoch: i64) -> Stamp {
        self.seq += 1;
        Stamp { epoch, seq: self.seq }
    }

    fn submits(&mut self, epoch: i64, number: u128) -> Result<Effect, Refusal> {
        let stamp = self.stamp(epoch);
        self.says(&Entry::Submit { stamp, task: task(number), said: 0, taken: 0, holder: Bytes::new() })
    }

    fn cancels(&mut self, epoch: i64, number: u128) -> Result<Effect, Refusal> {
        let stamp = self.stamp(epoch);
        self.says(&Entry::Cancel { stamp, task: task(number), why: Bytes::new() })
    }

    /// The claim of a worker that found the waiting task.
    fn claims(&mut self) -> Result<i64, Refusal> {
        let submitted = self.fold.task().map_or(-1, |task| task.submitted);
        self.says(&Entry::Claim { submitted }).map(|_| self.offset - 1)
    }

    fn emits(&mut self, claim: i64, seq: u32, visible: bool) -> Result<Effect, Refusal> {
        self.says(&Entry::Emit { claim, seq, pieces: vec![Piece { data: Bytes::new(), visible }] })
    }

    fn settles(&mut self, claim: i64, seq: u32) -> Result<Effect, Refusal> {
        self.says(&Entry::Settle { claim, seq, end: Bytes::new(), memo: Bytes::new() })
    }

    fn expires(&mut self, claim: i64, after: u64) -> Result<Effect, Refusal> {
        self.says(&Entry::Expire { claim, lease_millis: after, attempts: 2 })
    }
}

fn task(number: u128) -> TaskId {
    TaskId::new(0, number)
}

fn ended(number: u128, end: End) -> Result<Effect, Refusal> {
    Ok(Effect::Ended(task(number), end))
}

#[test]
fn whoever_begins_to_read_at_a_task_knows_how_far_its_session_is_ahead_of_its_client() {
    let mut play = Play::owned();
    play.submits(0, 1).unwrap();
    let claim = play.claims().unwrap();
    play.emits(claim, 0, true).unwrap();
    play.emits(claim, 1, true).unwrap();
    play.settles(claim, 2).unwrap();
    assert_eq!(play.says(&Entry::Taken { epoch: 0, taken: 64 }), Ok(Effect::None));
    let (said, taken) = play.fold.said_and_taken();
    assert_eq!((said, taken), (128, 64), "an empty piece counts 64");

    let stamp = play.stamp(0);
    let mut late = Play { offset: play.offset, ..Play::default() };
    late.says(&Entry::Submit { stamp, task: task(2), said, taken, holder: Bytes::new() }).unwrap();
    assert_eq!(late.fold.said_and_taken(), (128, 64));
    assert_eq!(late.says(&Entry::Taken { epoch: 0, taken: 128 }), Ok(Effect::None));
    assert_eq!(late.says(&Entry::Taken { epoch: 0, taken: 64 }), Ok(Effect::None), "an old word takes nothing back");
    assert_eq!(late.fold.said_and_taken(), (128, 128));
    late.says(&Entry::Adopt).unwrap();
    assert_eq!(late.says(&Entry::Taken { epoch: 0, taken: 256 }), Err(Refusal::Fenced));
}

#[test]
fn a_task_is_claimed_once_emits_in_order_and_ends_once() {
    let mut play = Play::owned();
    assert_eq!(play.submits(0, 1), Ok(Effect::Waiting));
    let claim = play.claims().unwrap();
    assert_eq!(play.claims(), Err(Refusal::Lost), "a second worker comes too late");
    assert_eq!(play.emits(claim, 0, true), Ok(Effect::Pieces(task(1))));
    assert_eq!(play.emits(claim, 0, true), Err(Refusal::Repeated), "sent twice, read once");
    assert_eq!(play.settles(claim, 2), Err(Refusal::Lost), "a piece is missing");
    assert_eq!(play.settles(claim, 1), ended(1, End::Settled(Bytes::new())));
    assert_eq!(play.settles(claim, 1), Err(Refusal::Lost));
    assert_eq!(play.submits(0, 1), Ok(Effect::None), "submitted again, it changes nothing");
    assert_eq!(play.submits(0, 2), Ok(Effect::Waiting));
}

#[test]
fn a_lost_worker_is_followed_by_another_until_too_many_are_lost() {
    let mut play = Play::owned();
    play.submits(0, 1).unwrap();
    let first = play.claims().unwrap();
    play.emits(first, 0, false).unwrap();
    assert_eq!(play.expires(first, 0), Ok(Effect::Waiting));
    assert_eq!(play.emits(first, 1, true), Err(Refusal::Lost), "the first worker comes back too late");
    let second = play.claims().unwrap();
    assert_eq!(play.expires(first, 0), Err(Refusal::Lost), "said of the first, it is not true of the second");
    assert_eq!(play.expires(second, 0), ended(1, End::GivenUp));
}

#[test]
fn a_lost_worker_whose_output_was_visible_is_not_followed() {
    let mut play = Play::owned();
    play.submits(0, 1).unwrap();
    let claim = play.claims().unwrap();
    play.emits(claim, 0, true).unwrap();
    assert_eq!(play.expires(claim, 0), ended(1, End::Lost));
    assert_eq!(play.claims(), Err(Refusal::Lost));
}

#[test]
fn a_claim_that_gave_a_sign_of_life_in_time_does_not_expire() {
    let mut play = Play::owned();
    play.submits(0, 1).unwrap();
    let claim = play.claims().unwrap();
    assert_eq!(play.expires(claim, 3), Err(Refusal::Alive), "one millisecond passed");
    assert_eq!(play.says(&Entry::Renew { claim }), Ok(Effect::None));
    assert_eq!(play.expires(claim, 3), Err(Refusal::Alive), "two more would do, but it was renewed one ago");
    assert_eq!(play.expires(claim, 3), Err(Refusal::Alive));
    assert_eq!(play.expires(claim, 3), Ok(Effect::Waiting));
}

#[test]
fn a_lease_given_back_unbegun_costs_no_attempt() {
    let mut play = Play::owned();
    play.submits(0, 1).unwrap();
    for _ in 0..5 {
        let claim = play.claims().unwrap();
        assert_eq!(play.says(&Entry::GiveBack { claim, begun: false, attempts: 2 }), Ok(Effect::Waiting));
    }
    assert_eq!(play.fold.task().unwrap().attempts, 0);
}

#[test]
fn a_cancelled_task_ends_at_once_if_it_waits_and_by_its_worker_if_it_runs() {
    let mut play = Play::owned();
    play.submits(0, 1).unwrap();
    assert_eq!(play.cancels(0, 1), ended(1, End::Cancelled));
    assert_eq!(play.claims(), Err(Refusal::Lost), "its worker comes too late");
    play.submits(0, 2).unwrap();
    let claim = play.claims().unwrap();
    assert_eq!(play.cancels(0, 1), Ok(Effect::None), "another task is meant");
    assert_eq!(play.cancels(0, 2), Ok(Effect::Cancelling));
    play.emits(claim, 0, true).unwrap();
    assert_eq!(play.settles(claim, 1), ended(2, End::Settled(Bytes::new())));
}

#[test]
fn a_cancelled_task_whose_worker_is_lost_is_cancelled() {
    let mut play = Play::owned();
    play.submits(0, 1).unwrap();
    let claim = play.claims().unwrap();
    play.cancels(0, 1).unwrap();
    assert_eq!(play.expires(claim, 0), ended(1, End::Cancelled));
}

#[test]
fn an_heir_fences_the_old_owner_and_keeps_the_running_task() {
    let mut play = Play::owned();
    play.submits(0, 1).unwrap();
    let claim = play.claims().unwrap();
    assert_eq!(play.says(&Entry::Adopt), Ok(Effect::Owned));
    let heir = play.offset - 1;
    assert_eq!(play.submits(0, 2), Err(Refusal::Fenced));
    assert_eq!(play.emits(claim, 0, true), Ok(Effect::Pieces(task(1))), "its worker knows nothing of that");
    play.seq = 0;
    assert_eq!(play.submits(heir, 1), Ok(Effect::None));
    let stamp = play.stamp(heir);
    assert_eq!(play.says(&Entry::End { stamp }), Ok(Effect::Over));
    assert_eq!(play.settles(claim, 1), Err(Refusal::Gone));
    assert_eq!(play.says(&Entry::Adopt), Err(Refusal::Gone));
}

#[test]
fn an_owners_entry_that_arrives_after_its_successors_is_refused() {
    let mut play = Play::owned();
    let (early, late) = (play.stamp(0), play.stamp(0));
    let seen = Position::START;
    assert_eq!(play.says(&Entry::Snapshot { stamp: late, seen, state: Bytes::new() }), Ok(Effect::Snapshot));
    assert_eq!(play.says(&Entry::Journal { stamp: early, seen, entries: Vec::new() }), Err(Refusal::Repeated));
}

#[test]
fn a_reader_that_begins_late_believes_a_fenced_owner_only_until_it_meets_the_real_one() {
    let mut play = Play { offset: 100, ..Play::default() };
    assert_eq!(play.submits(7, 1), Ok(Effect::Waiting), "it can't know better");
    assert_eq!(play.submits(50, 2), Ok(Effect::Waiting));
    assert_eq!(play.fold.task().unwrap().id, task(2));
    assert_eq!(play.submits(7, 3), Err(Refusal::Fenced));
}

/// An heir and the one before it hand over the same task; only what the heir says holds.
#[test]
fn a_reader_that_begins_behind_a_takeover_finds_the_task_that_its_heir_submitted() {
    for ends in [false, true] {
        let mut play = Play { offset: 100, ..Play::default() };
        assert_eq!(play.submits(7, 1), Ok(Effect::Waiting), "it can't know better");
        if ends {
            let stamp = play.stamp(7);
            assert_eq!(play.says(&Entry::End { stamp }), Ok(Effect::Over), "nor here");
        }
        play.seq = 0;
        assert_eq!(play.submits(50, 1), Ok(Effect::Waiting));
        assert_eq!(play.fold.task().unwrap().submitted, play.offset - 1);
        play.claims().unwrap();
        assert_eq!(play.submits(50, 1), Ok(Effect::None), "said twice by one owner, the first time holds");
    }
}

#[test]
fn a_fold_is_read_as_it_was_written() {
    let mut play = Play::owned();
    let written = |fold: &Fold| {
        let mut out = BytesMut::new();
        fold.put(&mut out);
        Fold::get(&mut out.freeze())
    };
    assert_eq!(written(&Fold::default()), Some(Fold::default()));
    play.submits(0, 1).unwrap();
    assert_eq!(written(&play.fold), Some(play.fold.clone()));
    let claim = play.claims().unwrap();
    play.emits(claim, 0, true).unwrap();
    assert_eq!(written(&play.fold), Some(play.fold.clone()));
    play.settles(claim, 1).unwrap();
    assert_eq!(written(&play.fold), Some(play.fold.clone()));
}

/// Any writer saying anything, with offsets that may well fit.
fn anything() -> impl Strategy<Value = Entry> {
    let (stamp, claim, seq) = ((0..12_i64, 1..12_u64).prop_map(|(epoch, seq)| Stamp { epoch, seq }), 0..40_i64, 0..3_u32);
    let piece = any::<bool>().prop_map(|visible| Piece { data: Bytes::new(), visible });
    prop_oneof![
        1 => Just(Entry::Adopt),
        4 => (stamp.clone(), 0..4_u128).prop_map(|(stamp, number)| Entry::Submit { stamp, task: task(number), said: 0, taken: 0, holder: Bytes::new() }),
        1 => (stamp, 0..4_u128).prop_map(|(stamp, number)| Entry::Cancel { stamp, task: task(number), why: Bytes::new() }),
        6 => (0..40_i64).prop_map(|submitted| Entry::Claim { submitted }),
        6 => (claim.clone(), seq.clone(), piece).prop_map(|(claim, seq, piece)| Entry::Emit { claim, seq, pieces: vec![piece] }),
        2 => (claim.clone(), seq).prop_map(|(claim, seq)| Entry::Settle { claim, seq, end: Bytes::new(), memo: Bytes::new() }),
        2 => claim.clone().prop_map(|claim| Entry::GiveBack { claim, begun: true, attempts: 3 }),
        1 => claim.prop_map(|claim| Entry::Expire { claim, lease_millis: 2, attempts: 3 }),
    ]
}

proptest! {
    #[test]
    fn whoever_says_what_a_task_ends_once_and_never_waits_again_after_visible_output(
        said in prop::collection::vec(anything(), 1..400),
    ) {
        let mut play = Play::owned();
        let mut visible = Vec::new();
        for entry in said {
            let current = play.fold.task().map(|task| task.id);
            match play.says(&entry) {
                Ok(Effect::Pieces(id)) => {
                    prop_assert_eq!(Some(id), current);
                    if matches!(&entry, Entry::Emit { pieces, .. } if pieces[0].visible) {
                        visible.push(play.fold.task().expect("it runs").submitted);
                    }
                }
                Ok(Effect::Waiting) => {
                    let waits = play.fold.task().expect("it waits");
                    prop_assert!(!visible.contains(&waits.submitted) && waits.claim.is_none() && waits.attempts < 3);
                }
                Ok(Effect::Claimed) => prop_assert!(!visible.contains(&play.fold.task().expect("it runs").submitted)),
                Ok(Effect::Ended(id, _)) => {
                    prop_assert_eq!(Some(id), current);
                    prop_assert!(play.fold.task().is_none());
                }
                _ => {}
            }
        }
    }
}
