use super::*;

fn line(findings: &Findings, label: &str) -> Vec<String> {
    let tables = tables(findings);
    let line = tables.lines().find(|line| line.contains(label)).unwrap_or_else(|| panic!("no {label} in {tables}"));
    line.split('|').map(|cell| cell.trim().to_owned()).collect()
}

fn findings(row: Row, nginx: &[f64], tidegate: &[f64]) -> Findings {
    let mut findings = Findings::default();
    nginx.iter().for_each(|&value| findings.add(row, Kind::Nginx, value));
    tidegate.iter().for_each(|&value| findings.add(row, Kind::Tidegate, value));
    findings
}

#[test]
fn a_ratio_target_is_judged_against_nginx_of_the_same_run() {
    let met = |tidegate| line(&findings(Row::PacedCpu, &[10.0], &[tidegate]), "500 paced streams, 20 ms")[8].clone();
    assert_eq!([met(10.0), met(12.9), met(13.1)], ["aim", "must", "**no**"]);
}

#[test]
fn an_absolute_target_is_judged_without_nginx() {
    let cells = line(&findings(Row::SmallCpu, &[], &[30.0]), "small whole request");
    assert_eq!(cells[2..9], ["–", "–", "30.0 µs", "–", "≤ 35 µs", "≤ 25 µs", "must"]);
}

#[test]
fn an_absolute_target_that_is_missed_where_nginx_is_slower_too_says_how_it_stands_in_proportion() {
    let met = |nginx, tidegate| line(&findings(Row::SmallCpu, &[nginx], &[tidegate]), "small whole request")[8].clone();
    assert_eq!(met(27.2, 69.9), "**no**; in proportion to nginx: must");
    assert_eq!([met(27.2, 70.1), met(13.6, 35.1), met(27.2, 34.9), met(10.0, 34.9)], ["**no**", "**no**", "must", "must"]);
}

#[test]
fn several_rounds_show_their_median_and_their_ends() {
    let cells = line(&findings(Row::FlatRate, &[1_234_567.0, 999.4, 12_000.0], &[]), "events per second, flat out");
    assert_eq!(cells[3], "12,000 /s (999–1,234,567)");
}

#[test]
fn a_peer_that_was_not_measured_is_judged_by_nothing() {
    assert_eq!(line(&findings(Row::Start, &[20.0], &[]), "exec to first 200")[4..9], ["–", "–", "≤ 50 ms", "≤ 20 ms", "–"]);
}

#[test]
fn what_recovery_costs_is_a_ratio_of_the_gateway_to_itself() {
    let mut findings = findings(Row::PacedCpu, &[10.0], &[12.0]);
    findings.add(Row::PacedCpu, Kind::Recovering, 12.6);
    let tables = tables(&findings);
    let line = tables.lines().rev().find(|line| line.contains("500 paced streams, 20 ms")).expect("it was measured");
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    assert_eq!(cells[2..5], ["12.0 µs", "12.6 µs", "1.05"]);
}

#[test]
fn sessions_behind_a_queue_stand_beside_those_in_memory() {
    let mut findings = findings(Row::FirstTokenP99, &[], &[2.0]);
    assert!(!tables(&findings).contains("sessions behind a queue"), "none was measured");
    findings.add(Row::FirstTokenP99, Kind::Redis, 31.5);
    let tables = tables(&findings);
    let table = tables.split_once("sessions behind a queue").expect("one was measured").1;
    let line = table.lines().find(|line| line.contains("1,000 prompts a second: to first token, p99")).expect("it was measured");
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    assert_eq!(cells[2..5], ["2.00 ms", "31.50 ms", "–"]);
}
