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
    for file in [FILE, ""] {
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
    "#]]
    .assert_eq(providers);
    let models = shown.find("[models.gpt-4o]").map(|at| &shown[at..]).unwrap_or_default();
    expect![[r#"
        [models.gpt-4o]
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
        model = "x"
        provider = "a"

        [models.gpt-4o.timeouts]
        idle = "20s"

    "#]]
    .assert_eq(models.split("[profiles").next().unwrap_or_default());
}
