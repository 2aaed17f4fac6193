use std::time::Duration;

use http_body_util::{Empty, Full};
use tempfile::TempDir;
use tidegate_ledger::{Keys, NewKey};

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const NOW: Moment = Moment::ORIGIN;

type Handshake = Request<Empty<&'static [u8]>>;

/// The client's handshake of RFC 6455, section 1.3, without what is optional in it.
fn handshake() -> Handshake {
    with(
        Request::get("/v1/sessions").body(Empty::new()).expect("a request"),
        &[
            ("host", "server.example.com"),
            ("upgrade", "websocket"),
            ("connection", "Upgrade"),
            ("sec-websocket-key", KEY),
            ("sec-websocket-version", "13"),
        ],
    )
}

/// The request with these headers in the place of those of the same names; an empty value takes one away.
fn with(mut request: Handshake, headers: &[(&'static str, &str)]) -> Handshake {
    for (name, _) in headers {
        request.headers_mut().remove(*name);
    }
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request.headers_mut().append(*name, value.parse().expect("a header's value"));
    }
    request
}

fn at(uri: &str) -> Handshake {
    let mut request = handshake();
    *request.uri_mut() = uri.parse().expect("an address");
    request
}

/// What stands behind a door.
#[derive(Default)]
struct House {
    keys: KeyTable,
    tickets: Tickets,
    sessions: Permits,
    allowed_origins: Vec<String>,
}

impl House {
    /// A house with a key, and that key.
    fn locked() -> (Self, String) {
        let folder = TempDir::new().expect("a folder");
        let mut keys = Keys::open(folder.path().join("ledger.db")).expect("a ledger");
        let (_, key) = keys.create(&NewKey::default()).expect("a key");
        (Self { keys: keys.table().expect("a table"), ..Self::default() }, key)
    }

    fn door(&self) -> Door<'_> {
        Door {
            keys: &self.keys,
            tickets: &self.tickets,
            allowed_origins: &self.allowed_origins,
            sessions: &self.sessions,
            most_sessions: 2,
            stage: Stage::Serving,
            now: NOW,
        }
    }

    fn judge(&self, request: &Handshake) -> Result<Admitted, Refused> {
        self.door().judge(request)
    }

    fn refusal(&self, request: &Handshake) -> Option<Refused> {
        self.judge(request).err()
    }
}

fn header<'r>(response: &'r Response, name: &str) -> Option<&'r str> {
    response.headers().get(name).map(|value| value.to_str().expect("text"))
}

#[test]
fn the_example_of_the_rfc_is_answered_as_the_rfc_says() {
    let offer = with(handshake(), &[("origin", "http://server.example.com"), ("sec-websocket-protocol", "chat, superchat")]);
    let admitted = House::default().judge(&offer).expect("admitted");
    let response = &admitted.response;
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(header(response, "upgrade"), Some("websocket"));
    assert_eq!(header(response, "connection"), Some("upgrade"));
    assert_eq!(header(response, "sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_eq!(header(response, "sec-websocket-protocol"), None);
    assert_eq!((admitted.client, response.headers().len()), (Client::Plain, 3));
}

#[test]
fn names_are_read_in_any_case_and_among_others() {
    for headers in [
        [("upgrade", "WebSocket"), ("connection", "upgrade")],
        [("upgrade", "h2c, websocket"), ("connection", "keep-alive, Upgrade")],
        [("upgrade", "websocket,"), ("connection", " , UPGRADE")],
    ] {
        assert!(House::default().judge(&with(handshake(), &headers)).is_ok(), "{headers:?}");
    }
    let over_two_lines = with(handshake(), &[("connection", "keep-alive"), ("connection", "Upgrade")]);
    assert!(House::default().judge(&over_two_lines).is_ok());
}

#[test]
fn a_key_whose_last_digit_has_idle_bits_is_one() {
    // RFC 6455, section 4.1: the bytes 1 to 16.
    assert!(House::default().judge(&with(handshake(), &[("sec-websocket-key", "AQIDBAUGBwgJCgsMDQ4PEC==")])).is_ok());
}

#[test]
fn what_is_no_handshake_is_refused() {
    let house = House::default();
    for (headers, status) in [
        (vec![("host", "")], 400),
        (vec![("host", "a.example"), ("host", "b.example")], 400),
        (vec![("connection", "")], 400),
        (vec![("connection", "keep-alive")], 400),
        (vec![("sec-websocket-key", "")], 400),
        (vec![("sec-websocket-key", KEY), ("sec-websocket-key", KEY)], 400),
        (vec![("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ")], 400),
        (vec![("sec-websocket-key", "dGhlIHNhbXBsZSBub25j")], 400),
        (vec![("sec-websocket-key", "not base64, 24 chars====")], 400),
        (vec![("upgrade", "")], 426),
        (vec![("upgrade", "h2c")], 426),
        (vec![("upgrade", "websocket2")], 426),
        (vec![("sec-websocket-version", "")], 426),
        (vec![("sec-websocket-version", "8")], 426),
        (vec![("sec-websocket-version", "13, 8")], 426),
    ] {
        let response = house.refusal(&with(handshake(), &headers)).expect("refused").response();
        assert_eq!(response.status(), status, "{headers:?}");
        let wants_version = (status == 426).then_some("13");
        assert_eq!(header(&response, "sec-websocket-version"), wants_version, "{headers:?}");
        assert_eq!(header(&response, "upgrade").is_some(), status == 426, "{headers:?}");
    }
    assert_eq!(house.sessions.running(), 0);
}

#[test]
fn other_methods_older_versions_and_bodies_are_refused() {
    let mut post = handshake();
    *post.method_mut() = Method::POST;
    let refused = House::default().refusal(&post).expect("refused").response();
    assert_eq!((refused.status(), header(&refused, "allow")), (StatusCode::METHOD_NOT_ALLOWED, Some("GET")));

    let mut old = handshake();
    *old.version_mut() = Version::HTTP_10;
    assert!(matches!(House::default().refusal(&old), Some(Refused::Malformed(_))));

    let laden = handshake().map(|_| Full::new(&b"body"[..]));
    assert!(matches!(House::default().door().judge(&laden), Err(Refused::Malformed(_))));
}

#[test]
fn of_what_is_offered_only_the_subprotocol_is_taken_and_the_key_is_not_repeated() {
    let (house, key) = House::locked();
    let offered = with(
        handshake(),
        &[
            ("sec-websocket-protocol", &format!("tidegate.v1, bearer.{key}")),
            ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
        ],
    );
    let admitted = house.judge(&offered).expect("admitted");
    assert_eq!(admitted.client, Client::Resumable);
    assert_eq!(header(&admitted.response, "sec-websocket-protocol"), Some("tidegate.v1"));
    assert_eq!(header(&admitted.response, "sec-websocket-extensions"), None);
    assert!(!format!("{:?} {:?}", admitted.response.headers(), admitted.caller).contains(&key));
}

#[test]
fn each_of_three_ways_to_say_who_it_is_admits() {
    let (house, key) = House::locked();
    let wrong = format!("bearer.{}x", &key[..45]);
    for headers in [
        vec![("authorization", format!("Bearer {key}"))],
        vec![("x-api-key", key.clone())],
        vec![("sec-websocket-protocol", format!("bearer.{key}"))],
        vec![("sec-websocket-protocol", "tidegate.v1".to_owned()), ("sec-websocket-protocol", format!("bearer.{key}"))],
        vec![("authorization", "Basic eDp5".to_owned()), ("sec-websocket-protocol", format!("{wrong}, bearer.{key}"))],
    ] {
        let headers: Vec<(&'static str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let admitted = house.judge(&with(handshake(), &headers));
        assert!(matches!(admitted, Ok(Admitted { caller: Caller::Key(_), .. })), "{headers:?}");
    }
    let owner = auth::caller(with(handshake(), &[("x-api-key", &key)]).headers(), &house.keys).expect("in force");
    let ticket = house.tickets.issue(&owner, NOW).expect("room");
    let admitted = house.judge(&at(&format!("/v1/sessions?a=b&ticket={ticket}"))).expect("admitted");
    assert_eq!(admitted.caller.key_id(), owner.key_id());
}

#[test]
fn without_a_valid_key_or_ticket_it_is_401_and_nothing_is_repeated() {
    let (house, key) = House::locked();
    let wrong = format!("{}x", &key[..45]);
    for request in [
        handshake(),
        with(handshake(), &[("authorization", &format!("Bearer {wrong}"))]),
        with(handshake(), &[("sec-websocket-protocol", &format!("tidegate.v1, bearer.{wrong}"))]),
        with(handshake(), &[("sec-websocket-protocol", &format!("tidegate.v1, {key}"))]),
        at(&format!("/v1/sessions?ticket={wrong}")),
        at("/v1/sessions?ticket="),
        // A key does not belong into an address, which proxies log.
        at(&format!("/v1/sessions?ticket={key}")),
    ] {
        let response = house.refusal(&request).expect("refused").response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{request:?}");
        let told = format!("{response:?}");
        assert!(!told.contains(&wrong) && !told.contains(&key), "{told}");
    }
    assert_eq!(house.sessions.running(), 0);
}

#[test]
fn an_open_house_takes_everybody_but_who_shows_a_ticket_that_is_none() {
    let house = House::default();
    let ticket = house.tickets.issue(&Caller::Open, NOW).expect("room");
    let with_ticket = at(&format!("/?ticket={ticket}"));
    assert!(house.judge(&handshake()).is_ok());
    assert!(house.judge(&with_ticket).is_ok());
    assert_eq!(house.refusal(&with_ticket), Some(Refused::Ticket), "used");
}

#[test]
fn a_refusal_for_another_reason_leaves_the_ticket_valid() {
    let house = House::default();
    let ticket = house.tickets.issue(&Caller::Open, NOW).expect("room");
    let request = at(&format!("/v1/sessions?ticket={ticket}"));
    let foreign = with(request.clone(), &[("origin", "https://elsewhere.example")]);
    assert_eq!(house.refusal(&foreign), Some(Refused::Origin));
    let full = Door { most_sessions: 0, ..house.door() };
    assert_eq!(full.judge(&request).err(), Some(Refused::Full));
    let late = Door { now: NOW + Duration::from_secs(59), ..house.door() };
    assert!(late.judge(&request).is_ok());
}

#[test]
fn pages_of_the_own_origin_and_clients_without_one_may_connect() {
    let house = House::default();
    for (origin, host, may) in [
        ("http://tide.example:8080", "tide.example:8080", true),
        ("http://Tide.Example", "tide.example", true),
        ("https://tide.example", "tide.example", true),
        ("https://tide.example", "tide.example:443", true),
        ("http://tide.example", "tide.example:80", true),
        ("http://[::1]:8080", "[::1]:8080", true),
        ("http://tide.example:8080", "tide.example:8081", false),
        ("http://tide.example", "tide.example:8080", false),
        ("https://tide.example", "tide.example:80", false),
        ("https://tide.example.elsewhere.example", "tide.example", false),
        ("https://nottide.example", "tide.example", false),
        ("file://tide.example", "tide.example", false),
        ("null", "null", false),
        ("tide.example", "tide.example", false),
    ] {
        let refused = house.refusal(&with(handshake(), &[("origin", origin), ("host", host)]));
        assert_eq!(refused.is_none(), may, "{origin} at {host}");
    }
    let two = with(handshake(), &[("origin", "http://server.example.com"), ("origin", "http://server.example.com")]);
    assert_eq!(house.refusal(&two), Some(Refused::Origin));
}

#[test]
fn pages_of_listed_origins_may_connect_and_a_star_lists_all() {
    let listing =
        |origins: &[&str]| House { allowed_origins: origins.iter().map(|&origin| origin.to_owned()).collect(), ..House::default() };
    let app = listing(&["https://app.example", "https://other.example:8443"]);
    for (origin, may) in [
        ("https://app.example", true),
        ("https://APP.example", true),
        ("https://other.example:8443", true),
        ("http://server.example.com", true),
        ("http://app.example", false),
        ("https://app.example:8443", false),
        ("https://evil.example", false),
        ("null", false),
    ] {
        assert_eq!(app.judge(&with(handshake(), &[("origin", origin)])).is_ok(), may, "{origin}");
    }
    let all = listing(&["*"]);
    for origin in ["https://evil.example", "null", "file://"] {
        assert!(all.judge(&with(handshake(), &[("origin", origin)])).is_ok(), "{origin}");
    }
    let response = app.refusal(&with(handshake(), &[("origin", "https://evil.example")])).expect("refused").response();
    assert_eq!((response.status(), header(&response, "x-should-retry")), (StatusCode::FORBIDDEN, Some("false")));
}

#[test]
fn a_full_house_and_a_closing_one_say_when_to_come_back() {
    let house = House::default();
    let places: Vec<Admitted> = (0..2).map(|_| house.judge(&handshake()).expect("room for two")).collect();
    let full = house.refusal(&handshake()).expect("refused");
    drop(places);
    assert!(house.judge(&handshake()).is_ok());
    let draining = Door { stage: Stage::Draining, ..house.door() }.judge(&handshake()).expect_err("refused");
    assert_eq!((full, draining), (Refused::Full, Refused::Draining));
    for refused in [full, draining] {
        let response = refused.response();
        assert_eq!((response.status(), header(&response, "retry-after")), (StatusCode::SERVICE_UNAVAILABLE, Some("1")));
    }
}

#[test]
fn each_refusal_is_told_as_a_row_of_the_failure_table() {
    let told: Vec<(u16, &str)> = [
        Refused::Method,
        Refused::NotWebSocket,
        Refused::Malformed("so"),
        Refused::Origin,
        Refused::Draining,
        Refused::Full,
        Refused::Key,
        Refused::Ticket,
    ]
    .map(|refused| (refused.response().status().as_u16(), refused.failure().code()))
    .to_vec();
    let expected = [
        (405, "invalid_request"),
        (426, "invalid_request"),
        (400, "invalid_request"),
        (403, "invalid_request"),
        (503, "gateway_draining"),
        (503, "gateway_overloaded"),
        (401, "invalid_api_key"),
        (401, "invalid_api_key"),
    ];
    assert_eq!(told, expected);
}
