use super::{MOST_FOUND, ModelFacts, Price, PriceTable};
use tidegate_core::event::Usage;

fn price(input: f64, output: f64) -> Price {
    Price { input, output, cached_input: None, reasoning: None }
}

/// Overrides with prices that differ in their input alone.
fn table(rows: &[(&str, f64)]) -> PriceTable {
    let facts = |input| ModelFacts { price: Some(price(input, 1.0)), context_window: None };
    PriceTable::with_overrides(rows.iter().map(|(name, input)| ((*name).to_owned(), facts(*input))))
}

fn input_price(table: &PriceTable, provider: &str, model: &str) -> Option<f64> {
    table.facts(provider, model)?.price.map(|price| price.input)
}

fn usage(input: u64, output: u64) -> Usage {
    Usage { input_tokens: Some(input), output_tokens: Some(output), ..Usage::default() }
}

#[track_caller]
fn assert_usd(cost: Option<f64>, expected: f64) {
    let cost = cost.expect("it is known");
    assert!((cost - expected).abs() < 1e-12, "{cost} is not {expected}");
}

#[test]
fn the_most_exact_name_wins() {
    let table = table(&[("m*", 1.0), ("mod*", 2.0), ("p/m*", 3.0), ("model", 4.0), ("p/model", 5.0), ("q/*", 6.0)]);
    for (provider, model, expected) in [
        ("p", "model", 5.0),
        ("other", "model", 4.0),
        ("p", "model-2", 3.0),
        ("other", "model-2", 2.0),
        ("other", "max", 1.0),
        ("q", "model-2", 6.0),
        ("q", "model", 4.0),
    ] {
        assert_eq!(input_price(&table, provider, model), Some(expected), "{provider}/{model}");
    }
    assert_eq!(input_price(&table, "p", "unheard-of"), None);
    assert_eq!(input_price(&table, "model", ""), None, "a provider's name is no model's");
}

#[test]
fn dates_and_vendors_may_be_missing_in_a_row() {
    let table = PriceTable::builtin();
    let known = input_price(&table, "openai", "gpt-4o");
    assert_eq!(known, Some(2.5));
    for model in ["gpt-4o-2024-08-06", "openai/gpt-4o", "openai/gpt-4o-2024-11-20"] {
        assert_eq!(input_price(&table, "anyone", model), known, "{model}");
    }
    assert_eq!(input_price(&table, "openai", "gpt-4o-2024-05-13"), Some(5.0), "it has a price of its own");
    let claude = input_price(&table, "anthropic", "claude-sonnet-4");
    for model in ["claude-sonnet-4-20250514", "claude-sonnet-4@20250514", "anthropic/claude-sonnet-4.5"] {
        assert_eq!(input_price(&table, "vertex", model), claude, "{model}");
    }
    assert_eq!(input_price(&table, "groq", "openai/gpt-oss-120b"), Some(0.15), "a model's own name may have a slash");
}

#[test]
fn a_name_that_is_only_like_a_known_one_has_no_price() {
    let table = PriceTable::builtin();
    for model in [
        "",
        "gpt-4o-",
        "gpt-4o-audio-preview",
        "gpt-4o-2024-8-06",
        "-2024-08-06",
        "ft:gpt-4o:acme::1",
        "openai/gpt-4o:free",
        "/",
        "gpt-4o\u{e9}-00000000",
    ] {
        assert_eq!(input_price(&table, "openai", model), None, "{model}");
    }
}

#[test]
fn settings_come_before_what_is_built_in_and_leave_the_rest_of_it() {
    let window = ModelFacts { price: None, context_window: Some(64_000) };
    let free = ModelFacts { price: Some(price(0.0, 0.0)), context_window: None };
    let table = PriceTable::with_overrides([("gpt-4o".to_owned(), window), ("local/*".to_owned(), free)]);
    let facts = table.facts("openai", "gpt-4o-2024-08-06").expect("it is known");
    assert_eq!((facts.context_window, facts.price.map(|price| price.output)), (Some(64_000), Some(10.0)));
    let facts = table.facts("local", "gpt-4o").expect("it is known");
    assert_eq!((facts.context_window, facts.price), (Some(64_000), Some(price(0.0, 0.0))));
    assert_usd(table.cost("local", "anything", &usage(1000, 1000)), 0.0);
}

#[test]
fn each_token_is_paid_once_at_its_own_price() {
    let facts =
        ModelFacts { price: Some(Price { input: 2.0, output: 8.0, cached_input: Some(0.5), reasoning: Some(16.0) }), context_window: None };
    let table = PriceTable::with_overrides([("m".to_owned(), facts)]);
    assert_usd(table.cost("p", "m", &usage(1_000_000, 500_000)), 6.0);
    let detailed = Usage { cached_input_tokens: Some(400_000), reasoning_tokens: Some(100_000), ..usage(1_000_000, 500_000) };
    assert_usd(table.cost("p", "m", &detailed), 0.6 * 2.0 + 0.4 * 0.5 + 0.4 * 8.0 + 0.1 * 16.0);
    let absurd = Usage { cached_input_tokens: Some(u64::MAX), reasoning_tokens: Some(9_000_000), ..usage(1_000_000, 500_000) };
    assert_usd(table.cost("p", "m", &absurd), 0.5 + 8.0);
}

#[test]
fn details_without_a_price_of_their_own_cost_what_the_others_cost() {
    let detailed = Usage { cached_input_tokens: Some(10), reasoning_tokens: Some(10), ..usage(100, 100) };
    assert_usd(table(&[("m", 3.0)]).cost("p", "m", &detailed), 400.0 / 1e6);
}

#[test]
fn what_is_not_known_costs_nothing_that_is_known() {
    let table = PriceTable::builtin();
    assert_eq!(table.cost("openai", "unheard-of", &usage(1, 1)), None);
    assert_eq!(table.cost("openai", "gpt-4o", &Usage { output_tokens: None, ..usage(1, 1) }), None);
    assert_eq!(table.cost("openai", "gpt-4o", &Usage { input_tokens: None, ..usage(1, 1) }), None);
    assert_usd(table.cost("openai", "gpt-4o", &usage(0, 0)), 0.0);
}

#[test]
fn long_prompts_cost_more_where_the_list_says_so() {
    let table = PriceTable::builtin();
    assert_usd(table.cost("google", "gemini-2.5-pro", &usage(200_000, 1000)), 0.2 * 1.25 + 0.001 * 10.0);
    assert_usd(table.cost("google", "gemini-2.5-pro", &usage(200_001, 1000)), 0.200_001 * 2.5 + 0.001 * 15.0);
}

#[test]
fn the_built_in_list_is_plausible_and_says_where_it_is_from() {
    let list: serde_json::Value = serde_json::from_str(super::BUILTIN).expect("it is JSON");
    let mut names = std::collections::BTreeSet::new();
    for vendor in list["vendors"].as_array().expect("it has vendors") {
        assert!(vendor["source"].as_str().is_some_and(|source| source.starts_with("https://")), "{vendor}");
        assert_eq!(vendor["as_of"].as_str().map(str::len), Some("2026-08-21".len()), "{vendor}");
        for model in vendor["models"].as_array().expect("it has models") {
            let number = |value: &serde_json::Value| value.as_f64();
            let known = |key: &str| number(&model[key]);
            for name in model["names"].as_array().expect("it has names") {
                assert!(names.insert(name.as_str().expect("it is a name").to_owned()), "{name} stands twice");
            }
            let unknown = model.as_object().expect("it is an object").keys().find(|key| {
                !["names", "context_window", "max_output", "input", "output", "cached_input", "cache_write", "long"].contains(&key.as_str())
            });
            assert_eq!(unknown, None, "{model}");
            let Some((input, output)) = known("input").zip(known("output")) else { continue };
            assert!(input > 0.0 && output >= input && output < 1000.0, "{model}");
            assert!(known("cached_input").is_none_or(|cached| cached < input), "{model}");
            assert!(known("cache_write").is_none_or(|write| write > input), "{model}");
            assert!(known("max_output").is_none_or(|most| Some(most) <= known("context_window")), "{model}");
            let long = &model["long"];
            assert!(long.is_null() || number(&long["input"]) > Some(input) && number(&long["output"]) > Some(output), "{model}");
        }
    }
    assert!(names.len() > 100, "{} names", names.len());
}

#[test]
fn what_was_found_is_found_again_and_names_without_end_take_no_memory_without_end() {
    let table = table(&[("known", 2.0), ("p/known", 3.0)]);
    for _ in 0..2 {
        for (provider, model, expected) in [("p", "known", Some(3.0)), ("q", "known", Some(2.0)), ("p", "other", None)] {
            assert_eq!(input_price(&table, provider, model), expected, "{provider}/{model}");
        }
    }
    for number in 0..2 * MOST_FOUND {
        assert_eq!(input_price(&table, "p", &format!("other-{number}")), None);
    }
    assert_eq!(table.found.0.read().expect("no panic").len(), MOST_FOUND);
    assert_eq!((input_price(&table, "p", "known"), input_price(&table, "late", "known")), (Some(3.0), Some(2.0)));
}
