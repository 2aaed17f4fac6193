use http::HeaderValue;

use super::*;

fn wishes(pairs: &[(&'static str, &str)]) -> Result<Wishes, (Failure, &'static str)> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.insert(*name, HeaderValue::from_str(value).expect("a header"));
    }
    Wishes::of(&Given::of(&headers))
}

#[test]
fn a_client_with_little_patience_gets_its_head_and_keepalives_in_time() {
    let configured = Duration::from_secs(10);
    let impatient = wishes(&[("x-stainless-read-timeout", "4")]).expect("valid");
    assert_eq!(impatient.keepalive(configured), Duration::from_secs(2));
    assert_eq!(impatient.head_after(Duration::from_secs(5)), Duration::from_millis(3200));
    let patient = wishes(&[("x-stainless-read-timeout", "600")]).expect("valid");
    assert_eq!(patient.keepalive(configured), configured);
    let odd = wishes(&[("x-stainless-timeout", "NOT_GIVEN"), ("x-stainless-read-timeout", "-1")]).expect("hints are ignored");
    assert_eq!(odd.keepalive(configured), configured);
    let absurd = wishes(&[("x-stainless-read-timeout", "0.000001")]).expect("valid");
    assert_eq!(absurd.keepalive(configured), SHORTEST_KEEPALIVE);
    // As long as a duration can be: a client's header must not make the arithmetic overflow.
    let eternal = wishes(&[("x-stainless-timeout", "1e19"), ("x-stainless-read-timeout", "1.8e19")]).expect("valid");
    assert_eq!((eternal.head_after(configured), eternal.keepalive(configured)), (configured, configured));
}

#[test]
fn only_a_valid_traceparent_travels_on() {
    let valid = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    assert_eq!(wishes(&[("traceparent", valid)]).expect("valid").trace_id().as_deref(), Some("0af7651916cd43dd8448eb211c80319c"));
    for bad in [
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-x",
        "",
    ] {
        assert_eq!(wishes(&[("traceparent", bad)]).expect("ignored").traceparent, None, "{bad}");
    }
}

#[test]
fn a_request_id_that_is_long_or_unprintable_is_not_taken_over() {
    assert_eq!(wishes(&[("x-request-id", "abc-1")]).expect("valid").client_request_id.as_deref(), Some("abc-1"));
    assert_eq!(wishes(&[("x-request-id", "a b")]).expect("ignored").client_request_id, None);
    assert_eq!(wishes(&[("x-request-id", &"x".repeat(129))]).expect("ignored").client_request_id, None);
}

#[test]
fn an_unknown_delivery_is_refused_and_not_guessed() {
    assert_eq!(wishes(&[("x-tidegate-delivery", "coherent")]).expect("valid").delivery, Some(DeliveryMode::Coherent));
    assert!(wishes(&[("x-tidegate-delivery", "Coherent!")]).is_err());
}

#[test]
fn of_a_header_that_is_there_twice_the_first_counts_and_every_preference_does() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-request-id", "second name"),
        ("x-client-request-id", "first"),
        ("x-client-request-id", "later"),
        ("x-tidegate-timeout-ms", "5000"),
        ("x-tidegate-timeout-ms", "1"),
        ("prefer", "wait=5"),
        ("prefer", "handling=lenient, Respond-Async"),
    ] {
        headers.append(name, HeaderValue::from_static(value));
    }
    let wishes = Wishes::of(&Given::of(&headers)).expect("valid");
    assert_eq!((wishes.client_request_id.as_deref(), wishes.deadline), (Some("first"), Some(Duration::from_secs(5))));
    assert!(wishes.prefers_async && wishes.background);
}
