//! `tidegate config check|schema|show`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use tidegate_gateway::session;

use super::WrongUsage;

/// What to do with the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Action {
    /// Say whether the configuration is right, and if not, what to write instead.
    Check,
    /// Print the JSON Schema of the configuration file.
    Schema,
    /// Print the settings in force, defaults and environment included, secrets masked.
    Show,
}

#[expect(clippy::print_stdout, reason = "the output is what the command is for")]
pub(crate) fn run(action: Action, config: Option<PathBuf>) -> Result<()> {
    match action {
        Action::Schema => print!("{}", tidegate_config::schema()),
        Action::Show => println!("{}", tidegate_config::show(&super::load(config, Vec::new())?.config)),
        Action::Check => {
            let loaded = super::load(config, Vec::new())?;
            session::queue::is_built(&loaded.config.queue.backend).map_err(|error| WrongUsage(error.to_string()))?;
            for warning in &loaded.warnings {
                println!("warning: {warning}");
            }
            match &loaded.file {
                Some(file) => println!("{} is right", file.display()),
                None => println!("the configuration is right (no file; environment and defaults)"),
            }
        }
    }
    Ok(())
}
