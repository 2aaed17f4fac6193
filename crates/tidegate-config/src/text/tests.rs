use super::*;

fn seconds(text: &str) -> Option<f64> {
    parse_duration(text).ok().map(|length| length.as_secs_f64())
}

#[test]
fn a_length_of_time_is_a_whole_number_with_a_unit() {
    let table = [("250ms", 0.25), ("15s", 15.0), ("15 s", 15.0), ("2m", 120.0), ("1h", 3600.0), ("30d", 2_592_000.0)];
    for (text, length) in table {
        assert_eq!(seconds(text), Some(length), "{text}");
    }
    for text in ["", "s", "15", "1.5s", "-1s", "15 sec", "15S", "0s", "1s1s", "4000d", "99999999999999999999s", "18446744073709551615d"] {
        assert_eq!(seconds(text), None, "{text}");
    }
}

#[test]
fn a_size_is_a_whole_number_with_a_unit() {
    let table = [("1B", 1), ("64KiB", 65_536), ("20MiB", 20_971_520), ("1GB", 1_000_000_000), ("2 kB", 2000)];
    for (text, size) in table {
        assert_eq!(parse_size(text).ok(), Some(size), "{text}");
    }
    for text in ["", "20", "20M", "0B", "1.5MiB", "-1B", "1025GiB", "99999999999999999999B"] {
        assert!(parse_size(text).is_err(), "{text}");
    }
}

#[test]
fn lengths_and_sizes_are_written_so_that_they_read_well() {
    let lengths = [(1, "1ms"), (1500, "1500ms"), (180_000, "180s"), (900_000, "15m"), (7_200_000, "2h"), (2_592_000_000, "30d")];
    for (millis, text) in lengths {
        assert_eq!(duration_text(Duration::from_millis(millis)), text);
    }
    for (size, text) in [(1, "1B"), (65_536, "64KiB"), (20_971_520, "20MiB"), (1_000_000, "1000000B")] {
        assert_eq!(size_text(size), text);
    }
}

#[test]
fn an_address_that_is_almost_one_is_answered_with_the_right_one() {
    let remedy = |text: &str| parse_address(text).unwrap_err().remedy;
    assert_eq!(remedy("localhost:80"), "write \"127.0.0.1:80\"");
    assert_eq!(remedy(":80"), "write \"127.0.0.1:80\", or \"0.0.0.0:80\" for every interface");
    assert_eq!(remedy("80"), "write \"127.0.0.1:80\", or \"0.0.0.0:80\" for every interface");
    assert_eq!(remedy("example.org:80"), "write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"");
    assert!(parse_address("[::1]:8080").is_ok());
}

#[test]
fn an_address_of_a_server_has_neither_query_nor_credentials() {
    for text in ["https://api.openai.com/v1", "http://127.0.0.1:9090", "http://[::1]:9090/x/"] {
        assert!(parse_url(text).is_ok(), "{text}");
    }
    for text in
        ["", "api.openai.com", "ftp://host", "https://", "https://u@host", "https://u:p@host", "https://host?key=1", "https://host#x"]
    {
        assert!(parse_url(text).is_err(), "{text}");
    }
}

#[test]
fn an_address_of_a_proxy_may_have_credentials_which_are_not_shown() {
    for (text, shown) in [
        ("http://proxy.internal:3128", "http://proxy.internal:3128/"),
        ("http://name:p%40ss@proxy:3128/", "http://***@proxy:3128/"),
        ("http://token@proxy:3128", "http://***@proxy:3128/"),
        ("http://:password@proxy:3128", "http://***@proxy:3128/"),
    ] {
        assert_eq!(parse_proxy(text).map(|url| masked_text(&url)), Ok(shown.to_owned()));
    }
    for text in ["", "proxy:3128", "https://proxy:3128", "socks5://proxy", "http://proxy/path", "http://proxy?x", "http://proxy#x"] {
        assert!(parse_proxy(text).is_err(), "{text}");
    }
}

#[test]
fn an_address_of_a_redis_server_may_have_a_password_which_is_not_shown() {
    for (text, shown) in [
        ("redis://cache", "redis://cache"),
        ("redis://:p%40ss@cache:6379/0", "redis://***@cache:6379/0"),
        ("rediss://name:pass@cache:6380", "rediss://***@cache:6380"),
    ] {
        assert_eq!(parse_redis(text).map(|url| masked_text(&url)), Ok(shown.to_owned()));
    }
    for text in ["", "cache:6379", "http://cache", "redis:cache", "redis://", "redis://cache:port"] {
        assert!(parse_redis(text).is_err(), "{text}");
    }
}

#[test]
fn a_broker_is_host_and_port() {
    for text in ["kafka-1:9092", "10.0.0.1:9092", "[::1]:9092"] {
        assert_eq!(parse_broker(text).as_deref(), Ok(text));
    }
    for text in ["", "kafka-1", "kafka-1:", ":9092", "kafka-1:0", "kafka-1:70000", "kafka://kafka-1:9092", "::1:9092", "a b:9092"] {
        assert!(parse_broker(text).is_err(), "{text}");
    }
}

#[test]
fn names_of_topics_begin_with_what_kafka_takes_and_nothing_else() {
    let long = "x".repeat(200);
    for text in ["tidegate", "Team-1.tidegate_v2", &long] {
        assert_eq!(parse_topics(text).as_deref(), Ok(text));
    }
    for text in ["", "tide gate", "tide/gate", "flut☃", &format!("{long}x")] {
        assert!(parse_topics(text).is_err(), "{text}");
    }
}

#[test]
fn an_origin_is_written_as_browsers_do() {
    for (text, origin) in [
        ("*", "*"),
        ("https://app.example.com", "https://app.example.com"),
        ("HTTPS://App.Example.com:443", "https://app.example.com"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://[::1]:80", "http://[::1]"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("chrome-extension://abcdef", "chrome-extension://abcdef"),
    ] {
        assert_eq!(parse_origin(text).as_deref(), Ok(origin));
    }
    for text in [
        "",
        "null",
        "app.example.com",
        "localhost:5173",
        "https://a/",
        "https://a/b",
        "https://a?x",
        "https://u@a",
        "https://*.a",
        "file://",
    ] {
        assert!(parse_origin(text).is_err(), "{text}");
    }
}

#[test]
fn a_length_or_size_outside_its_bounds_is_refused() {
    let is_within = |form: Form, text, least, most| form.check_bounds(text, Some((least, most))).is_ok();
    for (text, wanted) in [("999ms", false), ("1s", true), ("60m", true), ("3601s", false)] {
        assert_eq!(is_within(Form::Duration, text, "1s", "1h"), wanted, "{text}");
    }
    for (text, wanted) in [("1023B", false), ("1KiB", true), ("64MiB", true), ("1GB", false)] {
        assert_eq!(is_within(Form::Size, text, "1KiB", "64MiB"), wanted, "{text}");
    }
    assert!(Form::Duration.check_bounds("1ms", None).is_ok());
}

#[test]
fn a_secret_fits_into_a_header() {
    assert!(check_secret("sk-abc def").is_ok());
    for text in ["", "sk\n", " sk", "sk ", "sk\0", "schlüssel"] {
        assert!(check_secret(text).is_err(), "{text:?}");
    }
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_length_of_time_reads_back_as_it_was_written(millis in 1_u64..=3650 * 86_400_000) {
            let length = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&duration_text(length)), Ok(length));
        }

        #[test]
        fn every_size_reads_back_as_it_was_written(size in 1_usize..=1 << 40) {
            prop_assert_eq!(parse_size(&size_text(size)), Ok(size));
        }
    }
}
