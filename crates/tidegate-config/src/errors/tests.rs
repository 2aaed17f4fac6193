//! What an operator sees: one drawing for each kind of fault.

use std::collections::BTreeMap;

use expect_test::{Expect, expect};

use crate::{Config, Flag, Sources};

mod recovery;
mod sessions;

/// Checks the drawing of all faults of a file.
fn check(toml: &str, expected: &Expect) {
    check_with(toml, &[], Vec::new(), expected);
}

fn check_with(toml: &str, env: &[(&str, &str)], flags: Vec<Flag>, expected: &Expect) {
    let env: BTreeMap<String, String> = env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let errors = Config::load(&Sources { env, flags, ..Sources::of_text(toml) }).expect_err("a faulty configuration");
    expected.assert_eq(&format!("{errors}\n"));
}

const PROVIDER: &str = "[providers.openai]\nbase_url = \"https://api.openai.com/v1\"\n";

#[test]
fn a_syntax_error_shows_its_line_without_a_secret() {
    check(
        "[server]\nlisten = \"127.0.0.1:80\n",
        &expect![[r#"
        error: this is not TOML: invalid basic string, expected `"`
         --> tidegate.toml:2:23
          |
        2 | listen = "127.0.0.1:80
          |                       ^
    "#]],
    );
    check(
        "[providers.openai]\napi_key = \"sk-secret\n",
        &expect![[r#"
        error: this is not TOML: invalid basic string, expected `"`
         --> tidegate.toml:2:21
          |
        2 | api_key =*"*********
          |                     ^
    "#]],
    );
    check(
        "[server]\ndrain = \"1s\"\ndrain = \"2s\"\n",
        &expect![[r#"
        error: this is not TOML: duplicate key
         --> tidegate.toml:3:1
          |
        3 | drain =*"**"
          | ^^^^^
    "#]],
    );
}

#[test]
fn an_unknown_setting_is_answered_with_the_closest_known_one() {
    check(
        "[server]\nkeep_alive = \"5s\"\n",
        &expect![[r#"
        error: server.keep_alive: there is no such setting
         --> tidegate.toml:2:1
          |
        2 | keep_alive = "**"
          | ^^^^^^^^^^ did you mean "keepalive"?
    "#]],
    );
    check(
        "[sever]\nkeepalive = \"5s\"\n",
        &expect![[r#"
        error: sever: there is no such setting
         --> tidegate.toml:1:2
          |
        1 | [sever]
          |  ^^^^^ did you mean "server"?
    "#]],
    );
    check(
        "[log]\ncolour = true\n",
        &expect![[r#"
        error: log.colour: there is no such setting
         --> tidegate.toml:2:1
          |
        2 | colour = ****
          | ^^^^^^ write "format" or "level"
    "#]],
    );
}

#[test]
fn a_mistyped_secret_is_not_shown() {
    check(
        "[providers.openai]\nbase_url = \"https://host\"\napikey = \"sk-secret\"\n",
        &expect![[r#"
        error: providers.openai.apikey: there is no such setting
         --> tidegate.toml:3:1
          |
        3 | apikey = "*********"
          | ^^^^^^ did you mean "api_key"?
    "#]],
    );
    check(
        "[providers]\nopenai = \"sk-secret\"\n",
        &expect![[r#"
        error: providers.openai: the value is no table of settings
         --> tidegate.toml:2:10
          |
        2 | openai = "*********"
          |          ^^^^^^^^^^^ write [providers.openai] and the settings beneath it
    "#]],
    );
    check(
        "[providers.openai]\nbase_url = \"https://host\"\napi_key = [\"sk-secret\"]\n",
        &expect![[r#"
        error: providers.openai.api_key: the value is no text
         --> tidegate.toml:3:11
          |
        3 | api_key = ["*********"]
          |           ^^^^^^^^^^^^^ write a text in quotes, such as "${OPENAI_API_KEY}"
    "#]],
    );
    check(
        "[providers.openai]\nbase_url = \"https://user:secret@host\"\n",
        &expect![[r#"
        error: providers.openai.base_url: the value has credentials in it
         --> tidegate.toml:2:12
          |
        2 | base_url = "************************"
          |            ^^^^^^^^^^^^^^^^^^^^^^^^^^ remove them; a provider's key belongs into `api_key`
    "#]],
    );
    check(
        "[providers]\nopenai = { base_url = \"https://host\", proxy = \"http://user:secret@host\", retry = 1 }\n",
        &expect![[r#"
            error: providers.openai.retry: there is no such setting
             --> tidegate.toml:2:74
              |
            2 | openai = { base_url = "https://host", proxy = "***********************", retry = * }
              |                                                                          ^^^^^ write "api_key", "api_keys", "base_url", "ca_file", "connection_max_idle", "headers", "http2", "idle_connections", "kind", "max_connections", "pool_wait", "proxy" or "send_body"
        "#]],
    );
}

#[test]
fn a_value_of_the_wrong_type_shows_how_to_write_it() {
    check(
        "[server]\nhead_after = 5\nmax_streams = \"many\"\nmax_body = 1.5\n[log]\nlevel = true\n",
        &expect![[r#"
        error: server.head_after: 5 is no text
         --> tidegate.toml:2:14
          |
        2 | head_after = 5
          |              ^ write a text in quotes, such as "15s"

        error: server.max_streams: "many" is no whole number
         --> tidegate.toml:3:15
          |
        3 | max_streams = "many"
          |               ^^^^^^ write a whole number from 1 to 4294967295

        error: server.max_body: 1.5 is no text
         --> tidegate.toml:4:12
          |
        4 | max_body = 1.5
          |            ^^^ write a text in quotes, such as "20MiB"

        error: log.level: true is no text
         --> tidegate.toml:6:9
          |
        6 | level = true
          |         ^^^^ write "error", "warn", "info", "debug" or "trace"
    "#]],
    );
    check(
        "server = 3\nmodels = []\n",
        &expect![[r#"
        error: server: the value is no table of settings
         --> tidegate.toml:1:10
          |
        1 | server = *
          |          ^ write [server] and the settings beneath it

        error: models: [] is no table of settings
         --> tidegate.toml:2:10
          |
        2 | models = []
          |          ^^ write [models] and the settings beneath it
    "#]],
    );
}

#[test]
fn a_text_of_the_wrong_form_shows_how_to_write_it() {
    check(
        "[server]\nhead_after = \"5\"\nkeepalive = \"0s\"\nmax_body = \"20M\"\nlisten = \"localhost:80\"\n",
        &expect![[r#"
        error: server.head_after: "5" has no unit
         --> tidegate.toml:2:14
          |
        2 | head_after = "5"
          |              ^^^ write a whole number with a unit (ms, s, m, h, d), such as "15s" or "250ms"

        error: server.keepalive: "0s" is zero
         --> tidegate.toml:3:13
          |
        3 | keepalive = "0s"
          |             ^^^^ write a length above zero, or leave the setting out for its default

        error: server.max_body: "20M" is not a size
         --> tidegate.toml:4:12
          |
        4 | max_body = "20M"
          |            ^^^^^ write a whole number with a unit (B, kB, MB, GB, KiB, MiB, GiB), such as "20MiB"

        error: server.listen: "localhost:80" is not an address to listen on
         --> tidegate.toml:5:10
          |
        5 | listen = "localhost:80"
          |          ^^^^^^^^^^^^^^ write "127.0.0.1:80"
    "#]],
    );
}

#[test]
fn a_wrong_choice_shows_the_choices() {
    check(
        "[log]\nlevel = \"loud\"\n",
        &expect![[r#"
        error: log.level: "loud" is no choice here
         --> tidegate.toml:2:9
          |
        2 | level = "loud"
          |         ^^^^^^ write "error", "warn", "info", "debug" or "trace"
    "#]],
    );
}

#[test]
fn a_count_of_zero_or_less_is_refused() {
    check(
        "[server]\nmax_streams = 0\nworkers = -1\nmax_connections = 99999999999\n",
        &expect![[r#"
        error: server.max_streams: 0 is not above zero
         --> tidegate.toml:2:15
          |
        2 | max_streams = 0
          |               ^ write a whole number from 1 to 4294967295

        error: server.workers: -1 is not above zero
         --> tidegate.toml:3:11
          |
        3 | workers = -1
          |           ^^ write a whole number from 1 to 4294967295

        error: server.max_connections: 99999999999 is too large
         --> tidegate.toml:4:19
          |
        4 | max_connections = 99999999999
          |                   ^^^^^^^^^^^ write a whole number from 1 to 4294967295
    "#]],
    );
}

#[test]
fn a_missing_variable_is_named_with_the_setting_that_needs_it() {
    let toml = format!("{PROVIDER}api_key = \"${{OPENAI_API_KEY}}\"\n");
    check(
        &toml,
        &expect![[r#"
        error: providers.openai.api_key: the environment variable OPENAI_API_KEY is not set
         --> tidegate.toml:3:11
          |
        3 | api_key = "${OPENAI_API_KEY}"
          |           ^^^^^^^^^^^^^^^^^^^ set OPENAI_API_KEY where Tidegate starts
    "#]],
    );
    check_with(
        &toml,
        &[("OPENAI_API_KEY", "")],
        Vec::new(),
        &expect![[r#"
        error: providers.openai.api_key: the environment variable OPENAI_API_KEY is empty
         --> tidegate.toml:3:11
          |
        3 | api_key = "${OPENAI_API_KEY}"
          |           ^^^^^^^^^^^^^^^^^^^ give OPENAI_API_KEY a value where Tidegate starts
    "#]],
    );
    check(
        "[ledger]\npath = \"${oops\"\n",
        &expect![[r#"
        error: ledger.path: `${` begins no reference
         --> tidegate.toml:2:8
          |
        2 | path = "${oops"
          |        ^^^^^^^^ write "${NAME}" for an environment variable, or "$${" for the characters themselves
    "#]],
    );
}

#[test]
fn a_variable_with_a_line_break_is_refused_without_showing_it() {
    check_with(
        &format!("{PROVIDER}api_key = \"${{KEY}}\"\n"),
        &[("KEY", "sk-secret\n")],
        Vec::new(),
        &expect![[r#"
        error: providers.openai.api_key: the value has a line break, an outer space or another character that no HTTP header may hold
         --> tidegate.toml:3:11
          |
        3 | api_key = "${KEY}"
          |           ^^^^^^^^ remove it; often it is the last line break of a file
    "#]],
    );
}

#[test]
fn what_this_version_cannot_do_is_refused_by_name() {
    let toml = r#"
[queue]
backend = "redis"
[ledger]
url = "postgres://user:secret@db/tidegate"
[providers.openai]
base_url = "https://api.openai.com/v1"
[providers.claude]
kind = "anthropic"
base_url = "https://api.anthropic.com"
[models.a]
routes = [{ provider = "openai" }, { provider = "claude" }]
on_disconnect = "resume"
"#;
    check(
        toml,
        &expect![[r#"
            error: queue.redis is missing
             --> tidegate.toml:2:1
              |
            2 | [queue]
              | ^^^^^^^ add redis = "redis://…", or set REDIS_URL in the environment

            error: ledger.url is not available in this version
             --> tidegate.toml:5:1
              |
            5 | url = "**********************************"
              | ^^^ remove it, or DATABASE_URL from the environment; records are kept in SQLite at `ledger.path`

            error: providers.claude.kind: "anthropic" is not available in this version
             --> tidegate.toml:9:8
              |
            9 | kind = "anthropic"
              |        ^^^^^^^^^^^ use an OpenAI-compatible address with kind = "openai"

            error: models.a.on_disconnect: "resume" is not available in this version
              --> tidegate.toml:13:17
               |
            13 | on_disconnect = "resume"
               |                 ^^^^^^^^ write "cancel" or "drain"
        "#]],
    );
}

#[test]
fn timeouts_out_of_order_point_at_both_places() {
    check(
        "[profiles.mid]\nidle = \"90s\"\ntotal = \"60s\"\n",
        &expect![[r#"
        error: profiles.mid.idle: "90s" is not shorter than total "60s"
         --> tidegate.toml:2:8
          |
        2 | idle = "90s"
          |        ^^^^^ shorten idle or raise total
        3 | total = "60s"
          |         ----- total is set here
    "#]],
    );
    check(
        "[profiles.mid]\nidle = \"90s\"\n[profiles.own]\ntotal = \"10s\"\n",
        &expect![[r#"
        error: profiles.mid.idle: "90s" is not shorter than total "90s" of the standard profile "mid"
         --> tidegate.toml:2:8
          |
        2 | idle = "90s"
          |        ^^^^^ shorten idle or raise total

        error: profiles.own.total: first_byte "30s" of the standard profile "standard" is longer than "10s"
         --> tidegate.toml:4:9
          |
        4 | total = "10s"
          |         ^^^^^ shorten first_byte or raise total
    "#]],
    );
    check(
        &format!("{PROVIDER}[models.gpt-4o]\ntimeouts = {{ total = \"15s\" }}\n"),
        &expect![[r#"
        error: models.gpt-4o.timeouts.total: first_byte "20s" of profile "mid" is longer than "15s"
         --> tidegate.toml:4:22
          |
        4 | timeouts = { total = "15s" }
          |                      ^^^^^ shorten first_byte or raise total
    "#]],
    );
    check(
        &format!("{PROVIDER}[models.\"*\"]\ntimeouts.total = \"40s\"\n"),
        &expect![[r#"
        error: models."*".timeouts.total: first_byte "90s" of profile "thinking" is longer than "40s"
         --> tidegate.toml:4:18
          |
        4 | timeouts.total = "40s"
          |                  ^^^^^ shorten first_byte or raise total
    "#]],
    );
}

#[test]
fn a_route_or_profile_that_leads_nowhere_is_answered_with_the_closest_name() {
    let toml = format!(
        "{PROVIDER}[models.\"gpt-4.1\"]\nroutes = [{{ provider = \"openia\" }}]\nprofile = \"midd\"\n[models.b]\nroutes = [{{ model = \"x\" }}]\n"
    );
    check(
        &toml,
        &expect![[r#"
        error: models."gpt-4.1".routes[0].provider: there is no provider "openia"
         --> tidegate.toml:4:24
          |
        4 | routes = [{ provider = "openia" }]
          |                        ^^^^^^^^ did you mean "openai"?

        error: models."gpt-4.1".profile: there is no profile "midd"
         --> tidegate.toml:5:11
          |
        5 | profile = "midd"
          |           ^^^^^^ did you mean "mid"?

        error: models.b.routes[0].provider is missing
         --> tidegate.toml:7:11
          |
        7 | routes = [{ model = "x" }]
          |           ^^^^^^^^^^^^^^^ add provider = …
    "#]],
    );
}

#[test]
fn providers_without_models_need_to_be_told_apart() {
    check(
        "[providers.a]\nbase_url = \"http://a\"\n[providers.b]\nbase_url = \"http://b\"\n",
        &expect![[r#"
        error: models: 2 providers and no model: it is not said which provider serves what
         --> tidegate.toml:3:12
          |
        3 | [providers.b]
          |            ^ add [models."NAME"] with routes = [{ provider = "…" }], or [models."*"] for every name
    "#]],
    );
    check(
        "[providers.a]\nbase_url = \"http://a\"\n[providers.b]\nbase_url = \"http://b\"\n[models.x]\n",
        &expect![[r#"
        error: models.x.routes: it is not said where this model is served
         --> tidegate.toml:5:1
          |
        5 | [models.x]
          | ^^^^^^^^^^ add routes = [{ provider = "…" }]
    "#]],
    );
}

#[test]
fn what_a_provider_cannot_have_is_refused() {
    let toml = r#"
[providers."my provider"]
kind = "mock"
api_key = "sk-secret"
[providers.a]
proxy = "https://proxy/path"
ca_file = "/no/such/file.pem"
api_key = "sk-secret"
headers = { Authorization = "Bearer secret", Host = "x", "X Y" = "1", A = "1", a = "2" }
[models."*x"]
routes = [{ provider = "a" }]
drain = { max_tokens = 5 }
[models." "]
routes = [{ provider = "a" }]
"#;
    check(
        toml,
        &expect![[r#"
        error: providers."my provider": a provider cannot be called this
         --> tidegate.toml:2:12
          |
        2 | [providers."my provider"]
          |            ^^^^^^^^^^^^^ use up to 64 letters, digits, `-`, `_` and `.`

        error: providers."my provider".api_key: the mock inside this process takes none
         --> tidegate.toml:4:11
          |
        4 | api_key = "*********"
          |           ^^^^^^^^^^^ remove it, or write kind = "openai" for a mock elsewhere

        error: providers.a.base_url is missing
         --> tidegate.toml:5:1
          |
        5 | [providers.a]
          | ^^^^^^^^^^^^^ add base_url = "https://api.openai.com/v1", or the address of a compatible server

        error: providers.a.proxy: "https://proxy/path" is no plain HTTP proxy
         --> tidegate.toml:6:9
          |
        6 | proxy = "https://proxy/path"
          |         ^^^^^^^^^^^^^^^^^^^^ write scheme, host and port, such as "http://proxy.internal:3128"

        error: providers.a.ca_file: there is no file "/no/such/file.pem"
         --> tidegate.toml:7:11
          |
        7 | ca_file = "/no/such/file.pem"
          |           ^^^^^^^^^^^^^^^^^^^ write the path of a PEM file, relative to the working directory

        error: providers.a.headers.Authorization: `api_key` sets this header
         --> tidegate.toml:9:13
          |
        9 | headers = { Authorization = "*************", Host = "*", "X Y" = "*", A = "*", a = "*" }
          |             ^^^^^^^^^^^^^ remove one of both

        error: providers.a.headers.Host: Tidegate sets this header itself
         --> tidegate.toml:9:46
          |
        9 | headers = { Authorization = "*************", Host = "*", "X Y" = "*", A = "*", a = "*" }
          |                                              ^^^^ remove it

        error: providers.a.headers."X Y": a header cannot be called this
         --> tidegate.toml:9:58
          |
        9 | headers = { Authorization = "*************", Host = "*", "X Y" = "*", A = "*", a = "*" }
          |                                                          ^^^^^ use letters, digits and `-`

        error: providers.a.headers.a: this header is there twice
         --> tidegate.toml:9:80
          |
        9 | headers = { Authorization = "*************", Host = "*", "X Y" = "*", A = "*", a = "*" }
          |                                                                                ^ remove one; the case of a header's name does not count

        error: models."*x": a pattern has its only `*` at its end
          --> tidegate.toml:10:9
           |
        10 | [models."*x"]
           |         ^^^^ write a prefix and `*`, such as "gpt-4*"

        error: models."*x".drain: these caps have no effect
          --> tidegate.toml:12:9
           |
        12 | drain = { max_tokens = 5 }
           |         ^^^^^^^^^^^^^^^^^^ add on_disconnect = "drain", or remove them

        error: models." ": a model cannot be called this
          --> tidegate.toml:13:9
           |
        13 | [models." "]
           |         ^^^ write the name that clients ask for, without spaces around it
    "#]],
    );
}

#[test]
fn a_fault_in_the_environment_names_the_variable() {
    let env = [
        ("PORT", "http"),
        ("TIDEGATE__SERVER__KEEPALIVE", "5"),
        ("TIDEGATE__SERVER__MAX_STREAMS", "some"),
        ("TIDEGATE__PROVIDERS__OPENAI__API_KEY", "sk-secret\n"),
        ("TIDEGATE__SERVER____LISTEN", "x"),
        ("DATABASE_URL", "postgres://user:secret@db"),
    ];
    check_with(
        PROVIDER,
        &env,
        Vec::new(),
        &expect![[r#"
        error: server."": an empty name is in the path
         |
         = note: set by the environment variable TIDEGATE__SERVER____LISTEN
         = help: put two underscores between two names

        error: ledger.url is not available in this version
         |
         = note: set by the environment variable DATABASE_URL
         = help: remove it, or DATABASE_URL from the environment; records are kept in SQLite at `ledger.path`

        error: providers.openai.api_key: the value has a line break, an outer space or another character that no HTTP header may hold
         |
         = note: set by the environment variable TIDEGATE__PROVIDERS__OPENAI__API_KEY
         = help: remove it; often it is the last line break of a file

        error: server.keepalive: "5" has no unit
         |
         = note: set by the environment variable TIDEGATE__SERVER__KEEPALIVE
         = help: write a whole number with a unit (ms, s, m, h, d), such as "15s" or "250ms"

        error: server.listen: "0.0.0.0:http" is not an address to listen on
         |
         = note: set by the environment variable PORT
         = help: write an IP address and a port, such as "127.0.0.1:8080" or "[::1]:8080"

        error: server.max_streams: "some" is no whole number
         |
         = note: set by the environment variable TIDEGATE__SERVER__MAX_STREAMS
         = help: write a whole number from 1 to 4294967295
    "#]],
    );
}

#[test]
fn a_fault_of_a_flag_names_the_flag() {
    let flag = Flag { name: "--listen", path: "server.listen", value: "8080".to_owned() };
    check_with(
        "",
        &[],
        vec![flag],
        &expect![[r#"
        error: server.listen: "8080" is not an address to listen on
         |
         = note: set by --listen
         = help: write "127.0.0.1:8080", or "0.0.0.0:8080" for every interface
    "#]],
    );
}

#[test]
fn a_name_in_the_environment_that_fits_two_in_the_file_is_refused() {
    let toml = format!("{PROVIDER}[models.a-b]\n[models.a_b]\n");
    check_with(
        &toml,
        &[("TIDEGATE__MODELS__A_B__DELIVERY", "coherent")],
        Vec::new(),
        &expect![[r#"
        error: models.a_b: more than one name in the file fits
         |
         = note: set by the environment variable TIDEGATE__MODELS__A_B__DELIVERY
         = help: set it in the file
    "#]],
    );
}

#[test]
fn many_faults_are_counted_rather_than_drawn() {
    let toml: String = (0..100).map(|n| format!("x{n} = 1\n")).collect();
    let errors = Config::load(&Sources::of_text(toml)).expect_err("unknown names");
    assert_eq!(errors.count(), 100);
    assert!(errors.to_string().ends_with("error: and 60 more"));
}

#[test]
fn colours_are_for_terminals_only() {
    let errors = Config::load(&Sources::of_text("x = 1")).expect_err("an unknown name");
    assert!(errors.render(true).contains('\u{1b}'));
    assert!(!errors.render(false).contains('\u{1b}'));
}
