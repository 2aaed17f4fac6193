use super::*;

fn public(address: &str) -> bool {
    is_public(address.parse().expect("an address"))
}

#[test]
fn addresses_that_are_not_of_the_public_internet_are_known_up_to_their_borders() {
    let private = [
        // IPv4: first and last of each range.
        "0.0.0.0",
        "0.255.255.255",
        "10.0.0.0",
        "10.1.2.3",
        "10.255.255.255",
        "100.64.0.0",
        "100.100.100.200",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "168.63.129.16",
        "169.254.0.0",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.255.255",
        "172.16.0.0",
        "172.31.255.255",
        "192.0.0.0",
        "192.0.0.192",
        "192.0.0.255",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.0",
        "192.168.255.255",
        "198.18.0.0",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.0",
        "255.255.255.255",
        // IPv6: unspecified, loopback, unique local, link-local, site-local, multicast, documentation, protocol assignments, unassigned.
        "::",
        "::1",
        "fc00::",
        "fd00:ec2::254",
        "fdff:ffff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
        "2001:db8:ffff::1",
        "3fff::1",
        "3fff:fff::1",
        "2001::1",
        "2001:2::1",
        "2001:10::1",
        "2001:20::1",
        "2001:1ff::1",
        "100::1",
        "5f00::1",
        "4000::1",
        "e000::1",
        // IPv4 inside IPv6: mapped, compatible, translated, NAT64, 6to4.
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0.0.0.0",
        "::127.0.0.1",
        "::8.8.8.8",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::8.8.8.8",
        "64:ff9b:0:0:0:1:808:808",
        "2002:7f00:1::",
        "2002:a00:1::1",
        "2002:a9fe:a9fe::1",
        "2002:c0a8:101::1",
    ];
    let wrong: Vec<&str> = private.into_iter().filter(|address| public(address)).collect();
    assert!(wrong.is_empty(), "these count as public: {wrong:?}");
}

#[test]
fn addresses_beside_the_special_ranges_are_public() {
    let fine = [
        "1.0.0.0",
        "8.8.8.8",
        "9.255.255.255",
        "11.0.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "126.255.255.255",
        "128.0.0.0",
        "168.63.129.15",
        "168.63.129.17",
        "169.253.255.255",
        "169.255.0.0",
        "172.15.255.255",
        "172.32.0.0",
        "191.255.255.255",
        "192.0.1.0",
        "192.0.3.0",
        "192.88.98.1",
        "192.88.100.1",
        "192.167.255.255",
        "192.169.0.0",
        "198.17.255.255",
        "198.20.0.0",
        "198.51.99.255",
        "198.51.101.0",
        "203.0.112.255",
        "203.0.114.0",
        "223.255.255.255",
        "2001:200::1",
        "2001:4860:4860::8888",
        "2001:db7::1",
        "2001:db9::1",
        "2606:4700:4700::1111",
        "2a00:1450::1",
        "3ffe::1",
        "3fff:1000::1",
        "::ffff:8.8.8.8",
        "64:ff9b::8.8.8.8",
        "2002:808:808::1",
    ];
    let wrong: Vec<&str> = fine.into_iter().filter(|address| !public(address)).collect();
    assert!(wrong.is_empty(), "these count as private: {wrong:?}");
}

#[test]
fn an_address_is_judged_alike_in_every_form_that_carries_it() {
    for high in 0..=255_u8 {
        for second in [0, 16, 31, 63, 64, 88, 127, 168, 254] {
            let [a, b, c, d] = [high, second, 2, 1];
            let plain = public(&format!("{a}.{b}.{c}.{d}"));
            for form in
                [format!("::ffff:{a}.{b}.{c}.{d}"), format!("64:ff9b::{a}.{b}.{c}.{d}"), format!("2002:{a:02x}{b:02x}:{c:02x}{d:02x}::")]
            {
                assert_eq!(public(&form), plain, "{form}");
            }
        }
    }
}

#[test]
fn a_private_host_is_refused_however_it_is_written() {
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "127.0.0.1.",
        "0",
        "①②⑦.0.0.1",
        "127%2e0.0.1",
        "169.254.169.254",
        "0xa9fea9fe",
        "10.0.0.8:8443",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[fd00:ec2::254]",
        "[64:ff9b::a9fe:a9fe]",
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "localhost:443",
    ];
    for host in hosts {
        let refused = check_url(&format!("https://{host}/hook"), false);
        assert!(matches!(refused, Err(BadWebhookUrl::Private(_))), "{host}: {refused:?}");
        check_url(&format!("http://{host}/hook"), true).expect("the operator allows it");
    }
}

#[test]
fn a_public_address_is_taken_as_it_is() {
    for url in ["https://hooks.example/t?x=1", "https://hooks.example:8443/", "https://8.8.8.8/", "https://localhost.example/"] {
        assert_eq!(check_url(url, false).expect("it is fine").as_str(), url);
    }
}

#[test]
fn each_fault_of_an_address_is_told_with_its_remedy_and_without_its_secrets() {
    let long = format!("https://hooks.example/{}", "a".repeat(MAX_URL));
    let cases = [
        ("hooks.example/s3cret", "cannot be read (relative URL without a base); write it as https://host/path"),
        ("https:///s3cret@", "cannot be read (empty host); write it as https://host/path"),
        ("https://hooks.example:99999/s3cret", "cannot be read (invalid port number); write it as https://host/path"),
        ("http://hooks.example/s3cret", "begins with http://; write https:// (http:// needs notify.allow_private)"),
        ("ftp://hooks.example/s3cret", "begins with ftp://; write https:// (http:// needs notify.allow_private)"),
        ("https://me:s3cret@hooks.example/", "carries a name or password; remove it, the signature proves who sends"),
        ("https://s3cret@hooks.example/", "carries a name or password; remove it, the signature proves who sends"),
        (long.as_str(), "has more than 2048 characters; shorten it"),
    ];
    for (url, expected) in cases {
        let told = check_url(url, false).expect_err("it is refused").to_string();
        assert_eq!(told, format!("the webhook's address {expected}"));
    }
    let told = check_url("https://10.0.0.8/s3cret", false).expect_err("it is refused").to_string();
    assert_eq!(told, "the webhook's host 10.0.0.8 is not on the public internet; use one that is, or set notify.allow_private");
}

#[tokio::test]
async fn a_name_that_leads_to_this_machine_is_refused_when_it_is_resolved() {
    let url = Url::parse("https://localhost:8443/hook").expect("a URL");
    let refused = resolve(&url, false).await.expect_err("loopback is private");
    assert!(matches!(refused, Unreachable::Forbidden(BadWebhookUrl::Private(_))), "{refused}");
    let allowed = resolve(&url, true).await.expect("the operator allows it");
    assert!(!allowed.is_empty() && allowed.iter().all(|address| address.ip().is_loopback() && address.port() == 8443), "{allowed:?}");
}
