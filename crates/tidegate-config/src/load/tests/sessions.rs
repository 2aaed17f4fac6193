//! Sessions, their queue, and where its settings come from.

use tidegate_core::session::{QueuePolicy, Settings};

use super::*;
use crate::QueueBackend;

#[test]
fn sessions_and_queue_have_the_defaults_of_the_contract() {
    let config = config("");
    assert_eq!(config.session_settings(), Settings::STANDARD);
    assert_eq!((&config.queue.backend, config.queue.global_max_size), (&QueueBackend::Memory, 100_000));
    assert_eq!((config.queue.lease, config.queue.min_workers, config.queue.max_workers), (Duration::from_secs(30), 8, 1024));
    assert_eq!((config.sessions.max_message, config.sessions.max_sessions), (1024 * 1024, 10_000));
    assert!(config.sessions.allowed_origins.is_empty());
}

#[test]
fn what_bounds_a_session_comes_from_both_sections() {
    let config = config(
        "[queue]\nmax_queue_size = 2\npolicy = \"drop_oldest\"\n[sessions]\nheartbeat = \"5s\"\nidle_ttl = \"1h\"\nresume_ttl = \"30s\"\n",
    );
    let wanted = Settings {
        max_queue_size: 2,
        policy: QueuePolicy::DropOldest,
        heartbeat: Duration::from_secs(5),
        idle_ttl: Duration::from_secs(3600),
        resume_ttl: Duration::from_secs(30),
        ..Settings::STANDARD
    };
    assert_eq!(config.session_settings(), wanted);
}

#[test]
fn a_prompt_without_a_model_goes_to_the_first_one_written_that_is_no_pattern() {
    let model = |toml: &str| config(toml).sessions.model;
    let models = format!("{PROVIDER}[models.\"a*\"]\n[models.zeta]\n[models.alpha]\n");
    assert_eq!(model(&models).as_deref(), Some("zeta"));
    assert_eq!(model(&format!("{models}[sessions]\nmodel = \"alpha\"\n")).as_deref(), Some("alpha"));
    assert_eq!(model(&format!("{models}[sessions]\nmodel = \"anything\"\n")).as_deref(), Some("anything"));
    assert_eq!(model("").as_deref(), Some("mock"));
    assert_eq!(model(PROVIDER), None);
}

#[test]
fn an_origin_is_kept_as_browsers_write_it() {
    let toml = "[sessions]\nallowed_origins = [\"HTTPS://App.Example.com:443\", \"http://localhost:5173\", \"tauri://localhost\", \"*\"]\n";
    assert_eq!(config(toml).sessions.allowed_origins, ["https://app.example.com", "http://localhost:5173", "tauri://localhost", "*"]);
}

#[test]
fn the_addresses_of_queues_that_are_not_chosen_are_meant_for_other_programs() {
    let theirs = [("REDIS_URL", "unix:///run/redis.sock"), ("KAFKA_BROKERS", "nobody")];
    for kind in ["", "memory", "MEMORY"] {
        let loaded = load_with("", &[theirs[0], theirs[1], ("QUEUE_TYPE", kind)]);
        assert_eq!((loaded.config.queue.backend, loaded.warnings), (QueueBackend::Memory, Vec::new()));
    }
    load_with("[queue]\nbackend = \"redis\"\n", &[("QUEUE_TYPE", "memory")]);
}

#[test]
fn a_setting_of_a_queue_that_is_not_chosen_is_answered_with_a_warning() {
    let queue = "[queue]\nredis = \"redis://cache\"\nkafka = [\"a:9092\"]\nkafka_topics = \"b\"\nkafka_partitions = 4\n";
    let unused = |settings: &[&str], backend| -> Vec<String> {
        settings.iter().map(|setting| format!("queue.{setting} has no effect, as queue.backend is {backend:?}")).collect()
    };
    let of_kafka = ["kafka", "kafka_topics", "kafka_partitions"];
    assert_eq!(load_with(queue, &[]).warnings, unused(&[&["redis"], of_kafka.as_slice()].concat(), "memory"));
    assert_eq!(load_with(queue, &[("QUEUE_TYPE", "redis")]).warnings, unused(&of_kafka, "redis"));
    assert_eq!(load_with(queue, &[("QUEUE_TYPE", "kafka")]).warnings, unused(&["redis"], "kafka"));
}

#[test]
fn a_heartbeat_that_proxies_do_not_wait_for_is_answered_with_a_warning() {
    let loaded = load_with("[sessions]\nheartbeat = \"2m\"\n", &[]);
    assert_eq!(loaded.warnings, ["sessions.heartbeat is \"120s\"; many proxies cut a stream after 60 s of silence"]);
}
