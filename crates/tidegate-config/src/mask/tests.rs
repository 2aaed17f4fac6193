use expect_test::expect;

use super::*;

#[test]
fn of_a_broken_file_only_names_and_plain_public_values_are_shown() {
    let source = "\
[providers.openai]
api_key = \"sk-secret
base_url = \"https://user:secret@host\"
http2 = \"auto
http2 = \"auto\" api_key = \"sk-secret\"
x = 'secret'
sk-secret\"
headers = { X-Key = \"secret\" }
max_body = 20MiB
";
    expect![[r#"
        [providers.openai]
        api_key =*"*********
        base_url =*"************************"
        http2 = "auto
        http2 =*"****"***********"*********"
        ****'******'
        *********"
        headers =***********"******"**
        max_body = 20MiB
    "#]]
    .assert_eq(&suspicious_lines(source));
}

#[test]
fn only_a_whole_reference_counts_as_one() {
    assert!(is_reference("\"${OPENAI_API_KEY}\""));
    assert!(!is_reference("\"${OPENAI_API_KEY}-tail\""));
    assert!(!is_reference("\"${not a name}\""));
    assert!(!is_reference("\"sk-secret\""));
}

#[test]
fn masking_keeps_every_column_and_line() {
    assert_eq!(spans("a = \"sé\ncret\" # b", std::iter::once(4..13)), "a = \"***\n****\" # b");
}

#[test]
fn comments_are_found_beside_names_and_values_that_look_like_them() {
    let source = "# one\n\"a#b\".'#' = [\"#\", # two\n 1]#\nd = \"\"\"\n# text\n\"\"\" # three\n";
    let found: Vec<&str> = comments(source).into_iter().map(|span| &source[span]).collect();
    assert_eq!(found, [" one\n", " two\n", "\n", " three\n"]);
}
