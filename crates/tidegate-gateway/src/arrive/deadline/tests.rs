use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;

fn read(headers: &[(&'static str, &'static str)]) -> Result<Option<u128>, (Failure, &'static str)> {
    let headers: HeaderMap = headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect();
    of(&Given::of(&headers)).map(|deadline| deadline.map(|length| length.as_millis()))
}

#[test]
fn the_shortest_deadline_counts() {
    assert_eq!(read(&[]), Ok(None));
    assert_eq!(read(&[("x-tidegate-timeout-ms", " 5000 ")]), Ok(Some(5000)));
    let all = [("x-tidegate-timeout-ms", "5000"), ("x-envoy-expected-rq-timeout-ms", "4000"), ("grpc-timeout", "3S")];
    assert_eq!(read(&all), Ok(Some(3000)));
    assert_eq!(read(&[("grpc-timeout", "200m"), all[0]]), Ok(Some(200)));
}

#[test]
fn our_own_header_has_to_be_right_and_others_are_hints() {
    for wrong in ["", "0", "-1", "1.5", "5s", "99999999999999999999999"] {
        assert_eq!(read(&[("x-tidegate-timeout-ms", wrong)]), Err((Failure::InvalidRequest, REMEDY)), "{wrong}");
    }
    for wrong in ["", "S", "5", "5x", "0S", "123456789S", "-1S", "5ü"] {
        assert_eq!(grpc(wrong), None, "{wrong}");
    }
    assert_eq!(read(&[("x-envoy-expected-rq-timeout-ms", "soon")]), Ok(None));
}
