//! What the types of a delivery forbid. Each program that must not compile differs from `the_life_of_a_delivery.rs`, which does, by one line.

#[test]
fn a_misused_delivery_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/ui/the_life_of_a_delivery.rs");
    for misuse in
        ["fallback_after_commit", "complete_before_commit", "complete_twice", "fail_twice", "fail_after_complete", "forge_a_commit"]
    {
        cases.compile_fail(format!("tests/ui/{misuse}.rs"));
    }
}
