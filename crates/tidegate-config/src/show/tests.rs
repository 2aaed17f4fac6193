use expect_test::expect;

use super::*;
use crate::Sources;

fn load(toml: &str) -> Config {
    Config::load(&Sources::of_text(toml)).unwrap_or_else(|errors| panic!("{errors}")).config
}

const FILE: &str = r#"
[server]
workers = 2
head_after = "250ms"
[providers.a]
base_url = "http://127.0.0.1:1"
api_key = "sk-secret"
headers = { X-Team = "secret" }
proxy = "http://name:secret@proxy:3128"
http2 = "always"
[models."gpt-4*"]
[models.gpt-4o]
routes = [{ provider = "a", model = "x" }]
timeouts = { idle = "20s" }
on_disconnect = "drain"
on_malformed = "skip"
delivery = "buffered"
[profiles.own]
total = "1h"
[log]
level = "debug"
"#;

#[test]
fn what_is_shown_loads_again_as_the_same_configuration() {
    let kafka = "[queue]\nbackend = \"kafka\"\nkafka = [\"a:9092\", \"b:9092\"]\nkafka_topics = \"staging\"\n";
    for file in [FILE, kafka, ""] {
        let shown = show(&load(file));
        assert_eq!(show(&load(&shown)), shown);
    }
}

#[test]
fn everything_in_force_is_shown_and_no_secret() {
    let shown = show(&load(FILE));
    let providers = shown.find("[providers.a]").map(|at| &shown[at..]).unwrap_or_default();
    expect![[r#"
        [providers.a]
        api_key = "***"
        base_url = "http://127.0.0.1:1/"
        connection_max_idle = "50s"
        http2 = "always"
        idle_connections = 256
        kind = "openai"
        max_connections = 10000
        pool_wait = "5s"
        proxy = "http://***@proxy:3128/"
        send_body = "10s"

        [providers.a.headers]
        x-team = "***"

        [queue]
        backend = "memory"
        global_max_size = 100000
        lease = "30s"
        max_queue_size = 16
        max_workers = 1024
        min_workers = 8
        policy = "reject"

        [retry]
        attempts = 3
        backoff = "1s"
        backoff_max = "4s"
        budget = 0.2
        budget_floor = 10
        jitter = "1s"
        longest_pushback = "5s"

        [server]
        body_timeout = "30s"
        drain = "300s"
        head_after = "250ms"
        header_timeout = "10s"
        keepalive = "10s"
        listen = "127.0.0.1:8080"
        max_body = "20MiB"
        max_connections = 20000
        max_streams = 10000
        slow_client = "60s"
        workers = 2
        write_buffer = "64KiB"

        [sessions]
        heartbeat = "20s"
        idle_ttl = "15m"
        max_message = "1MiB"
        max_sessions = 10000
        model = "gpt-4o"
        resume_ttl = "120s"
    "#]]
    .assert_eq(providers);
    let models = shown.find("[models.gpt-4o]").map(|at| &shown[at..]).unwrap_or_default();
    expect![[r#"
        [models.gpt-4o]
        balance = "order"
        delivery = "buffered"
        early_200 = false
        on_disconnect = "drain"
        on_malformed = "skip"
        profile = "standard"
        thinking_profile = "thinking"

        [models.gpt-4o.drain]
        max_time = "60s"
        max_tokens = 4096

        [[models.gpt-4o.routes]]
        larger_context = false
        model = "x"
        provider = "a"

        [models.gpt-4o.timeouts]
        idle = "20s"

    "#]]
    .assert_eq(models.split("[notify]").next().unwrap_or_default());
}

/// Everything that recovers; `SECRET` stands for a signing secret.
const RECOVERY: &str = r#"
[retry]
attempts = 1
budget = 0
[breaker]
cooldown = "5s"
[deadline]
header = "off"
[notify]
secret = "SECRET"
url = "https://hooks.example.com/answers"
[prices."gpt-4o*"]
input = 2.5
output = 10
context_window = 128000
[providers.a]
base_url = "http://127.0.0.1:1"
api_keys = ["sk-secret-1", "sk-secret-2"]
[models.a]
routes = [{ provider = "a", model = "x", weight = 2 }, { provider = "a", model = "y", weight = 0, larger_context = true }]
degrade = [{ model = "b", max_tokens = 512 }, { cached = "1h" }, { static = "Later." }]
context_window = 64000
slow = { chars_per_second = 20 }
[models.b]
balance = "least_outstanding"
degrade = [{ notify = true }]
"#;

#[test]
fn what_recovers_loads_again_once_its_secrets_are_filled_in() {
    let secret = format!("whsec_{}", "A".repeat(32));
    let shown = show(&load(&RECOVERY.replace("SECRET", &secret)));
    assert!(!shown.contains("sk-secret") && !shown.contains(&secret));
    let filled = shown.replace("secret = \"***\"", &format!("secret = {secret:?}"));
    // The first of two keys, as both look the same.
    let filled = filled.replacen("\"***\"", "\"sk-secret\"", 1);
    assert_eq!(show(&load(&filled)), shown);
}

#[test]
fn what_recovers_is_shown_section_by_section() {
    let shown = show(&load(&RECOVERY.replace("SECRET", &format!("whsec_{}", "A".repeat(32)))));
    let others = ["ledger", "log", "models.b", "profiles", "providers", "server"];
    let is_other = |section: &&str| others.iter().any(|other| section.trim_start_matches('[').starts_with(other));
    let sections: Vec<&str> = shown.split("\n\n").filter(|section| !is_other(section)).collect();
    expect![[r#"
        [breaker]
        cooldown = "5s"
        failures = 5

        [deadline]
        header = "off"
        least = "1s"
        overhead = "2s"

        [models.a]
        balance = "weight"
        context_window = 64000
        delivery = "stream"
        early_200 = false
        on_disconnect = "cancel"
        on_malformed = "fail"
        profile = "standard"
        thinking_profile = "thinking"

        [[models.a.degrade]]
        max_tokens = 512
        model = "b"

        [[models.a.degrade]]
        cached = "1h"

        [[models.a.degrade]]
        static = "Later."

        [[models.a.routes]]
        larger_context = false
        model = "x"
        provider = "a"
        weight = 2

        [[models.a.routes]]
        larger_context = true
        model = "y"
        provider = "a"
        weight = 0

        [models.a.slow]
        chars_per_second = 20
        window = "2s"

        [notify]
        allow_private = false
        deadline = "15m"
        retention = "1d"
        secret = "***"
        url = "https://hooks.example.com/answers"

        [prices."gpt-4o*"]
        context_window = 128000
        input = 2.5
        output = 10.0

        [queue]
        backend = "memory"
        global_max_size = 100000
        lease = "30s"
        max_queue_size = 16
        max_workers = 1024
        min_workers = 8
        policy = "reject"

        [retry]
        attempts = 1
        backoff = "1s"
        backoff_max = "4s"
        budget = 0.0
        budget_floor = 10
        jitter = "1s"
        longest_pushback = "5s"

        [sessions]
        heartbeat = "20s"
        idle_ttl = "15m"
        max_message = "1MiB"
        max_sessions = 10000
        model = "a"
        resume_ttl = "120s"
    "#]]
    .assert_eq(&sections.join("\n\n"));
}
