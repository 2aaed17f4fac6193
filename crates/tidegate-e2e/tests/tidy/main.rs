//! What a command can judge about the house: lengths, directions, words and generated pages.
//!
//! Each test names a rule of CONTRIBUTING.md or ARCHITECTURE.md and lists everything that breaks it.

mod failures_page;
mod house;

use std::collections::BTreeMap;

use house::{House, Source};

/// Longest production file without being counted as an exception, in lines.
const LONG: usize = 400;
/// No production file is longer, for no reason.
const TOO_LONG: usize = 800;
/// Packages in the lock file, tests and benchmark included.
const LOCKED_PACKAGES: usize = 400;
/// Lines of code (neither blank nor comment) of `serve.rs` and the seven stages, recovery included, which a newcomer should read in an afternoon.
const PATH_OF_A_STREAM: usize = 5_300;
/// Files in the stages' folders that no request runs through whose client waits for its answer, with the reason.
const BESIDE_THE_PATH: &[(&str, &str)] =
    &[("deliver/background.rs", "an answer without a client: a second way out, as sessions are a second way in")];

/// What each crate may use of ours in production.
const EDGES: &[(&str, &[&str])] = &[
    ("core", &[]),
    ("wire", &["core"]),
    ("config", &["core"]),
    ("ledger", &["core"]),
    ("queue", &["core"]),
    ("gateway", &["core", "wire", "config", "ledger", "queue"]),
    ("scenario", &["core", "wire"]),
    ("servers", &[]),
    ("tidegate", &["core", "wire", "config", "ledger", "queue", "gateway", "scenario"]),
    ("e2e", &["core", "wire", "config", "ledger", "gateway", "scenario", "servers"]),
    ("bench", &["servers"]),
];

/// External crates that the sans-IO crates may use in production.
const EXTERNAL: &[(&str, usize)] = &[("core", 3), ("wire", 6)];

/// Spelled once, in `wire::names`. A constant is found by its users when a provider changes; a literal is not.
const WIRE_WORDS: &[&str] = &[
    "[DONE]",
    "text/event-stream",
    "x-tidegate-",
    "x-stainless-",
    "x-should-retry",
    "x-accel-buffering",
    "x-request-id",
    "no-transform",
    "chat.completion",
    "finish_reason",
    "stream_options",
];

/// Crates that spell wire words themselves, with the reason.
const SPELL_FOR_THEMSELVES: &[(&str, &str)] = &[
    ("e2e", "an oracle that shared the product's constants would share their mistakes"),
    ("scenario", "the mock is the other side of the wire, and has to be able to spell things wrongly"),
    ("bench", "it measures other gateways too"),
    ("config", "the default of a header's name is what its reference shows, and it may not depend on wire"),
];

#[test]
fn production_files_stay_under_four_hundred_lines_with_few_exceptions() {
    let house = House::read();
    let files: Vec<&Source> = house.production().collect();
    let mut long: Vec<String> = Vec::new();
    for file in &files {
        let lines = file.text.lines().count();
        assert!(lines <= TOO_LONG, "{} has {lines} lines, the bound is {TOO_LONG}: split it", file.path);
        if lines > LONG {
            long.push(format!("{} ({lines})", file.path));
        }
    }
    assert!(long.len() * 20 <= files.len(), "more than 5 % of {} files are over {LONG} lines: {long:#?}", files.len());
}

#[test]
fn functions_over_eighty_lines_stay_under_one_percent() {
    let house = House::read();
    let count = |needle: &str| house.production().map(|file| file.text.matches(needle).count()).sum::<usize>();
    let (functions, long) = (count("fn "), count("expect(clippy::too_many_lines"));
    assert!(long * 100 <= functions.max(100), "{long} of {functions} functions ask for more than 80 lines");
}

#[test]
fn crates_use_each_other_only_in_the_direction_of_the_path() {
    let mut wrong = Vec::new();
    for package in house::packages() {
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
            wrong.push(format!("{}: a new crate needs a row in EDGES", package.name));
            continue;
        };
        for dependency in &package.ours {
            // Tests of the shell and of the crates above it may play a provider, or start servers; core and wire stay alone even there.
            let helps_tests = matches!(dependency.name.as_str(), "scenario" | "servers");
            let for_tests = dependency.dev && helps_tests && !matches!(package.name.as_str(), "core" | "wire");
            if !allowed.contains(&dependency.name.as_str()) && !for_tests {
                wrong.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    assert!(wrong.is_empty(), "edges outside the table: {wrong:#?}");
}

#[test]
fn the_sans_io_crates_use_few_crates_of_others_and_no_runtime() {
    let packages = house::packages();
    for (name, bound) in EXTERNAL {
        let package = packages.iter().find(|package| package.name == *name).expect("the crate is there");
        assert!(package.external.len() <= *bound, "{name} uses {:?}, the bound is {bound}", package.external);
        for runtime in ["tokio", "hyper", "futures-util"] {
            assert!(!package.external.iter().any(|external| external == runtime), "{name} uses {runtime}");
        }
    }
}

#[test]
fn wire_words_are_spelled_in_names_and_nowhere_else() {
    let house = House::read();
    let mut found = Vec::new();
    for file in house.production().filter(|file| !file.path.ends_with("tidegate-wire/src/names.rs")) {
        if SPELL_FOR_THEMSELVES.iter().any(|(name, _reason)| file.krate() == *name) {
            continue;
        }
        for (number, line) in file.code_lines() {
            for literal in house::string_literals(line) {
                // A header's name in a sentence for a person is prose.
                let is_name = |word: &str| !(word.starts_with("x-") && literal.contains(' '));
                let literal = literal.to_ascii_lowercase();
                let words = WIRE_WORDS.iter().filter(|word| literal.contains(&word.to_ascii_lowercase()) && is_name(word));
                found.extend(words.map(|word| format!("{}:{number}: {word}", file.path)));
            }
        }
    }
    assert!(found.is_empty(), "use the constant in tidegate_wire::names: {found:#?}");
}

#[test]
fn the_failure_page_says_what_the_failure_table_says() {
    let (path, generated) = (house::root().join("docs/failures.md"), failures_page::render());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &generated).expect("docs/failures.md can be written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == generated, "docs/failures.md is not what the table says; `just docs` writes it anew");
}

#[test]
fn each_dependency_of_the_workspace_says_what_it_is_for() {
    let manifest = std::fs::read_to_string(house::root().join("Cargo.toml")).expect("the workspace has a manifest");
    let mut explained = false;
    let mut bare = Vec::new();
    let section = manifest.lines().skip_while(|line| *line != "[workspace.dependencies]").skip(1);
    for line in section.take_while(|line| !line.starts_with('[')) {
        match line.trim() {
            "" => explained = false,
            comment if comment.starts_with('#') => explained = true,
            entry if !explained => bare.push(entry.to_owned()),
            _ => {}
        }
    }
    assert!(bare.is_empty(), "without a comment above: {bare:#?}");
}

#[test]
fn the_lock_file_stays_small() {
    let lock = std::fs::read_to_string(house::root().join("Cargo.lock")).expect("the lock file is committed");
    let packages = lock.matches("[[package]]").count();
    assert!(packages <= LOCKED_PACKAGES, "{packages} packages, the bound is {LOCKED_PACKAGES}");
}

#[test]
fn tests_are_named_as_sentences_and_none_is_ignored() {
    let house = House::read();
    let (mut wrong, mut names) = (Vec::new(), BTreeMap::new());
    for file in house.rust() {
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            if line.starts_with("#[ignore") {
                wrong.push(format!("{}:{}: a test that is wrong today asserts today's behaviour with a note", file.path, at + 1));
            }
            if *line == "#[test]" || line.starts_with("#[tokio::test") {
                let function = lines[at..].iter().find_map(|line| line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn "));
                let name = function.and_then(|rest| rest.split(['(', '<']).next()).unwrap_or_default();
                if name.starts_with("test_") {
                    wrong.push(format!("{}:{}: {name} starts with test_", file.path, at + 1));
                }
                names.insert(format!("{} {name}", file.path), name.split('_').count());
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let short: Vec<&String> = names.iter().filter(|(_, words)| **words < 5).map(|(name, _)| name).collect();
    assert!(short.len() * 10 <= names.len() * 3, "{} of {} names have less than five words: {short:#?}", short.len(), names.len());
}

#[test]
fn public_async_functions_say_what_dropping_them_does() {
    let house = House::read();
    let mut silent = Vec::new();
    // The harness and the benchmark publish nothing.
    for file in house.production().filter(|file| !matches!(file.krate(), "e2e" | "bench")) {
        let lines: Vec<&str> = file.text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("pub async fn")) {
            let above = lines[..at].iter().rev().take_while(|line| line.starts_with("///") || line.starts_with("#["));
            if !above.copied().any(|line| line == "/// # Cancel safety") {
                silent.push(format!("{}:{}: {line}", file.path, at + 1));
            }
        }
    }
    assert!(silent.is_empty(), "without `# Cancel safety`: {silent:#?}");
}

#[test]
fn the_path_of_a_stream_stays_readable_in_an_afternoon() {
    let house = House::read();
    let stages = ["serve", "arrive", "admit", "route", "attempt", "relay", "deliver", "record"];
    let lines: usize = house
        .production()
        .filter_map(|file| Some((file, file.path.strip_prefix("crates/tidegate-gateway/src/")?)))
        .filter(|(_, inside)| stages.iter().any(|stage| inside.split(['/', '.']).next() == Some(stage)))
        .filter(|(_, inside)| !BESIDE_THE_PATH.iter().any(|(beside, _reason)| beside == inside))
        .map(|(file, _)| file.code_lines().count())
        .sum();
    assert!(lines <= PATH_OF_A_STREAM, "{lines} lines, the bound is {PATH_OF_A_STREAM}");
}

#[test]
fn no_file_names_a_place_of_one_machine() {
    // Spelled apart, so that this file does not find itself.
    let places = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("bash_", "jobs")];
    let house = House::read();
    let mut found = Vec::new();
    for file in &house.files {
        for (number, line) in (1..).zip(file.text.lines()) {
            if places.iter().any(|place| line.contains(place)) {
                found.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
        if file.path.ends_with("package-lock.json") && file.text.contains("\"resolved\"") {
            found.push(format!("{}: names a registry's host; set omit-lockfile-registry-resolved", file.path));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}
