//! The program itself: without a peer in between, and with the one of the most processes.

use std::process::Command;

#[test]
fn a_quick_run_without_peers_measures_the_direct_way() {
    let tables = quick_run(&["--peer", "direct", "--only", "small", "--only", "flat", "--only", "departure"]);
    for label in ["small whole requests per second", "events per second, flat out", "provider idle"] {
        assert!(tables.contains(label), "no line for {label} in\n{tables}");
    }
}

#[test]
fn sessions_are_measured_through_a_gateway_a_redis_and_a_worker() {
    let built = Command::new(env!("CARGO")).args(["build", "-p", "tidegate", "--features", "kafka"]).output().unwrap();
    assert!(built.status.success(), "the gateway does not build:\n{}", String::from_utf8_lossy(&built.stderr));
    let tables = quick_run(&["--peer", "redis", "--only", "sessions"]);
    let table = tables.split_once("sessions behind a queue").unwrap_or_else(|| panic!("no queue in\n{tables}")).1;
    let values: Vec<f64> = table.lines().skip(2).filter_map(redis_value).collect();
    assert_eq!(values.len(), 15, "{table}");
    // A process may also give memory back while it is weighed.
    assert!(values[..12].iter().all(|&value| value > 0.0), "{table}");
}

fn redis_value(line: &str) -> Option<f64> {
    line.split('|').nth(3)?.split_whitespace().next()?.replace(',', "").parse().ok()
}

fn quick_run(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_tidegate-bench")).arg("--quick").args(arguments).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("tables are text")
}
