use super::*;

#[test]
fn the_closest_name_is_offered_and_all_names_where_none_is_close() {
    let known = ["listen", "keepalive", "drain"];
    assert_eq!(did_you_mean("lisen", &known), "did you mean \"listen\"?");
    assert_eq!(did_you_mean("KeepAlive", &known), "did you mean \"keepalive\"?");
    assert_eq!(did_you_mean("colour", &known), "write \"listen\", \"keepalive\" or \"drain\"");
    assert_eq!(did_you_mean("x", &[]), "remove it");
}

#[test]
fn the_distance_counts_edits() {
    for (a, b, edits) in [("", "", 0), ("", "abc", 3), ("abc", "abc", 0), ("kitten", "sitting", 3), ("ab", "ba", 2)] {
        assert_eq!(distance(a, b), edits, "{a} {b}");
        assert_eq!(distance(b, a), edits, "{b} {a}");
    }
}
