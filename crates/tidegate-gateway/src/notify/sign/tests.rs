use standardwebhooks::Webhook;

use super::*;

fn signed(secret: &str, id: &str, timestamp_s: u64, body: &str) -> String {
    signature(&SecretString::from(secret), id, timestamp_s, body.as_bytes())
}

#[test]
fn the_specifications_own_example_has_its_signature() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let found = signed(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
    assert_eq!(found, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn the_published_vector_for_stream_events_has_its_signature() {
    let secret = "whsec_dGlkZWdhdGUtdGVzdC1zZWNyZXQtMDEyMzQ1Njc4OWE=";
    let found = signed(secret, "msg_1", 1_700_000_000, r#"{"type":"response.completed","data":{"id":"resp_1"}}"#);
    assert_eq!(found, "v1,Xu5BaL1rvhz9zf5nSNmhLf5o41eguDOJCNb6zGvjh8I=");
}

#[test]
fn the_reference_signs_alike_whatever_the_lengths() {
    const BODY: &[u8] = "{\"text\": \"é\0.\"}".as_bytes();
    for length in [0, 1, 24, 32, 63, 64, 65, 200] {
        let key: Vec<u8> = (0..=255).cycle().take(length).collect();
        let oracle = Webhook::from_bytes(key.clone()).expect("a key").sign("msg_a.b", 17, BODY).expect("it signs");
        let secret = SecretString::from(format!("{SECRET_START}{}", STANDARD.encode(key)));
        assert_eq!(signature(&secret, "msg_a.b", 17, BODY), oracle, "a key of {length} bytes");
    }
}

#[test]
fn a_secret_of_another_form_is_the_key_itself() {
    for secret in ["dGlkZWdhdGU=", "a passphrase", "whsec_not base64!", "WHSEC_dGlkZWdhdGU="] {
        let oracle = Webhook::from_bytes(secret.as_bytes().to_vec()).expect("a key").sign("msg_1", 1, b"{}").expect("it signs");
        assert_eq!(signed(secret, "msg_1", 1, "{}"), oracle, "{secret}");
    }
}
