use http::HeaderValue;

use super::*;

fn keys_of(lines: &[(&'static str, &'static str)]) -> Vec<String> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_static(value));
    }
    presented(&headers).map(str::to_owned).collect()
}

#[test]
fn a_key_is_read_from_both_headers_and_nothing_else_is_one() {
    assert_eq!(keys_of(&[("authorization", "Bearer tg_a")]), ["tg_a"]);
    assert_eq!(keys_of(&[("authorization", "bearer  tg_a ")]), ["tg_a"]);
    assert_eq!(keys_of(&[("x-api-key", " tg_b ")]), ["tg_b"]);
    assert_eq!(keys_of(&[("authorization", "Basic eDp5"), ("x-api-key", "tg_b")]), ["tg_b"]);
    assert_eq!(keys_of(&[("authorization", "Bearer tg_a"), ("x-api-key", "tg_b")]), ["tg_a", "tg_b"]);
    for authorization in ["Basic tg_a", "tg_a", "Bearer", ""] {
        assert!(keys_of(&[("authorization", authorization)]).is_empty(), "{authorization}");
    }
}
