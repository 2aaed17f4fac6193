//! `tidegate streams list|show|tail`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use tidegate_core::id::StreamId;
use tidegate_core::record::{Status, StreamRecord};
use tidegate_ledger::{Cursor, Filter, Reader, StatusFilter};
use tokio::signal::unix::{SignalKind, signal};

use super::{WrongUsage, print, while_it_is_read};

/// How often `tail` looks. A person reads it.
const LOOK: Duration = Duration::from_millis(300);
/// Most records of one look.
const AT_ONCE: u32 = 1000;
/// The status of a stream that has not ended.
const RUNNING: &str = "running";

/// What to see of stream records.
#[derive(Debug, Subcommand)]
pub(crate) enum Streams {
    /// The newest streams.
    List(List),
    /// One stream's whole record, as JSON.
    Show {
        /// Its id, `strm_…`: in the answer's X-Tidegate-Stream-Id header and in every error.
        id: String,
    },
    /// Streams as they end, until it is interrupted.
    Tail {
        /// The whole record as JSON, a line each.
        #[arg(long)]
        json: bool,
    },
}

/// Which streams.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those that ended so (completed, failed_before_output, …).
    #[arg(long)]
    status: Option<String>,
    /// Only for this model.
    #[arg(long)]
    model: Option<String>,
    /// Only of this team.
    #[arg(long)]
    team: Option<String>,
    /// At most this many.
    #[arg(long, default_value_t = 20)]
    limit: u32,
    /// The whole records as JSON, a line each.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(streams: Streams, config: Option<PathBuf>) -> Result<()> {
    let reader = Reader::open(&super::load(config, Vec::new())?.config.ledger.path)?;
    let shown = match streams {
        Streams::List(wanted) => list(&reader, &wanted),
        Streams::Show { id } => show(&reader, &id),
        Streams::Tail { json } => tail(&reader, json),
    };
    while_it_is_read(shown)
}

fn list(reader: &Reader, wanted: &List) -> Result<()> {
    let status = wanted.status.as_deref().map(parse_status).transpose()?;
    let filter = Filter { status, model: wanted.model.as_deref(), team: wanted.team.as_deref(), ..Filter::default() };
    let records = reader.list(&filter, wanted.limit)?;
    if wanted.json {
        for record in &records {
            print(serde_json::to_string(record)?)?;
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["STREAM", "CREATED", "MODEL", "PROVIDER", "STATUS", "CODE", "FIRST OUTPUT", "TOTAL"]);
    for record in &records {
        table.add_row(row(record));
    }
    print(table)
}

fn parse_status(text: &str) -> Result<StatusFilter> {
    if text == RUNNING {
        return Ok(StatusFilter::Open);
    }
    let known = Status::ALL.iter().copied().find(|status| status.name() == text);
    known.map(StatusFilter::Is).ok_or_else(|| {
        let names: Vec<_> = Status::ALL.iter().map(|status| status.name()).collect();
        WrongUsage(format!("--status {text} is none of {RUNNING}, {}", names.join(", "))).into()
    })
}

fn show(reader: &Reader, id: &str) -> Result<()> {
    let parsed = StreamId::parse(id).ok_or_else(|| WrongUsage(format!("{id} is no stream id; one looks like strm_ and 26 characters")))?;
    match reader.get(parsed)? {
        Some(record) => print(serde_json::to_string_pretty(&record)?),
        None => anyhow::bail!("no stream {id} is recorded here"),
    }
}

/// Prints streams as they end, until it is interrupted.
fn tail(reader: &Reader, json: bool) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut cursor = Cursor::now();
        loop {
            let (records, next) = reader.tail(cursor, AT_ONCE)?;
            cursor = next;
            for record in records.iter().filter(|record| record.status.is_some()) {
                if json {
                    print(serde_json::to_string(record)?)?;
                } else {
                    print(row(record).join("  "))?;
                }
            }
            tokio::select! {
                _ = interrupted.recv() => return Ok(()),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    })
}

fn row(record: &StreamRecord) -> [String; 8] {
    let millis = |millis: Option<u64>| millis.map_or_else(|| "-".to_owned(), |millis| format!("{millis} ms"));
    [
        record.id.clone(),
        record.created_at.clone(),
        record.requested_model.clone(),
        record.provider.clone().unwrap_or_default(),
        record.status.map_or(RUNNING, Status::name).to_owned(),
        record.code.clone().unwrap_or_default(),
        millis(record.time_to_first_output_ms),
        millis(record.completed_ms),
    ]
}
