//! Tidegate's ledger: what happened to every stream, and who may start one, in one SQLite file.
//!
//! One thread owns the connection that writes. A stream reserves its place before anything is paid for ([`Ledger::begin`]), its open row is
//! durable before the provider is asked, and its final row is handed over without waiting ([`Entry::settle`]). What comes together is written
//! together. An open row is made durable by the thread that waits for it, alone or with the others of its turn, while the database is known to be well.
//!
//! *Durable* means: it survives `kill -9`, because the operating system has it. With [`Durability::Power`] it also survives a power cut.
//! A row is in the database, where [`Reader`] and other programs see it, a tenth of a second later at the latest; until then it is in one of
//! two small files beside it. [`Ledger::stream`] knows both.
//!
//! Modules stand in reading order.

#![forbid(unsafe_code)]

mod error;
mod ledger;

mod entry;
mod queue;
mod reply;
mod writer;

mod recent;
mod shortcut;
mod tables;
mod turn;

mod keeper;
mod key_table;
mod keys;

mod interrupted;
mod reader;
mod row;
mod store;

pub mod spend;

pub mod outbox;
mod results;
mod side;

#[cfg(test)]
mod testing;

pub use entry::Entry;
pub use error::LedgerError;
pub use interrupted::Interrupted;
pub use key_table::{KeyInfo, KeyTable};
pub use keys::{Key, Keys, NewKey};
pub use ledger::{Durability, Ledger, LedgerSettings, Opened, Opening};
pub use outbox::Outbox;
pub use reader::{Cursor, Filter, Reader, StatusFilter};
pub use results::Results;
