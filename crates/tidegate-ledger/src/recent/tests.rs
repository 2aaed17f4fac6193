use super::*;
use crate::testing::Folder;

/// Streams have letters here.
fn id(letter: &str) -> StreamId {
    StreamId::new(u64::from(letter.as_bytes()[0]), 0)
}

fn append(recent: &mut Recent, rows: &[(&str, &str)]) -> bool {
    let mut texts = Texts::default();
    let mut opened = |(letter, text): &(&str, &str)| Fact::Open { n: 1, id: id(letter), text: texts.add(text.as_bytes()), is_noted: false };
    let facts: Vec<Fact> = rows.iter().map(&mut opened).collect();
    recent.append(&facts, &texts)
}

fn append_open(recent: &mut Recent, letter: &str) -> bool {
    recent.append_open([(id(letter), b"{}".as_slice())])
}

fn recent(folder: &Folder) -> Recent {
    Recent::create(Recent::paths(&folder.ledger())).expect("the files")
}

/// The rows of one of the files, and of the other.
fn read(folder: &Folder) -> [Vec<(String, String)>; 2] {
    Recent::paths(&folder.ledger()).map(|path| {
        let text = fs::read_to_string(path).expect("the file is there");
        left(&text).map(|row| (row.id.to_owned(), row.record.to_owned())).collect()
    })
}

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(letter, record)| (id(letter).to_string(), (*record).to_owned())).collect()
}

#[test]
fn rows_are_read_in_the_order_in_which_they_came() {
    let folder = Folder::new();
    let mut recent = recent(&folder);
    assert!(append(&mut recent, &[("a", r#"{"x": "1 1"}"#), ("b", "{}")]));
    assert!(recent.append_open([(id("c"), b"{}".as_slice()), (id("d"), b"{}".as_slice())]));
    assert_eq!(read(&folder), [pairs(&[("a", r#"{"x": "1 1"}"#), ("b", "{}"), ("c", "{}"), ("d", "{}")]), Vec::new()]);
}

#[test]
fn a_row_that_is_here_already_is_not_written_again() {
    let folder = Folder::new();
    let mut recent = recent(&folder);
    assert!(append_open(&mut recent, "a"));
    let mut texts = Texts::default();
    let mut opened = |letter, is_noted| Fact::Open { n: 1, id: id(letter), text: texts.add(b"{}"), is_noted };
    let facts = [("a", true), ("b", false)].map(|(letter, is_noted)| opened(letter, is_noted));
    assert!(recent.append(&facts, &texts));
    assert_eq!(read(&folder), [pairs(&[("a", "{}"), ("b", "{}")]), Vec::new()]);
}

#[test]
fn rows_that_come_while_the_database_takes_those_before_outlive_them() {
    let folder = Folder::new();
    let mut recent = recent(&folder);
    assert!(append(&mut recent, &[("a", "{}"), ("b", "{}")]));
    recent.turn();
    assert!(append_open(&mut recent, "c"));
    // The database has not taken the first ones yet, so there is no other file to turn to.
    recent.turn();
    assert!(append_open(&mut recent, "d"));
    assert_eq!(read(&folder), [pairs(&[("a", "{}"), ("b", "{}")]), pairs(&[("c", "{}"), ("d", "{}")])]);

    recent.free();
    recent.turn();
    assert!(append_open(&mut recent, "e"));
    assert_eq!(read(&folder), [pairs(&[("e", "{}")]), pairs(&[("c", "{}"), ("d", "{}")])], "a new round hides the rows of the last one");
}

#[test]
fn what_the_database_may_delete_is_forgotten_in_both_files() {
    let folder = Folder::new();
    let mut recent = recent(&folder);
    for id in ["a", "b"] {
        assert!(append_open(&mut recent, id));
        recent.turn();
        recent.forget();
    }
    assert_eq!(read(&folder), [Vec::new(), Vec::new()]);
}

#[test]
fn a_line_that_was_cut_anywhere_is_not_read_even_over_an_older_one() {
    let (old, new) = ("1 o a {\"x\":1} 1\n1 o b {\"x\":1} 1\n", "2 e c {\"x\":2} 2\n");
    // Without its last byte the line is whole again over an older one of the same length, so the cuts end before.
    for cut in 0..new.len() - 1 {
        for below in ["", old] {
            let mut text = new[..cut].to_owned();
            text.push_str(below.get(cut..).unwrap_or_default());
            let rows: Vec<_> = left(&text).collect();
            assert!(rows.iter().all(|row| row.record == "{\"x\":1}" && !row.ended), "{text:?} gives {rows:?}");
        }
    }
    assert_eq!(left(new).collect::<Vec<_>>(), [Left { ended: true, id: "c", record: "{\"x\":2}" }]);
}

#[test]
fn nothing_follows_half_a_line_until_the_next_round() {
    let folder = Folder::new();
    let mut recent = recent(&folder);
    recent.current.is_torn = true;
    assert!(!append(&mut recent, &[("a", "{}")]) && !append_open(&mut recent, "a"));
    recent.turn();
    assert!(append_open(&mut recent, "b"), "the other file is whole");
    recent.free();
    recent.turn();
    assert!(append_open(&mut recent, "c"));
    assert_eq!(read(&folder), [pairs(&[("c", "{}")]), pairs(&[("b", "{}")])]);
}
