mod receiver;

use std::future::pending;

use bytes::Bytes;
use rustls::pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tidegate_core::id::StreamId;
use tidegate_core::record::Status;

use self::receiver::{Receiver, Reply};
use super::*;

const SECRET: &str = "whsec_dGlkZWdhdGUtdGVzdC1zZWNyZXQtMDEyMzQ1Njc4OWE=";

/// Waits for something over a real socket, where simulated time would run ahead.
async fn soon<T>(what: &str, happens: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), happens).await.unwrap_or_else(|_| panic!("{what}: not within ten seconds"))
}

/// An outbox and who sends from it.
struct Office {
    folder: TempDir,
    outbox: Outbox,
    notifier: Notifier,
}

fn settings(allow_private: bool) -> Settings {
    Settings { secret: SecretString::from(SECRET), allow_private, default_url: None }
}

impl Office {
    fn open() -> Self {
        Self::open_with(settings(true), Sender::default())
    }

    fn open_with(settings: Settings, sender: Sender) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let outbox = Outbox::open(folder.path().join("ledger.db"), 100).expect("it opens");
        let notifier = Notifier::with_sender(settings, outbox.clone(), Clock::start(), Tasks::default(), sender).expect("fine settings");
        Self { folder, outbox, notifier }
    }

    /// Lets the notifier work for as long as the test runs.
    fn run(&self) {
        tokio::spawn(self.notifier.clone().run(pending()));
    }

    async fn post(&self, url: &Url) -> String {
        let event = completed();
        self.notifier.post(url, &event).await.expect("there is room");
        event.message(url, 0).id
    }

    /// The message that is due next, at whatever time.
    async fn waiting(&self) -> Option<Message> {
        self.outbox.due(now() + 12 * 3_600_000, Vec::new()).await.expect("it reads")
    }

    async fn until_empty(&self) {
        let empty = async { while self.waiting().await.is_some() {} };
        soon("the outbox is empty", empty).await;
    }

    /// Waits until so many attempts have failed. Returns in how many milliseconds the next one is due.
    async fn until_failed(&self, attempts: u32) -> u64 {
        let failed = async { while self.waiting().await.is_none_or(|message| message.attempts < attempts) {} };
        soon("the failure is noted", failed).await;
        let due = self.outbox.next_due(now(), Vec::new()).await.expect("it reads").expect("it waits");
        due.saturating_sub(now())
    }

    /// Makes a failed message due, as if its pause were over.
    async fn end_pause(&self, id: &str, attempts: u32) {
        self.outbox.failed(id.to_owned(), attempts, now()).await.expect("it is noted");
        self.notifier.shared.changed.notify_one();
    }
}

fn completed() -> Notification {
    let result = Some(Bytes::from(r#"{"text":"hello"}"#));
    Notification { stream_id: StreamId::new(now(), rand::random()), status: Status::Completed, code: None, result }
}

fn now() -> u64 {
    Clock::start().unix_millis()
}

#[tokio::test]
async fn a_notification_arrives_once_and_signed_as_the_reference_wants_it() {
    let (office, mut receiver) = (Office::open(), Receiver::start([]).await);
    office.run();
    let id = office.post(&receiver.url("127.0.0.1")).await;
    let came = receiver.next().await;
    assert!(came.is_signed_with(SECRET));
    assert_eq!((came.head.method.as_str(), came.head.uri.to_string().as_str()), ("POST", "/hook?from=tidegate"));
    assert_eq!((came.id(), came.header("content-type")), (id.as_str(), "application/json"));
    assert_eq!(came.header("host"), format!("127.0.0.1:{}", receiver.port));
    let body: serde_json::Value = serde_json::from_slice(&came.body).expect("JSON");
    assert_eq!((&body["type"], &body["data"]["result"]["text"]), (&"stream.completed".into(), &"hello".into()));
    office.until_empty().await;
    assert!(receiver.is_empty());
}

#[tokio::test]
async fn what_the_receiver_failed_to_take_comes_again_with_the_same_id_and_a_fresh_signature() {
    let (office, mut receiver) = (Office::open(), Receiver::start([Reply::Status(500, None)]).await);
    office.run();
    let id = office.post(&receiver.url("127.0.0.1")).await;
    let first = receiver.next().await;
    let pause = office.until_failed(1).await;
    assert!((3_000..=6_000).contains(&pause), "{pause} ms");
    office.end_pause(&id, 1).await;
    let second = receiver.next().await;
    assert_eq!((first.id(), second.id(), &first.body), (id.as_str(), id.as_str(), &second.body));
    assert!(second.is_signed_with(SECRET));
    office.until_empty().await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_left_alone() {
    let (office, mut receiver) = (Office::open(), Receiver::start([Reply::Status(410, None)]).await);
    office.run();
    office.post(&receiver.url("127.0.0.1")).await;
    receiver.next().await;
    office.until_empty().await;
}

#[tokio::test]
async fn a_receiver_that_is_busy_says_when_to_come_back() {
    let busy = Reply::Status(503, Some(("retry-after", "600".to_owned())));
    let (office, mut receiver) = (Office::open(), Receiver::start([busy]).await);
    office.run();
    office.post(&receiver.url("127.0.0.1")).await;
    receiver.next().await;
    let pause = office.until_failed(1).await;
    assert!((598_000..=720_000).contains(&pause), "{pause} ms");
}

#[tokio::test]
async fn a_receiver_that_never_answers_is_given_up_after_fifteen_seconds_and_tried_again() {
    let (office, mut receiver) = (Office::open(), Receiver::start([Reply::Silence]).await);
    office.run();
    let id = office.post(&receiver.url("127.0.0.1")).await;
    receiver.next().await;
    assert_eq!(office.waiting().await.expect("it waits").attempts, 0);
    tokio::time::pause();
    tokio::time::advance(send::WITHIN).await;
    tokio::time::resume();
    office.until_failed(1).await;
    office.end_pause(&id, 1).await;
    assert_eq!(receiver.next().await.id(), id);
}

#[tokio::test]
async fn a_redirect_is_a_failure_and_is_not_followed() {
    let (office, elsewhere) = (Office::open(), Receiver::start([]).await);
    let redirect = Reply::Status(307, Some(("location", elsewhere.url("127.0.0.1").to_string())));
    let mut receiver = Receiver::start([redirect]).await;
    office.run();
    office.post(&receiver.url("127.0.0.1")).await;
    receiver.next().await;
    office.until_failed(1).await;
    assert!(elsewhere.is_empty());
}

#[tokio::test]
async fn a_private_address_gets_nothing_even_where_its_message_waits_already() {
    let receiver = Receiver::start([]).await;
    let office = Office::open_with(settings(false), Sender::default());
    office.run();
    // Allowed when it was asked for, and not any longer; or a name that has changed its mind.
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
        for scheme in ["http", "https"] {
            let url: Url = format!("{scheme}://{host}:{}/", receiver.port).parse().expect("a URL");
            office.post(&url).await;
        }
        office.until_empty().await;
    }
    assert!(receiver.is_empty());
}

#[tokio::test]
async fn a_restarted_gateway_sends_what_the_last_one_left() {
    let (office, mut receiver) = (Office::open(), Receiver::start([]).await);
    // Written, and not sent: the process ended in between.
    let message = completed().message(&receiver.url("127.0.0.1"), now());
    office.outbox.add(message.clone()).await.expect("it is added");
    let Office { folder, outbox, notifier } = office;
    drop((outbox, notifier));

    let outbox = Outbox::open(folder.path().join("ledger.db"), 100).expect("it opens again");
    let notifier = Notifier::new(settings(true), outbox.clone(), Clock::start(), Tasks::default()).expect("fine settings");
    let office = Office { folder, outbox, notifier };
    office.run();
    assert_eq!(receiver.next().await.id(), message.id);
    office.until_empty().await;
}

#[tokio::test]
async fn a_host_that_does_not_answer_holds_up_its_own_messages_only() {
    let (office, mut silent, mut prompt) = (Office::open(), Receiver::start([Reply::Silence]).await, Receiver::start([]).await);
    office.run();
    let first = office.post(&silent.url("127.0.0.1")).await;
    assert_eq!(silent.next().await.id(), first);
    let second = office.post(&silent.url("127.0.0.1")).await;
    // Another host by its name, though the same machine.
    let other = office.post(&prompt.url("localhost")).await;
    assert_eq!(prompt.next().await.id(), other);
    assert!(silent.is_empty());
    tokio::time::pause();
    tokio::time::advance(send::WITHIN).await;
    tokio::time::resume();
    assert_eq!(silent.next().await.id(), second);
}

#[tokio::test]
async fn eight_hosts_are_told_at_once_and_the_ninth_waits() {
    let (office, mut receiver) = (Office::open(), Receiver::start([]).await);
    let busy: Vec<Turn> = (0..AT_ONCE).map(|n| Turn::of(&office.notifier.shared, &format!("{n}.example"))).collect();
    office.run();
    let id = office.post(&receiver.url("127.0.0.1")).await;
    soon("its task finds no place", office.notifier.shared.tasks.all_ended()).await;
    assert_eq!(office.waiting().await.expect("it waits").attempts, 0);
    assert!(receiver.is_empty());
    drop(busy);
    assert_eq!(receiver.next().await.id(), id);
}

#[tokio::test]
async fn a_message_that_comes_after_shutdown_is_sent_once_and_what_fails_waits_for_the_next_process() {
    let (office, mut receiver) = (Office::open(), Receiver::start([Reply::Status(500, None)]).await);
    soon("it ends", office.notifier.clone().run(std::future::ready(()))).await;
    office.post(&receiver.url("127.0.0.1")).await;
    receiver.next().await;
    soon("its task ends", office.notifier.shared.tasks.all_ended()).await;
    assert_eq!(office.waiting().await.expect("it waits").attempts, 1);
}

#[tokio::test]
async fn a_new_secret_signs_what_waits() {
    const FRESH: &str = "whsec_YW5vdGhlci1zZWNyZXQtZm9yLXRpZGVnYXRlLTAxMjM=";
    let (office, mut receiver) = (Office::open(), Receiver::start([Reply::Status(401, None)]).await);
    office.run();
    let id = office.post(&receiver.url("127.0.0.1")).await;
    receiver.next().await;
    office.until_failed(1).await;
    office.notifier.reload(Settings { secret: SecretString::from(FRESH), ..settings(true) }).expect("fine settings");
    office.end_pause(&id, 1).await;
    let second = receiver.next().await;
    assert!(second.is_signed_with(FRESH) && !second.is_signed_with(SECRET));
}

#[tokio::test]
async fn a_full_outbox_is_told_to_whoever_posts() {
    let (mut office, receiver) = (Office::open(), Receiver::start([Reply::Silence]).await);
    office.outbox = Outbox::open(office.folder.path().join("ledger.db"), 1).expect("it opens");
    office.notifier = Notifier::new(settings(true), office.outbox.clone(), Clock::start(), Tasks::default()).expect("fine settings");
    office.post(&receiver.url("127.0.0.1")).await;
    let refused = office.notifier.post(&receiver.url("127.0.0.1"), &completed()).await.expect_err("one waits");
    assert!(matches!(refused, OutboxError::Full(1)), "{refused}");
}

#[tokio::test]
async fn a_request_names_an_address_or_gets_the_default_and_a_bad_default_is_refused() {
    let fallback: Url = "https://hooks.example/".parse().expect("a URL");
    let office = Office::open_with(Settings { default_url: Some(fallback.clone()), ..settings(false) }, Sender::default());
    let asked = |text| office.notifier.address(text);
    assert_eq!(asked(None).expect("the default"), Some(fallback));
    assert_eq!(asked(Some("https://other.example/x")).expect("it is fine").expect("a URL").as_str(), "https://other.example/x");
    asked(Some("https://10.0.0.1/")).expect_err("it is private");

    let private = Settings { default_url: Some("https://10.0.0.1/".parse().expect("a URL")), ..settings(false) };
    office.notifier.reload(private).expect_err("it is private");
    assert!(asked(None).expect("the old one").is_some());
}

#[tokio::test]
async fn over_tls_the_receivers_certificate_has_to_name_its_host() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let theirs = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key))
        .expect("TLS settings");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let ours = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_root_certificates(roots).with_no_client_auth())
        .expect("TLS settings");

    let office = Office::open_with(settings(true), Sender::trusting(Arc::new(ours)));
    let mut receiver = Receiver::start_with([], Some(Arc::new(theirs).into())).await;
    office.run();
    let url = |host: &str| format!("https://{host}:{}/", receiver.port).parse::<Url>().expect("a URL");
    let (named, unnamed) = (url("localhost"), url("127.0.0.1"));
    office.post(&named).await;
    assert!(receiver.next().await.is_signed_with(SECRET));
    office.until_empty().await;
    office.post(&unnamed).await;
    office.until_failed(1).await;
    assert!(receiver.is_empty());
}
