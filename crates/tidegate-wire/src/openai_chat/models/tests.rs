use super::models_body;

#[test]
fn the_list_of_models_has_the_shape_that_sdks_read() {
    let body = models_body(["gpt-4o", "a \"b\""], 1_790_000_000);
    let expected = r#"{"object":"list","data":[{"id":"gpt-4o","object":"model","created":1790000000,"owned_by":"tidegate"},{"id":"a \"b\"","object":"model","created":1790000000,"owned_by":"tidegate"}]}"#;
    assert_eq!(body, expected);
    assert_eq!(models_body([], 0), r#"{"object":"list","data":[]}"#);
}
