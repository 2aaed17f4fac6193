//! `tidegate keys create|list|revoke`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use comfy_table::{Table, presets};
use tidegate_ledger::{KeyInfo, Keys as KeyStore, NewKey};

use super::WrongUsage;

/// What to do with client keys. A running gateway takes a change over within a second.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Make a key and print it, once.
    Create(Create),
    /// List the keys, revoked ones too.
    List {
        /// One JSON object a line instead of a table.
        #[arg(long)]
        json: bool,
    },
    /// Refuse a key from now on.
    Revoke {
        /// Its id, as `keys list` shows it.
        id: String,
    },
}

/// What a new key is for.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// A name, for lists.
    #[arg(long)]
    name: String,
    /// The team that pays.
    #[arg(long)]
    team: Option<String>,
    /// Where it is used: production, staging, …
    #[arg(long)]
    environment: Option<String>,
    /// It may read every stream's record.
    #[arg(long)]
    admin: bool,
    /// The models it may ask for, as clients name them, separated by commas. Without it: all.
    #[arg(long, value_delimiter = ',', value_name = "MODEL")]
    models: Option<Vec<String>>,
}

#[expect(clippy::print_stdout, reason = "the output is what the command is for")]
pub(crate) fn run(keys: Keys, config: Option<PathBuf>) -> Result<()> {
    let mut store = KeyStore::open(&super::load(config, Vec::new())?.config.ledger.path)?;
    match keys {
        Keys::Create(create) => {
            let new = NewKey {
                name: create.name,
                team: create.team,
                environment: create.environment,
                admin: create.admin,
                models: create.models,
            };
            let (id, plaintext) = store.create(&new)?;
            eprintln!("{id}: keep this key, it is shown only now");
            println!("{plaintext}");
        }
        Keys::List { json } => list(&store, json)?,
        Keys::Revoke { id } => {
            let revoked = store.revoke(&id).map_err(|error| WrongUsage(format!("{error} (tidegate keys list shows the keys)")))?;
            println!("{} is revoked", revoked.id);
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the output is what the command is for")]
fn list(store: &KeyStore, json: bool) -> Result<()> {
    let keys = store.list()?;
    if json {
        for key in keys {
            let info = key.info;
            let line = serde_json::json!({
                "id": info.id.to_string(), "prefix": key.prefix, "name": info.name, "team": info.team, "environment": info.environment,
                "admin": info.admin, "models": info.models, "created_ms": key.created_unix_ms, "revoked_ms": key.revoked_unix_ms,
            });
            println!("{line}");
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["ID", "KEY", "NAME", "TEAM", "ENVIRONMENT", "STATE"]);
    for key in keys {
        let state = match (key.revoked_unix_ms, key.info.admin) {
            (Some(_), _) => "revoked",
            (None, true) => "admin",
            (None, false) => "in force",
        };
        let (id, shown) = (key.info.id.to_string(), format!("{}…", key.prefix));
        let KeyInfo { name, team, environment, .. } = key.info;
        table.add_row([id, shown, name, team.unwrap_or_default(), environment.unwrap_or_default(), state.to_owned()]);
    }
    println!("{table}");
    Ok(())
}
