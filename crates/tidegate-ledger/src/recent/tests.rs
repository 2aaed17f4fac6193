use super::*;
use crate::testing::Folder;

fn opened(id: &str, record: &str) -> Fact {
    Fact::Open { n: 1, id: id.to_owned(), record: record.to_owned() }
}

fn read(folder: &Folder) -> Vec<(String, String)> {
    let text = fs::read_to_string(Recent::path(&folder.ledger())).expect("the file is there");
    left(&text).map(|row| (row.id.to_owned(), row.record.to_owned())).collect()
}

fn pairs(rows: &[(&str, &str)]) -> Vec<(String, String)> {
    rows.iter().map(|(id, record)| ((*id).to_owned(), (*record).to_owned())).collect()
}

#[test]
fn rows_are_read_in_the_order_in_which_they_came() {
    let folder = Folder::new();
    let mut recent = Recent::create(Recent::path(&folder.ledger())).expect("a file");
    assert!(recent.append(&[opened("a", r#"{"x": "1 1"}"#), opened("b", "{}")]));
    assert!(recent.append(&[opened("c", "{}")]));
    assert_eq!(read(&folder), pairs(&[("a", r#"{"x": "1 1"}"#), ("b", "{}"), ("c", "{}")]));
}

#[test]
fn a_new_round_hides_the_rows_of_the_last_one() {
    let folder = Folder::new();
    let mut recent = Recent::create(Recent::path(&folder.ledger())).expect("a file");
    assert!(recent.append(&[opened("a", "{}"), opened("b", "{}"), opened("c", "{}")]));
    recent.clear();
    assert!(recent.append(&[opened("d", "{}")]));
    assert_eq!(read(&folder), pairs(&[("d", "{}")]));
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
    let mut recent = Recent::create(Recent::path(&folder.ledger())).expect("a file");
    recent.is_torn = true;
    assert!(!recent.append(&[opened("a", "{}")]));
    recent.clear();
    assert!(recent.append(&[opened("a", "{}")]));
}
