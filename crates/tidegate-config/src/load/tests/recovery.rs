//! Routes, retries, breakers, deadlines, webhooks, degradation and prices, as they are read.

use tidegate_core::balance::Balance;
use tidegate_core::breaker::BreakerPolicy;
use tidegate_core::budget::BudgetPolicy;
use tidegate_core::deadline::DeadlinePolicy;
use tidegate_core::limits::RateGuard;
use tidegate_core::retry::RetryPolicy;

use super::*;
use crate::{Degrade, PriceSettings};

const TWO: &str = "[providers.a]\nbase_url = \"http://a\"\n[providers.b]\nbase_url = \"http://b\"\n";

/// A secret as Standard Webhooks write it.
fn signing_secret() -> String {
    format!("whsec_{}", "A".repeat(32))
}

#[test]
fn the_policies_of_the_core_are_the_defaults() {
    let config = config(PROVIDER);
    assert_eq!((config.retry, config.budget, config.breaker), (RetryPolicy::STANDARD, BudgetPolicy::STANDARD, BreakerPolicy::STANDARD));
    assert_eq!((config.deadline.policy, config.deadline.header.as_deref()), (DeadlinePolicy::STANDARD, Some("x-tidegate-timeout-ms")));
    assert!(config.notify.secret.is_none() && config.notify.url.is_none() && !config.notify.allow_private);
    assert_eq!((config.notify.retention, config.notify.deadline), (Duration::from_secs(86_400), Duration::from_secs(900)));
    assert!(config.prices.is_empty());
}

#[test]
fn every_policy_can_be_set() {
    let config = config(
        r#"
[retry]
attempts = 10
backoff = "100ms"
backoff_max = "100ms"
jitter = "1ms"
longest_pushback = "9s"
budget = 1
budget_floor = 0
[breaker]
failures = 2
cooldown = "3s"
[deadline]
overhead = "50ms"
least = "20ms"
header = "X-Time-Left"
"#,
    );
    let millis = Duration::from_millis;
    let retry = RetryPolicy {
        attempts: NonZeroU32::new(10).expect("not zero"),
        backoff: millis(100),
        backoff_max: millis(100),
        jitter: millis(1),
        longest_pushback: millis(9000),
    };
    assert_eq!((config.retry, config.budget), (retry, BudgetPolicy { share: 1.0, floor: 0 }));
    assert_eq!(config.breaker, BreakerPolicy { failures: NonZeroU32::new(2).expect("not zero"), cooldown: millis(3000) });
    assert_eq!(config.deadline.policy, DeadlinePolicy { overhead: millis(50), least: millis(20) });
    assert_eq!(config.deadline.header.as_deref(), Some("x-time-left"));
}

#[test]
fn a_share_can_come_from_the_environment_and_the_header_can_be_off() {
    let config = load_with("", &[("TIDEGATE__RETRY__BUDGET", "0.5"), ("TIDEGATE__DEADLINE__HEADER", "OFF")]).config;
    assert!((config.budget.share - 0.5).abs() < f64::EPSILON);
    assert_eq!(config.deadline.header, None);
}

#[test]
fn a_provider_has_its_one_key_or_several_in_their_order() {
    let keys = |toml: &str| {
        let config = load_with(&format!("{PROVIDER}{toml}"), &[("KEY", "sk-2")]).config;
        let provider = &config.providers["openai"];
        provider.api_keys.iter().map(|key| key.expose_secret().to_owned()).collect::<Vec<String>>()
    };
    assert_eq!(keys(""), [""; 0]);
    assert_eq!(keys("api_key = \"sk-1\"\n"), ["sk-1"]);
    assert_eq!(keys("api_keys = [\"sk-1\", \"${KEY}\"]\n"), ["sk-1", "sk-2"]);
}

#[test]
fn weights_say_that_routes_are_drawn_unless_the_model_says_otherwise() {
    let balance = |balance: &str, weight: &str| {
        let toml = format!("{TWO}[models.x]\nroutes = [{{ provider = \"a\"{weight} }}, {{ provider = \"b\" }}]\n{balance}");
        config(&toml).model("x").map(|model| (model.balance, model.routes[0].weight, model.routes[1].weight))
    };
    assert_eq!(balance("", ""), Some((Balance::Order, None, None)));
    assert_eq!(balance("", ", weight = 0"), Some((Balance::Weight, Some(0), None)));
    assert_eq!(balance("balance = \"weight\"\n", ""), Some((Balance::Weight, None, None)));
    assert_eq!(balance("balance = \"latency\"\n", ", weight = 3"), Some((Balance::Latency, Some(3), None)));
    assert_eq!(balance("balance = \"least_outstanding\"\n", ""), Some((Balance::LeastOutstanding, None, None)));
}

#[test]
fn every_name_that_a_pattern_matches_has_all_its_routes() {
    let toml = format!(
        "{TWO}[models.\"*\"]\nroutes = [{{ provider = \"a\" }}, {{ provider = \"b\", model = \"m\" }}, {{ provider = \"b\", model = \"long\", larger_context = true }}]\n"
    );
    let config = config(&toml);
    let model = config.model("anything").expect("the pattern matches");
    let routes: Vec<_> =
        model.routes.iter().map(|route| (route.provider.as_str(), route.upstream_model("anything"), route.larger_context)).collect();
    assert_eq!(routes, [("a", "anything", false), ("b", "m", false), ("b", "long", true)]);
}

#[test]
fn a_chain_keeps_its_order_and_may_lead_to_a_name_that_a_pattern_passes_on() {
    let toml = format!(
        "{PROVIDER}[models.\"*\"]\ndegrade = [{{ model = \"gpt-4o-mini\", max_tokens = 512 }}, {{ cached = \"1h\" }}, {{ static = \"Later.\" }}]\n[models.x]\ndegrade = [{{ model = \"y\" }}, {{ notify = true }}]\n"
    );
    let config = config(&toml);
    let chain = |name: &str| config.model(name).map(|model| model.degrade.clone()).unwrap_or_default();
    let faster = Degrade::Model { model: "gpt-4o-mini".to_owned(), max_tokens: NonZeroU32::new(512) };
    let cached = Degrade::Cached { ttl: Duration::from_secs(3600) };
    assert_eq!(chain("gpt-4o"), [faster, cached, Degrade::Static { text: "Later.".to_owned() }]);
    assert_eq!(chain("x"), [Degrade::Model { model: "y".to_owned(), max_tokens: None }, Degrade::Notify]);
}

#[test]
fn a_models_guard_and_the_least_useful_time_are_in_its_limits() {
    let toml = format!("{PROVIDER}[models.a]\nslow = {{ chars_per_second = 20 }}\ncontext_window = 128000\n[deadline]\nleast = \"3s\"\n");
    let config = config(&toml);
    let model = config.model("a").expect("it is there");
    let limits = config.limits_for(model, &config.providers["openai"], "a", false);
    assert_eq!(limits.rate_guard, Some(RateGuard { bytes_per_second: 20, window: Duration::from_secs(2) }));
    assert_eq!((limits.least, model.context_window), (Duration::from_secs(3), NonZeroU32::new(128_000)));
}

#[test]
fn a_webhook_may_go_to_a_private_address_where_that_is_allowed() {
    let toml = format!("[notify]\nsecret = {:?}\nurl = \"http://127.0.0.1:1/hook\"\nallow_private = true\n", signing_secret());
    let config = config(&toml);
    assert_eq!(config.notify.secret.as_ref().map(|secret| secret.expose_secret().to_owned()), Some(signing_secret()));
    assert_eq!(config.notify.url.as_ref().map(url::Url::as_str), Some("http://127.0.0.1:1/hook"));
    assert!(!format!("{config:?}").contains(&signing_secret()));
}

#[test]
fn prices_are_read_by_name_with_whole_and_broken_numbers() {
    let config = config("[prices.\"openai/gpt-4o\"]\ninput = 2.5\noutput = 10\ncached_input = 0\n[prices.\"x*\"]\ncontext_window = 8000\n");
    let own = PriceSettings { input: Some(2.5), output: Some(10.0), cached_input: Some(0.0), ..PriceSettings::default() };
    assert_eq!(config.prices["openai/gpt-4o"], own);
    assert_eq!(config.prices["x*"], PriceSettings { context_window: Some(8000), ..PriceSettings::default() });
}

#[test]
fn an_overhead_that_takes_the_whole_of_a_deadline_is_answered_with_a_warning() {
    let warnings = |toml: &str| load_with(&format!("{PROVIDER}{toml}"), &[]).warnings;
    let wanted = "deadline.overhead is \"30s\"; a total of model \"*\" is \"30s\", so a caller's deadline leaves it a second at most";
    assert_eq!(warnings("[deadline]\noverhead = \"30s\"\n"), [wanted]);
    assert_eq!(warnings("[deadline]\noverhead = \"29s\"\n"), [""; 0]);
    assert_eq!(warnings("[deadline]\noverhead = \"30s\"\n[models.gpt-4o]\n"), [""; 0]);
}
