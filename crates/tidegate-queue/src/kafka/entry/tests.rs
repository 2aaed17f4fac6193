use super::*;

fn every_kind() -> Vec<Entry> {
    let (stamp, seen, task) = (Stamp { epoch: 7, seq: 3 }, Position { offset: 5, part: 1 }, TaskId::new(1, 9));
    let data = Bytes::from_static(b"said");
    vec![
        Entry::Create,
        Entry::Adopt,
        Entry::Journal { stamp, seen, entries: vec![data.clone(), Bytes::new()] },
        Entry::Journal { stamp, seen: Position::START, entries: Vec::new() },
        Entry::Snapshot { stamp, seen, state: data.clone() },
        Entry::Submit { stamp, task, said: 5, taken: 3, holder: data.clone() },
        Entry::Submit { stamp, task, said: 0, taken: 0, holder: Bytes::new() },
        Entry::Taken { epoch: 7, taken: u64::MAX },
        Entry::Cancel { stamp, task, why: Bytes::new() },
        Entry::End { stamp },
        Entry::Claim { submitted: 4 },
        Entry::Emit {
            claim: 4,
            seq: 2,
            pieces: vec![Piece { data: data.clone(), visible: true }, Piece { data: Bytes::new(), visible: false }],
        },
        Entry::Settle { claim: 4, seq: 2, end: data.clone(), memo: data },
        Entry::Renew { claim: 4 },
        Entry::GiveBack { claim: 4, begun: false, attempts: 5 },
        Entry::Expire { claim: 4, lease_millis: 30_000, attempts: 5 },
    ]
}

const MARK: Mark = Mark { writer: 11, number: 12 };

#[test]
fn every_entry_is_read_as_it_was_written() {
    for entry in every_kind() {
        assert_eq!(decode(&encode(MARK, &entry)), Some((MARK, entry)));
    }
}

#[test]
fn an_entry_of_a_later_version_or_a_torn_one_is_none() {
    assert_eq!(decode(b""), None);
    assert_eq!(decode(&[0xff; 40]), None);
    for entry in [Entry::Claim { submitted: 4 }, Entry::Renew { claim: 4 }] {
        let mut bytes = encode(MARK, &entry).to_vec();
        bytes.pop();
        assert_eq!(decode(&bytes), None, "{entry:?}");
        bytes.extend([0, 0]);
        assert_eq!(decode(&bytes), None, "{entry:?}");
    }
}
