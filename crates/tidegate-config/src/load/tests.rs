use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use secrecy::ExposeSecret;
use tidegate_core::limits::{DeliveryMode, Limits, TimeoutProfile};

use super::*;
use crate::{Http2, OnDisconnect, ProviderKind};

mod recovery;
mod sessions;

fn env(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn load_with(toml: &str, pairs: &[(&str, &str)]) -> Loaded {
    Config::load(&Sources { env: env(pairs), ..Sources::of_text(toml) }).unwrap_or_else(|errors| panic!("{errors}"))
}

fn config(toml: &str) -> Config {
    load_with(toml, &[]).config
}

const PROVIDER: &str = "[providers.openai]\nbase_url = \"https://api.openai.com/v1\"\n";

mod where_settings_come_from {
    use super::*;

    #[test]
    fn the_example_file_loads_and_says_what_the_defaults_are() {
        let example = include_str!("../../../../tidegate.example.toml");
        let loaded = load_with(example, &[("OPENAI_API_KEY", "sk-test")]);
        let defaults = load_with("", &[]).config;
        assert_eq!(loaded.config.server, defaults.server);
        assert_eq!(loaded.config.ledger, defaults.ledger);
        assert_eq!(loaded.config.log, defaults.log);
        assert_eq!(loaded.config.queue, defaults.queue);
        assert_eq!(loaded.config.session_settings(), defaults.session_settings());
        assert_eq!((loaded.config.retry, loaded.config.budget), (defaults.retry, defaults.budget));
        assert_eq!((loaded.config.breaker, &loaded.config.deadline), (defaults.breaker, &defaults.deadline));
        assert_eq!(loaded.config.profiles, defaults.profiles);
        assert!(loaded.warnings.is_empty() && !loaded.built_in_mock);
    }

    #[test]
    fn a_named_file_must_exist_and_is_told_for_watching() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gate.toml");
        let missing = Config::load(&Sources { file: FileSource::Path(path.clone()), ..Sources::default() }).expect_err("no such file");
        assert!(missing.to_string().contains("cannot read the configuration file"));
        std::fs::write(&path, "[server]\nmax_streams = 7\n").expect("write");
        for file in [FileSource::Path(path.clone()), FileSource::Find] {
            let env = env(&[(FILE_VARIABLE, &path.to_string_lossy())]);
            let loaded = Config::load(&Sources { file, env, flags: Vec::new() }).expect("it loads");
            assert_eq!((loaded.file, loaded.config.server.max_streams), (Some(path.clone()), 7));
        }
    }

    #[test]
    fn a_file_that_is_not_text_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gate.toml");
        std::fs::write(&path, [0xff, 0xfe]).expect("write");
        let errors = Config::load(&Sources { file: FileSource::Path(path), ..Sources::default() }).expect_err("not UTF-8");
        assert!(errors.to_string().contains("it is not UTF-8"));
    }

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let toml = "[server]\nlisten = \"127.0.0.1:1\"\nmax_streams = 1\ndrain = \"1s\"\n";
        let pairs = [("TIDEGATE__SERVER__LISTEN", "127.0.0.1:2"), ("TIDEGATE__SERVER__MAX_STREAMS", "2"), ("PORT", "3")];
        let flags = vec![Flag { name: "--listen", path: "server.listen", value: "127.0.0.1:4".to_owned() }];
        let server = Config::load(&Sources { env: env(&pairs), flags, ..Sources::of_text(toml) }).expect("it loads").config.server;
        assert_eq!((server.listen.port(), server.max_streams, server.drain), (4, 2, Duration::from_secs(1)));
        assert_eq!(load_with(toml, &pairs).config.server.listen.port(), 2);
        assert_eq!(load_with(toml, &pairs[2..]).config.server.listen, SocketAddr::from(([0, 0, 0, 0], 3)));
    }

    #[test]
    fn a_secret_comes_from_the_environment_and_shows_itself_nowhere() {
        let toml = format!("{PROVIDER}api_key = \"${{KEY}}\"\nheaders = {{ X-Team = \"${{TEAM}}-1\" }}\n");
        let config = load_with(&toml, &[("KEY", "sk-secret"), ("TEAM", "secret")]).config;
        let provider = &config.providers["openai"];
        assert_eq!(provider.api_keys.first().map(ExposeSecret::expose_secret), Some("sk-secret"));
        assert_eq!(provider.headers, [("x-team".to_owned(), "secret-1".to_owned())]);
        assert!(!format!("{config:?}").contains("secret-1") && !format!("{config:?}").contains("sk-secret"));
        assert!(!crate::show(&config).contains("secret"));
    }
}

mod what_serves_without_configuration {
    use super::*;

    #[test]
    fn the_built_in_mock_serves_where_nothing_is_configured() {
        let loaded = load_with("", &[("OPENAI_API_KEY", "")]);
        assert!(loaded.built_in_mock);
        assert_eq!(loaded.config.providers["mock"].kind, ProviderKind::Mock);
        let route = |name: &str| loaded.config.model(name).map(|model| model.routes[0].upstream_model(name).to_owned());
        assert_eq!(route("mock").as_deref(), Some("mock"));
        assert_eq!(route("mock:cut after 3").as_deref(), Some("mock:cut after 3"));
        assert_eq!(route("gpt-4o"), None);
    }

    #[test]
    fn an_openai_key_makes_a_provider_that_serves_every_name() {
        let loaded = load_with("[server]\nmax_streams = 5\n", &[("OPENAI_API_KEY", "sk-test")]);
        assert!(!loaded.built_in_mock);
        assert_eq!(loaded.config.providers["openai"].base_url.as_str(), "https://api.openai.com/v1");
        assert_eq!(loaded.config.model("anything").map(|model| model.name.as_str()), Some("*"));
        let elsewhere = load_with("", &[("OPENAI_API_KEY", "sk-test"), ("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")]);
        assert_eq!(elsewhere.config.providers["openai"].base_url.as_str(), "http://127.0.0.1:1/v1");
    }

    #[test]
    fn an_anthropic_key_is_answered_with_a_warning() {
        let loaded = load_with("", &[("ANTHROPIC_API_KEY", "sk-ant-test")]);
        assert!(loaded.built_in_mock);
        assert_eq!(loaded.warnings, ["ANTHROPIC_API_KEY is set; providers of kind \"anthropic\" are not available in this version"]);
    }

    #[test]
    fn a_configured_provider_is_the_only_one() {
        let loaded = load_with(PROVIDER, &[("OPENAI_API_KEY", "sk-test")]);
        assert!(loaded.config.providers["openai"].api_keys.is_empty());
        assert!(loaded.config.model("anything").is_some());
    }

    #[test]
    fn a_provider_can_come_from_the_environment_alone() {
        let loaded = load_with("", &[("TIDEGATE__PROVIDERS__VLLM__BASE_URL", "http://127.0.0.1:8000/v1")]);
        assert_eq!(loaded.config.model("llama").map(|model| model.routes[0].provider.as_str()), Some("vllm"));
    }
}

mod models {
    use super::*;

    #[test]
    fn an_exact_name_wins_over_patterns_and_a_long_pattern_over_a_short_one() {
        let toml = format!("{PROVIDER}[models.\"*\"]\n[models.\"gpt-*\"]\n[models.\"gpt-4*\"]\n[models.\"gpt-4o\"]\n");
        let config = config(&toml);
        let name = |asked: &str| config.model(asked).map(|model| model.name.clone());
        assert_eq!(name("gpt-4o").as_deref(), Some("gpt-4o"));
        assert_eq!(name("gpt-4o-mini").as_deref(), Some("gpt-4*"));
        assert_eq!(name("gpt-5").as_deref(), Some("gpt-*"));
        assert_eq!(name("o3").as_deref(), Some("*"));
    }

    #[test]
    fn a_route_passes_on_the_asked_name_unless_it_names_a_model() {
        let toml = format!("{PROVIDER}[models.\"a*\"]\n[models.fast]\nroutes = [{{ provider = \"openai\", model = \"gpt-4o-mini\" }}]\n");
        let config = config(&toml);
        let upstream = |asked: &str| config.model(asked).map(|model| model.routes[0].upstream_model(asked).to_owned());
        assert_eq!(upstream("abc").as_deref(), Some("abc"));
        assert_eq!(upstream("fast").as_deref(), Some("gpt-4o-mini"));
        let fast = config.model("fast").expect("it is there");
        assert_eq!(config.provider(&fast.routes[0]).map(|provider| provider.name.as_str()), Some("openai"));
    }

    #[test]
    fn what_a_model_does_is_read_from_its_section() {
        let toml = format!(
            "{PROVIDER}[models.a]\ndelivery = \"coherent\"\non_disconnect = \"drain\"\ndrain = {{ max_tokens = 9 }}\nearly_200 = true\n[models.b]\non_disconnect = \"drain\"\n"
        );
        let config = config(&toml);
        let model = |name: &str| config.model(name).expect("it is there");
        let caps = |max_tokens: u32| OnDisconnect::Drain {
            max_tokens: max_tokens.try_into().expect("not zero"),
            max_time: Duration::from_secs(60),
        };
        assert_eq!((model("a").delivery, model("a").on_disconnect, model("a").early_200), (DeliveryMode::Coherent, caps(9), true));
        assert_eq!((model("b").delivery, model("b").on_disconnect, model("b").early_200), (DeliveryMode::Stream, caps(4096), false));
    }

    #[test]
    fn a_name_with_dots_can_be_set_from_the_environment() {
        let toml = format!("{PROVIDER}[models.\"gpt-4.1\"]\n");
        let config = load_with(&toml, &[("TIDEGATE__MODELS__GPT_4_1__DELIVERY", "buffered")]).config;
        assert_eq!(config.model("gpt-4.1").map(|model| model.delivery), Some(DeliveryMode::Buffered));
    }

    #[test]
    fn lists_in_the_environment_are_written_as_toml() {
        let routes = "[{ provider = \"openai\", model = \"gpt-4o\" }]";
        let config =
            load_with(PROVIDER, &[("TIDEGATE__MODELS__FAST__ROUTES", routes), ("TIDEGATE__MODELS__FAST__EARLY_200", "true")]).config;
        let fast = config.model("fast").expect("it is there");
        assert_eq!((fast.routes[0].model.as_deref(), fast.early_200), (Some("gpt-4o"), true));
    }
}

mod timeouts {
    use super::*;

    fn profile(toml: &str, asked: &str, thinking: bool) -> TimeoutProfile {
        let config = config(&format!("{PROVIDER}{toml}"));
        config.profile_for(config.model(asked).expect("it is there"), asked, thinking)
    }

    #[test]
    fn a_pattern_serves_each_name_in_the_time_of_its_class() {
        assert_eq!(profile("", "gpt-4o-mini", false), TimeoutProfile::SMALL);
        assert_eq!(profile("", "gpt-4o", false), TimeoutProfile::MID);
        assert_eq!(profile("", "claude-opus-4", false), TimeoutProfile::LARGE);
        assert_eq!(profile("", "o3", false), TimeoutProfile::THINKING);
        assert_eq!(profile("", "llama", false), TimeoutProfile::STANDARD);
    }

    #[test]
    fn a_request_that_asks_for_thinking_gets_the_thinking_time_of_any_model() {
        assert_eq!(profile("", "gpt-4o-mini", true), TimeoutProfile::THINKING);
        assert_eq!(profile("[models.a]\nprofile = \"small\"\n", "a", true), TimeoutProfile::THINKING);
        assert_eq!(profile("[models.a]\nthinking_profile = \"large\"\n", "a", true), TimeoutProfile::LARGE);
    }

    #[test]
    fn an_alias_has_the_class_of_the_model_that_answers() {
        assert_eq!(
            profile("[models.fast]\nroutes = [{ provider = \"openai\", model = \"gpt-4o-mini\" }]\n", "fast", false),
            TimeoutProfile::SMALL
        );
    }

    #[test]
    fn a_section_changes_a_standard_profile_and_makes_new_ones_from_the_standard_one() {
        let toml = "[profiles.mid]\nidle = \"40s\"\n[profiles.own]\ntotal = \"500s\"\n[models.a]\nprofile = \"own\"\n[models.\"*\"]\n";
        assert_eq!(profile(toml, "gpt-4o", false), TimeoutProfile { idle: Duration::from_secs(40), ..TimeoutProfile::MID });
        assert_eq!(profile(toml, "a", false), TimeoutProfile { total: Duration::from_secs(500), ..TimeoutProfile::STANDARD });
    }

    #[test]
    fn a_model_sets_single_members_for_each_kind_of_request() {
        let toml = "[models.gpt-4o]\ntimeouts = { idle = \"20s\" }\nthinking_timeouts = { total = \"10m\" }\n";
        assert_eq!(profile(toml, "gpt-4o", false), TimeoutProfile { idle: Duration::from_secs(20), ..TimeoutProfile::MID });
        assert_eq!(profile(toml, "gpt-4o", true), TimeoutProfile { total: Duration::from_secs(600), ..TimeoutProfile::THINKING });
    }

    #[test]
    fn the_defaults_give_the_limits_of_the_core() {
        let config = config(PROVIDER);
        let model = config.model("gpt-4o").expect("it is there");
        let provider = config.provider(&model.routes[0]).expect("it is there");
        assert_eq!(config.limits_for(model, provider, "gpt-4o", false), Limits::with_profile(TimeoutProfile::MID));
    }
}

#[test]
fn a_provider_has_the_documented_defaults() {
    let provider = &config(PROVIDER).providers["openai"];
    assert_eq!((provider.http2, provider.max_connections.get(), provider.idle_connections.get()), (Http2::Auto, 10_000, 256));
    let few = &config(&format!("{PROVIDER}max_connections = 4\n")).providers["openai"];
    assert_eq!(few.idle_connections.get(), 4);
}

#[test]
fn a_keepalive_that_proxies_outrun_is_answered_with_a_warning() {
    let loaded = load_with("[server]\nkeepalive = \"90s\"\n", &[]);
    assert_eq!(loaded.warnings, ["server.keepalive is \"90s\"; many proxies cut a stream after 60 s of silence"]);
}

mod properties {
    use proptest::prelude::*;

    use super::*;

    /// A file with secrets in all the places that may hold one, so that a slip of the hand can bring them anywhere.
    const FILE: &str = r#"
[providers.openai]
base_url = "http://user:S3CR3T@host/v1"
api_key = "sk-S3CR3T"
http2 = "auto"
headers = { X-Key = "S3CR3T", "X-Other" = 'S3CR3T' }
[providers.b]
api_key = """
sk-S3CR3T"""
max_connections = 5
[notify]
secret = "S3CR3T"
[queue]
backend = "redis"
redis = "redis://name:S3CR3T@host:1"
[models.a]
routes = [{ provider = "b", token = "S3CR3T" }]
"#;

    /// What a file is made of, so that random files get past the parser.
    const WORDS: &[&str] = &[
        "[server]\n",
        "[providers.a]\n",
        "[models.\"x*\"]\n",
        "[profiles.mid]\n",
        "[log]\n",
        "[ledger]\n",
        "[retry]\n",
        "[deadline]\n",
        "[notify]\n",
        "[prices.a]\n",
        "[queue]\n",
        "[sessions]\n",
        "backend = ",
        "redis = ",
        "kafka = ",
        "kafka_topics = ",
        "kafka_partitions = ",
        "lease = ",
        "min_workers = ",
        "model = ",
        "allowed_origins = ",
        "max_message = ",
        "\"redis://h\"\n",
        "[\"http://h\"]\n",
        "[\"h:1\"]\n",
        "budget = ",
        "input = ",
        "header = ",
        "url = ",
        "degrade = ",
        "balance = ",
        "slow = ",
        "api_keys = ",
        "[{ model = \"a\", max_tokens = 1 }, { static = \"a\" }, { notify = true }]\n",
        "[{ provider = \"a\", weight = 0 }, { provider = \"a\" }]\n",
        "{ chars_per_second = 1 }\n",
        "[\"a\", \"a\"]\n",
        "nan\n",
        "0.5\n",
        "listen = ",
        "idle = ",
        "total = ",
        "kind = ",
        "base_url = ",
        "api_key = ",
        "headers = ",
        "routes = ",
        "provider = ",
        "delivery = ",
        "max_streams = ",
        "max_body = ",
        "path = ",
        "early_200 = ",
        "level = ",
        "profile = ",
        "drain = ",
        "\"5s\"\n",
        "\"1MiB\"\n",
        "\"http://h\"\n",
        "\"a\"\n",
        "\"${A}\"\n",
        "\"mock\"\n",
        "\"drain\"\n",
        "5\n",
        "-1\n",
        "1e9\n",
        "99999999999999999999\n",
        "true\n",
        "1979-05-27\n",
        "[]\n",
        "{}\n",
        "[{ provider = \"a\" }]\n",
        "{ max_tokens = 1 }\n",
        "{ \"\" = 1 }\n",
        "\"\"\"é\n\"\"\"\n",
        "\"",
        "=",
        "\n",
        "é",
    ];

    fn word() -> impl Strategy<Value = String> {
        proptest::sample::select(WORDS).prop_map(str::to_owned)
    }

    fn judge(toml: String, env: BTreeMap<String, String>) -> Result<(), TestCaseError> {
        if let Err(errors) = Config::load(&Sources { env, ..Sources::of_text(toml) }) {
            prop_assert!(!errors.render(true).is_empty());
            prop_assert!(!errors.to_string().contains("please report"), "{errors}");
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn any_text_loads_or_is_refused(toml in any::<String>()) {
            judge(toml, BTreeMap::new())?;
        }

        #[test]
        fn any_row_of_known_words_loads_or_is_refused(words in proptest::collection::vec(word(), 0..24)) {
            judge(words.concat(), env(&[("A", "1")]))?;
        }

        #[test]
        fn any_environment_loads_or_is_refused(
            path in proptest::collection::vec("(server|providers|models|a|routes|0|listen|kind|profile|max_streams|headers||é)", 1..5),
            value in prop_oneof![any::<String>(), word()],
        ) {
            let env = env(&[(&format!("TIDEGATE__{}", path.join("__")), &value)]);
            judge("[models.a]\nroutes = [{ provider = \"mock\" }]\n".to_owned(), env)?;
        }

        #[test]
        fn no_slip_of_the_hand_brings_a_secret_into_a_message(
            slips in proptest::collection::vec((0..FILE.len(), prop_oneof![Just(String::new()), "[\"'=\\[\\]{}# \n@a,.]"], 0_usize..3), 1..4),
        ) {
            let mut toml = FILE.to_owned();
            for (at, inserted, removed) in slips {
                let at = at.min(toml.len());
                toml.replace_range(at..(at + removed).min(toml.len()), &inserted);
            }
            if let Err(errors) = Config::load(&Sources::of_text(toml)) {
                prop_assert!(!errors.to_string().contains("S3CR3T"), "{errors}");
            }
        }
    }
}
