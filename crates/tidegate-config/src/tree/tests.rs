use super::*;

fn filled(text: &str) -> Result<String, String> {
    let env =
        BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B_2".to_owned(), "${A}".to_owned()), ("EMPTY".to_owned(), String::new())]);
    fill(text, &env).map_err(|refusal| refusal.problem.into_owned())
}

#[test]
fn a_reference_stands_for_the_variable_wherever_it_is_in_a_text() {
    assert_eq!(filled("${A}").as_deref(), Ok("1"));
    assert_eq!(filled("x${A}y${A}z").as_deref(), Ok("x1y1z"));
    assert_eq!(filled("$A $ {A} }").as_deref(), Ok("$A $ {A} }"));
}

#[test]
fn what_a_variable_holds_is_not_read_again() {
    assert_eq!(filled("${B_2}").as_deref(), Ok("${A}"));
}

#[test]
fn two_dollars_escape_a_reference() {
    assert_eq!(filled("$${A}").as_deref(), Ok("${A}"));
    assert_eq!(filled("$${A}${A}").as_deref(), Ok("${A}1"));
}

#[test]
fn a_reference_to_nothing_is_refused() {
    assert_eq!(filled("${C}").unwrap_err(), "the environment variable C is not set");
    assert_eq!(filled("${EMPTY}").unwrap_err(), "the environment variable EMPTY is empty");
    for text in ["${", "${A", "${}", "${a-b}", "${A }"] {
        assert_eq!(filled(text).unwrap_err(), "`${` begins no reference", "{text}");
    }
}

#[test]
fn a_file_that_is_absurdly_deep_is_refused_and_exhausts_nothing() {
    for source in [
        format!("a = {}", "[".repeat(100_000)),
        format!("{}a = 1", "a.".repeat(10_000)),
        "[a]\n[a".to_owned() + &".a".repeat(10_000) + "]\n",
    ] {
        let mut faults = Faults::of(&source);
        Node::parse(&source, &mut faults);
        assert!(!faults.is_empty());
    }
}
