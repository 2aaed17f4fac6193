use super::*;

#[test]
fn a_signing_secret_has_its_prefix_and_24_to_64_bytes() {
    let base64 = |bytes: usize| format!("{}{}", "A".repeat((bytes * 4).div_ceil(3)), "=".repeat((3 - bytes % 3) % 3));
    for bytes in [24, 25, 32, 63, 64] {
        assert!(is_signing_secret(&format!("whsec_{}", base64(bytes))), "{bytes}");
    }
    for bytes in [0, 23, 65] {
        assert!(!is_signing_secret(&format!("whsec_{}", base64(bytes))), "{bytes}");
    }
    for wrong in
        [base64(32), format!("whsec-{}", base64(32)), format!("whsec_{}-", &base64(24)[1..]), "whsec_".to_owned() + &"A".repeat(33)]
    {
        assert!(!is_signing_secret(&wrong), "{wrong}");
    }
}

#[test]
fn an_address_that_says_it_is_private_is_found_in_each_way_of_writing_it() {
    let is_private = |address: &str| is_private(&Url::parse(&format!("http://{address}/x")).expect("a URL"));
    for private in [
        "localhost",
        "a.localhost",
        "127.1",
        "0x7f000001",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[fe80::1]",
        "[fd00::1]",
        "[::ffff:10.0.0.1]",
    ] {
        assert!(is_private(private), "{private}");
    }
    for public in ["example.com", "localhost.example.com", "8.8.8.8", "172.32.0.1", "[2606:4700::1]"] {
        assert!(!is_private(public), "{public}");
    }
}
