use super::*;

fn output(number: u64) -> LogEntry {
    LogEntry { at: (1, number), what: What::Output(piece(number)) }
}

fn piece(number: u64) -> Output {
    Output::Piece { task: TaskId::new(0, 0), data: Bytes::from(number.to_string()) }
}

fn journal(number: u64, read: u64) -> LogEntry {
    LogEntry { at: (1, number), what: What::Journal { read: (1, read), data: Bytes::from(number.to_string()) } }
}

/// `7` is an output, `j7` a journal entry, each by its place in the log.
fn order(log: Vec<LogEntry>) -> String {
    let name = |entry: &Entry| match entry {
        Entry::Journal(data) => format!("j{}", String::from_utf8_lossy(data)),
        Entry::Output(Output::Piece { data, .. }) => String::from_utf8_lossy(data).into_owned(),
        Entry::Output(Output::Ended { .. }) => "end".to_owned(),
    };
    in_owners_order(log).iter().map(name).collect::<Vec<_>>().join(" ")
}

#[test]
fn what_an_owner_had_read_comes_before_what_it_wrote_then() {
    assert_eq!(order(vec![output(1), output(2), journal(3, 2), output(4)]), "1 2 j3 4");
}

#[test]
fn what_an_owner_had_not_read_comes_after_what_it_wrote_although_it_lies_before_it() {
    assert_eq!(order(vec![output(1), output(2), journal(3, 1), journal(4, 1), output(5), journal(6, 2)]), "1 j3 j4 2 j6 5");
}

#[test]
fn an_heir_read_everything_so_a_second_heir_sees_the_first_ones_order() {
    let taken_over = LogEntry { at: (1, 4), what: What::Owner };
    assert_eq!(order(vec![output(1), journal(2, 0), output(3), taken_over, journal(5, 4), output(6)]), "j2 1 3 j5 6");
}

#[test]
fn ids_read_as_they_are_written() {
    assert_eq!(position("17-4"), Ok((17, 4)));
    assert_eq!(id((17, 4)), "17-4");
    assert!(position("17").is_err());
}

#[test]
fn an_entry_that_nobody_wrote_is_passed_over() {
    let raw = |fields: &[&str]| ("1-1".to_owned(), fields.iter().map(|field| Bytes::copy_from_slice(field.as_bytes())).collect::<Vec<_>>());
    for fields in
        [&[][..], &["kind"], &["kind", "x"], &["kind", "piece"], &["kind", "end", "task", "task_0", "end", "lost"], &["owner", "kind"]]
    {
        let entry = LogEntry::read(raw(fields)).expect("its id is one");
        assert_eq!(entry.at, (1, 1));
        assert!(matches!(entry.what, What::Unknown), "{fields:?}");
    }
}
