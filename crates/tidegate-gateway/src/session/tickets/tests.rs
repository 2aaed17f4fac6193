use std::collections::HashSet;
use std::sync::Arc;

use tempfile::TempDir;
use tidegate_ledger::{Keys, NewKey};

use super::*;

const NOW: Moment = Moment::ORIGIN;

fn at(seconds: u64) -> Moment {
    NOW + Duration::from_secs(seconds)
}

fn open() -> KeyTable {
    KeyTable::default()
}

/// A ledger's keys, and a caller for each of them.
struct Ring {
    keys: Keys,
    callers: Vec<Caller>,
    _folder: TempDir,
}

impl Ring {
    fn of(count: usize) -> Self {
        let folder = TempDir::new().expect("a folder");
        let mut keys = Keys::open(folder.path().join("ledger.db")).expect("a ledger");
        let texts: Vec<String> = (0..count).map(|_| keys.create(&NewKey::default()).expect("a key").1).collect();
        let table = keys.table().expect("a table");
        let callers = texts.iter().map(|text| Caller::Key(Arc::clone(table.lookup(text).expect("in force")))).collect();
        Self { keys, callers, _folder: folder }
    }

    fn table(&self) -> KeyTable {
        self.keys.table().expect("a table")
    }
}

#[test]
fn a_ticket_admits_its_caller_once() {
    let (tickets, ring) = (Tickets::default(), Ring::of(2));
    let ticket = tickets.issue(&ring.callers[1], NOW).expect("room");
    let caller = tickets.redeem(&ticket, &ring.table(), at(59)).expect("valid");
    assert_eq!(caller.key_id(), ring.callers[1].key_id());
    assert!(tickets.redeem(&ticket, &ring.table(), at(59)).is_none());
}

#[test]
fn a_ticket_is_void_after_a_minute() {
    let tickets = Tickets::default();
    let ticket = tickets.issue(&Caller::Open, NOW).expect("room");
    assert!(tickets.redeem(&ticket, &open(), at(60)).is_none());
    assert!(tickets.redeem(&ticket, &open(), NOW).is_none(), "whoever came too late has used it up all the same");
}

#[test]
fn a_ticket_is_void_when_its_key_was_revoked_meanwhile() {
    let (tickets, mut ring) = (Tickets::default(), Ring::of(2));
    let given: Vec<String> = ring.callers.iter().map(|caller| tickets.issue(caller, NOW).expect("room")).collect();
    ring.keys.revoke(&ring.callers[0].key_id().expect("a key")).expect("revoked");
    let valid: Vec<bool> = given.iter().map(|ticket| tickets.redeem(ticket, &ring.table(), NOW).is_some()).collect();
    assert_eq!(valid, [false, true]);
}

#[test]
fn an_open_gateways_ticket_is_valid_until_the_gateway_has_a_key() {
    let (tickets, ring) = (Tickets::default(), Ring::of(1));
    let given = [tickets.issue(&Caller::Open, NOW).expect("room"), tickets.issue(&Caller::Open, NOW).expect("room")];
    assert!(matches!(tickets.redeem(&given[0], &open(), NOW), Some(Caller::Open)));
    assert!(tickets.redeem(&given[1], &ring.table(), NOW).is_none());
}

#[test]
fn what_was_never_given_is_no_ticket() {
    let tickets = Tickets::default();
    let ticket = tickets.issue(&Caller::Open, NOW).expect("room");
    for wrong in ["", " ", &ticket[1..], &format!("{ticket}="), &ticket.to_ascii_lowercase()] {
        assert!(tickets.redeem(wrong, &open(), NOW).is_none(), "{wrong:?}");
    }
}

#[test]
fn a_caller_who_uses_none_leaves_room_for_the_others_until_there_is_none() {
    let (tickets, ring) = (Tickets::default(), Ring::of(11));
    for caller in &ring.callers[..10] {
        for _ in 0..MOST_OF_ONE {
            tickets.issue(caller, NOW).expect("room");
        }
        assert_eq!(tickets.issue(caller, NOW), Err(Failure::RateLimited));
    }
    let last = &ring.callers[10];
    assert_eq!(tickets.issue(last, at(59)), Err(Failure::GatewayOverloaded));
    assert!(tickets.issue(last, at(60)).is_ok(), "expired tickets make room");
    assert_eq!(tickets.unused.lock().expect("nobody panics").len(), 1);
}

#[test]
fn tickets_are_long_differ_and_are_not_kept() {
    let tickets = Tickets::default();
    let given: HashSet<String> = (0..100).map(|_| tickets.issue(&Caller::Open, NOW).expect("room")).collect();
    assert_eq!(given.len(), 100);
    assert!(given.iter().all(|ticket| ticket.len() == 43));
    let kept = format!("{tickets:?}");
    assert!(!given.iter().any(|ticket| kept.contains(ticket)));
}
