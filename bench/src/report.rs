//! The tables of a run: on the terminal, and with words around them as a page of the documentation.

mod machine;
mod table;

use std::fmt::Write as _;

use anyhow::Result;

use crate::{
    lab::Plan,
    peer::Kind,
    rows::{Bound, Facts, Findings, QUEUE_ROWS, ROWS, Row, SESSION_ROWS, SessionFacts, Target},
};

/// In the order of their columns.
const QUEUES: [Kind; 2] = [Kind::Redis, Kind::Kafka];
const MEANING: &str = include_str!("report/meaning.md");

const MISSED: &str = "**no**";

/// The tables: figures with a target, what stands beside them, what being ready for failure costs, and sessions, alone and behind a queue.
pub(crate) fn tables(findings: &Findings) -> String {
    let (targets, beside): (Vec<_>, Vec<_>) =
        ROWS.iter().filter(|facts| is_measured(facts, findings)).partition(|facts| facts.target.is_some());
    let targets: Vec<_> =
        targets.into_iter().filter_map(|facts| facts.target.map(|target| target_cells(facts, target, findings))).collect();
    let beside: Vec<_> = beside.into_iter().map(|facts| beside_cells(facts, findings)).collect();
    let sessions: Vec<_> = SESSION_ROWS.iter().filter_map(|facts| session_cells(facts, findings)).collect();
    let queues: Vec<_> = QUEUE_ROWS.iter().filter_map(|facts| queue_cells(facts, findings)).collect();
    let recovery: Vec<_> = ROWS.iter().filter_map(|facts| recovery_cells(facts, findings)).collect();
    let tables = [
        table::render(["figure", "direct", "nginx", "Tidegate", "ratio", "must", "aim", "met", "nginx then"], &targets),
        table::render(["beside it", "direct", "nginx", "Tidegate"], &beside),
        table::render(["what recovery costs while all is well", "one route", "routes, breakers and a chain", "ratio"], &recovery),
        table::render(["sessions", "echo server", "Tidegate", "ratio", "must", "aim", "met"], &sessions),
        table::render(["sessions behind a queue", "in memory", "Redis", "Kafka"], &queues),
    ];
    tables.into_iter().filter(|table| !table.is_empty()).collect::<Vec<_>>().join("\n")
}

/// The whole page.
///
/// # Errors
///
/// When nginx, or the server of a queue that was measured, is not installed, since their versions are part of the page.
pub(crate) fn page(findings: &Findings, plan: &Plan) -> Result<String> {
    let mut page = String::from("# Performance\n\n<!-- Written by `scripts/bench`; do not edit. -->\n\n");
    let queues: Vec<Kind> = QUEUES.into_iter().filter(|&kind| findings.value(Row::AckP50, kind).is_some()).collect();
    write!(page, "{}\n{}\n{MEANING}", machine::describe(plan, &queues)?, tables(findings))?;
    Ok(page)
}

fn is_measured(facts: &Facts, findings: &Findings) -> bool {
    [Kind::Direct, Kind::Nginx, Kind::Tidegate].into_iter().any(|kind| findings.value(facts.row, kind).is_some())
}

fn target_cells(facts: &Facts, target: Target, findings: &Findings) -> [String; 9] {
    let [nginx, tidegate] = [Kind::Nginx, Kind::Tidegate].map(|kind| findings.value(facts.row, kind));
    [
        facts.label.to_owned(),
        measured(facts, findings, Kind::Direct),
        measured(facts, findings, Kind::Nginx),
        measured(facts, findings, Kind::Tidegate),
        ratio(tidegate, nginx),
        bound(facts, target.must),
        bound(facts, target.aim),
        target_verdict(target, tidegate, nginx),
        with_unit(facts, target.nginx_then),
    ]
}

/// The same figure without and with everything that recovers; `None` where it was not measured.
fn recovery_cells(facts: &Facts, findings: &Findings) -> Option<[String; 4]> {
    let (plain, recovering) = (findings.value(facts.row, Kind::Tidegate)?, findings.value(facts.row, Kind::Recovering)?);
    let ratio = ratio(Some(recovering), Some(plain));
    let [plain, recovering] = [Kind::Tidegate, Kind::Recovering].map(|kind| measured(facts, findings, kind));
    Some([facts.label.to_owned(), plain, recovering, ratio])
}

/// A figure of sessions beside the echo server's; `None` where it was not measured.
fn session_cells(SessionFacts { facts, bounds }: &SessionFacts, findings: &Findings) -> Option<[String; 7]> {
    let [echo, tidegate] = [Kind::Echo, Kind::Tidegate].map(|kind| findings.value(facts.row, kind));
    echo.or(tidegate)?;
    let [must, aim] = bounds.map_or_else(|| [nothing(), nothing()], |(must, aim)| [must, aim].map(|most| bound(facts, most)));
    let [of_echo, of_tidegate] = [Kind::Echo, Kind::Tidegate].map(|kind| measured(facts, findings, kind));
    let met = bounds.map_or("–", |bounds| verdict(bounds, tidegate, None)).to_owned();
    Some([facts.label.to_owned(), of_echo, of_tidegate, ratio(tidegate, echo), must, aim, met])
}

/// A figure of sessions by where their prompts wait; `None` where it was measured of none that wait outside of the gateway.
fn queue_cells(facts: &Facts, findings: &Findings) -> Option<[String; 4]> {
    QUEUES.into_iter().find_map(|kind| findings.value(facts.row, kind))?;
    let [redis, kafka] = QUEUES.map(|kind| measured(facts, findings, kind));
    Some([facts.label.to_owned(), measured(facts, findings, Kind::Tidegate), redis, kafka])
}

fn beside_cells(facts: &Facts, findings: &Findings) -> [String; 4] {
    let [direct, nginx, tidegate] = [Kind::Direct, Kind::Nginx, Kind::Tidegate].map(|kind| measured(facts, findings, kind));
    [facts.label.to_owned(), direct, nginx, tidegate]
}

/// The best bound that is kept, and where none is, whether one would be kept in proportion to nginx on the machine that the bounds were set on.
fn target_verdict(target: Target, tidegate: Option<f64>, nginx: Option<f64>) -> String {
    let kept = verdict((target.must, target.aim), tidegate, nginx);
    let scaled = nginx.map(|now| [target.must, target.aim].map(|bound| bound.in_proportion(target.nginx_then, now)));
    match scaled.map(|[must, aim]| verdict((must, aim), tidegate, nginx)) {
        Some(in_proportion) if kept == MISSED && in_proportion != MISSED => format!("{MISSED}; in proportion to nginx: {in_proportion}"),
        _ => kept.to_owned(),
    }
}

/// The best bound that is kept; a missed *must* is set off.
fn verdict((must, aim): (Bound, Bound), tidegate: Option<f64>, nginx: Option<f64>) -> &'static str {
    let kept = tidegate.and_then(|value| must.keeps(value, nginx).zip(aim.keeps(value, nginx)));
    match kept {
        None => "–",
        Some((_, true)) => "aim",
        Some((true, false)) => "must",
        Some((false, false)) => MISSED,
    }
}

/// The median, with the smallest and the largest value where there was more than one round.
fn measured(facts: &Facts, findings: &Findings, kind: Kind) -> String {
    let rounds = findings.rounds(facts.row, kind);
    let (Some(value), Some(least), Some(most)) =
        (findings.value(facts.row, kind), rounds.iter().copied().reduce(f64::min), rounds.iter().copied().reduce(f64::max))
    else {
        return nothing();
    };
    let value = with_unit(facts, value);
    if rounds.len() == 1 { value } else { format!("{value} ({}–{})", number(facts, least), number(facts, most)) }
}

fn bound(facts: &Facts, bound: Bound) -> String {
    match bound {
        Bound::Nginx(times) => format!("≤ {times} × nginx"),
        Bound::Value(0.0) => "0".to_owned(),
        Bound::Value(most) => format!("≤ {most} {}", facts.unit),
    }
}

/// How many times `base` a value is.
fn ratio(value: Option<f64>, base: Option<f64>) -> String {
    let both = value.zip(base.filter(|&base| base > 0.0));
    both.map_or_else(nothing, |(value, base)| format!("{:.2}", value / base))
}

fn with_unit(facts: &Facts, value: f64) -> String {
    format!("{} {}", number(facts, value), facts.unit)
}

/// With commas between thousands.
fn number(facts: &Facts, value: f64) -> String {
    let digits = format!("{value:.*}", facts.decimals);
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut grouped = String::new();
    for (at, digit) in whole.char_indices() {
        let left = whole.len() - at;
        if left % 3 == 0 && grouped.ends_with(|last: char| last.is_ascii_digit()) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped + rest
}

fn nothing() -> String {
    "–".to_owned()
}

#[cfg(test)]
mod tests;
