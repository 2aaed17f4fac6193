use super::*;
use crate::testing::{Folder, eventually};

fn named(name: &str) -> NewKey {
    NewKey { name: name.to_owned(), ..NewKey::default() }
}

#[test]
fn a_key_is_known_by_its_text_and_kept_as_a_hash() {
    let folder = Folder::new();
    let mut keys = Keys::open(folder.ledger()).expect("it opens");
    assert!(keys.table().expect("a table").is_open());
    let wanted = NewKey {
        name: "ci".to_owned(),
        team: Some("search".to_owned()),
        environment: Some("staging".to_owned()),
        admin: true,
        models: Some(vec!["gpt-4o".to_owned()]),
    };
    let (id, plaintext) = keys.create(&wanted).expect("a key");
    assert!(plaintext.starts_with("tg_") && plaintext.len() == 46, "{plaintext}");

    let table = keys.table().expect("a table");
    let found = table.lookup(&plaintext).expect("it is known");
    let expected =
        KeyInfo { id, name: wanted.name, team: wanted.team, environment: wanted.environment, admin: true, models: wanted.models };
    assert_eq!(**found, expected);
    assert!(found.allows("gpt-4o") && !found.allows("gpt-4o-mini"));
    assert!(table.lookup(&plaintext[..45]).is_none() && table.lookup("").is_none());

    let bytes: Vec<u8> =
        ["ledger.db", "ledger.db-wal"].iter().flat_map(|file| std::fs::read(folder.path().join(file)).unwrap_or_default()).collect();
    assert!(!bytes.windows(20).any(|window| window == &plaintext.as_bytes()[..20]), "the file holds the key");
}

#[test]
fn a_revoked_key_is_refused_and_stays_on_the_list_and_the_gateway_does_not_open() {
    let folder = Folder::new();
    let mut keys = Keys::open(folder.ledger()).expect("it opens");
    let (id, plaintext) = keys.create(&named("one")).expect("a key");
    let prefix = plaintext[..7].to_owned();
    assert_eq!(keys.revoke(&prefix).expect("it is revoked").id, id);
    let table = keys.table().expect("a table");
    assert!(table.lookup(&plaintext).is_none() && table.is_empty() && !table.is_open());
    let list = keys.list().expect("a list");
    assert_eq!((list.len(), list[0].prefix.as_str(), list[0].revoked_unix_ms.is_some()), (1, prefix.as_str(), true));
    assert!(matches!(keys.revoke(&id.to_string()), Err(LedgerError::NoSuchKey(_))));
}

#[test]
fn a_prefix_that_two_keys_share_revokes_neither() {
    let folder = Folder::new();
    let mut keys = Keys::open(folder.ledger()).expect("it opens");
    let (first, _) = keys.create(&named("one")).expect("a key");
    keys.create(&named("two")).expect("a key");
    keys.conn.execute("UPDATE keys SET prefix = 'tg_same'", []).expect("two prefixes");
    assert!(matches!(keys.revoke("tg_same"), Err(LedgerError::AmbiguousKey { count: 2, .. })));
    keys.revoke(&first.to_string()).expect("an id is never ambiguous");
    keys.revoke("tg_same").expect("the other one is alone now");
}

#[tokio::test]
async fn a_running_gateway_sees_keys_made_and_revoked_elsewhere() {
    let folder = Folder::new();
    let ledger = folder.open();
    let table = ledger.keys();
    assert!(table.load().is_open());
    let mut keys = Keys::open(folder.ledger()).expect("it opens");
    let (id, plaintext) = keys.create(&named("one")).expect("a key");
    eventually("the new key is known", async || table.load().lookup(&plaintext).cloned()).await;
    keys.revoke(&id.to_string()).expect("it is revoked");
    eventually("the revoked key is refused", async || table.load().lookup(&plaintext).is_none().then_some(())).await;
}

#[test]
fn a_key_is_found_by_its_id_while_it_is_in_force() {
    let folder = Folder::new();
    let mut keys = Keys::open(folder.ledger()).expect("it opens");
    let ids = ["one", "two"].map(|name| keys.create(&named(name)).expect("a key").0);
    keys.revoke(&ids[0].to_string()).expect("it is revoked");
    let table = keys.table().expect("a table");
    assert_eq!(ids.map(|id| table.by_id(id).map(|key| key.name.clone())), [None, Some("two".to_owned())]);
}
