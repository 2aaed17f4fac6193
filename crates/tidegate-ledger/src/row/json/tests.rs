use std::collections::BTreeMap;

use serde::Serialize;

use super::write;

#[derive(Serialize, Default)]
struct Outer<'a> {
    first: Option<u64>,
    text: &'a str,
    list: Vec<Inner>,
    nothing: Option<&'a str>,
    last: Option<f64>,
}

#[derive(Serialize)]
struct Inner {
    count: Option<u64>,
    kind: Option<Kind>,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    VeryGood,
}

fn json(value: &impl Serialize) -> String {
    let mut out = Vec::new();
    write(&mut out, value).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn members_that_are_null_are_left_out_wherever_they_stand() {
    let list =
        vec![Inner { count: None, kind: None }, Inner { count: None, kind: Some(Kind::VeryGood) }, Inner { count: Some(2), kind: None }];
    assert_eq!(json(&Outer { list, ..Outer::default() }), r#"{"text":"","list":[{},{"kind":"very_good"},{"count":2}]}"#);
    assert_eq!(json(&Outer { first: Some(1), last: Some(0.5), ..Outer::default() }), r#"{"first":1,"text":"","list":[],"last":0.5}"#);
}

#[test]
fn a_text_is_written_as_every_json_writer_writes_it() {
    for text in ["", "plain", "öffnet 開く 🌊", "\"", "\\", "a\nb", "\u{0}\u{1f}\u{7f}", "{[,", r#"","code":null,"x": {"\":null"} \"#]
    {
        assert_eq!(json(&text), serde_json::to_string(text).unwrap());
    }
}

#[test]
fn what_no_record_holds_is_refused() {
    assert!(write(&mut Vec::new(), &BTreeMap::from([("a", 1)])).is_err());
    assert!(write(&mut Vec::new(), &(1, 2)).is_err());
}
