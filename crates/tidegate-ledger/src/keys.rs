//! Keys made, listed and revoked: what `tidegate keys` does, also while a gateway runs.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::{Connection, TransactionBehavior, params};
use tidegate_core::id::KeyId;

use crate::key_table::{self, KeyInfo, KeyTable};
use crate::store::{self, unix_millis};
use crate::{Durability, LedgerError};

/// What every key begins with, so that people and secret scanners know it when they see it.
const KEY_START: &str = "tg_";
/// Characters of a key that are kept and shown: its start and 24 of its 256 bits.
const SHOWN: usize = 7;

/// What a key shall be.
#[derive(Debug, Clone, Default)]
pub struct NewKey {
    /// What its owner calls it.
    pub name: String,
    /// The team that its streams count for.
    pub team: Option<String>,
    /// The environment that its streams count for.
    pub environment: Option<String>,
    /// It may read every stream.
    pub admin: bool,
    /// The models it may use; `None` means all.
    pub models: Option<Vec<String>>,
}

/// A key as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Whose it is and what it may do.
    pub info: KeyInfo,
    /// Its first characters (`tg_abcd`), by which its owner knows it. The rest was shown once and is not kept.
    pub prefix: String,
    /// When it was made, in milliseconds since the Unix epoch.
    pub created_unix_ms: u64,
    /// When it was revoked, if it was.
    pub revoked_unix_ms: Option<u64>,
}

/// The ledger's keys. Blocks; each call is one short transaction, beside a gateway's or without one.
#[derive(Debug)]
pub struct Keys {
    conn: Connection,
}

impl Keys {
    /// Opens the ledger's keys, making the ledger where there is none.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Open`] and [`LedgerError::Newer`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        Ok(Self { conn: store::open(path.as_ref(), Durability::Power)? })
    }

    /// Makes a key. The text is returned this once; the ledger keeps its hash.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`].
    pub fn create(&mut self, key: &NewKey) -> Result<(KeyId, String), LedgerError> {
        let now = unix_millis();
        let id = KeyId::new(now, rand::random());
        let plaintext = format!("{KEY_START}{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>()));
        let models = key.models.as_ref().map(|models| serde_json::json!(models).to_string());
        self.change(|conn| {
            conn.execute(
                "INSERT INTO keys (id, hash, prefix, name, team, environment, admin, models, created_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    id.to_string(),
                    key_table::hash(&plaintext),
                    &plaintext[..SHOWN],
                    key.name,
                    key.team,
                    key.environment,
                    key.admin,
                    models,
                    now
                ],
            )
            .map(|_| ())
        })?;
        Ok((id, plaintext))
    }

    /// Every key, revoked ones too, oldest first.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`].
    pub fn list(&self) -> Result<Vec<Key>, LedgerError> {
        let mut select =
            self.conn.prepare("SELECT id, name, team, environment, admin, models, prefix, created_ms, revoked_ms FROM keys ORDER BY id")?;
        let keys = select.query_map([], |row| {
            Ok(Key {
                info: key_table::info(row)?,
                prefix: row.get("prefix")?,
                created_unix_ms: row.get("created_ms")?,
                revoked_unix_ms: row.get("revoked_ms")?,
            })
        })?;
        Ok(keys.collect::<rusqlite::Result<_>>()?)
    }

    /// Revokes the key with this id (`key_…`) or shown prefix (`tg_abcd`). A running gateway refuses it within a second.
    ///
    /// # Errors
    ///
    /// [`LedgerError::NoSuchKey`], [`LedgerError::AmbiguousKey`] when several keys in force have the prefix, [`LedgerError::Database`].
    pub fn revoke(&mut self, id_or_prefix: &str) -> Result<KeyInfo, LedgerError> {
        let named = |key: &Key| key.info.id.to_string() == id_or_prefix || key.prefix == id_or_prefix;
        let mut found: Vec<Key> = self.list()?.into_iter().filter(|key| key.revoked_unix_ms.is_none() && named(key)).collect();
        let (Some(key), true) = (found.pop(), found.is_empty()) else {
            return Err(match found.len() {
                0 => LedgerError::NoSuchKey(id_or_prefix.to_owned()),
                others => LedgerError::AmbiguousKey { prefix: id_or_prefix.to_owned(), count: others + 1 },
            });
        };
        self.change(|conn| {
            conn.execute("UPDATE keys SET revoked_ms = ?1 WHERE id = ?2", params![unix_millis(), key.info.id.to_string()]).map(|_| ())
        })?;
        Ok(key.info)
    }

    /// A snapshot of the keys in force.
    ///
    /// # Errors
    ///
    /// [`LedgerError::Database`].
    pub fn table(&self) -> Result<KeyTable, LedgerError> {
        Ok(KeyTable::load(&self.conn)?)
    }

    fn change(&mut self, change: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<(), LedgerError> {
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change(&transaction)?;
        transaction.execute("UPDATE key_version SET version = version + 1", [])?;
        Ok(transaction.commit()?)
    }
}

#[cfg(test)]
mod tests;
