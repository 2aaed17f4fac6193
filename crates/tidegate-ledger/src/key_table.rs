//! The keys in force, in memory.

use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tidegate_core::id::KeyId;

/// Whose key it is and what it may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyInfo {
    /// The id that records show.
    pub id: KeyId,
    /// What its owner calls it.
    pub name: String,
    /// The team that its streams count for.
    pub team: Option<String>,
    /// The environment that its streams count for.
    pub environment: Option<String>,
    /// It may read every stream.
    pub admin: bool,
    /// The models it may use, by the names that clients use; `None` means all.
    pub models: Option<Vec<String>>,
}

impl KeyInfo {
    /// Whether it may use `model`, as the client names it.
    #[must_use]
    pub fn allows(&self, model: &str) -> bool {
        self.models.as_ref().is_none_or(|models| models.iter().any(|allowed| allowed == model))
    }
}

/// A snapshot of the keys in force. Looking a key up costs one hash and touches no file.
#[derive(Debug, Clone, Default)]
pub struct KeyTable {
    by_hash: HashMap<[u8; 32], Arc<KeyInfo>>,
    /// Keys were made, even if all of them are revoked.
    any_made: bool,
    version: i64,
}

impl KeyTable {
    /// The key with this text, if it is in force. The time it takes tells nothing: what is compared is the text's hash.
    #[must_use]
    pub fn lookup(&self, plaintext: &str) -> Option<&Arc<KeyInfo>> {
        self.by_hash.get(&hash(plaintext))
    }

    /// The key with this id, if it is still in force: for who was admitted by it before. Looks at every key.
    #[must_use]
    pub fn by_id(&self, id: KeyId) -> Option<&Arc<KeyInfo>> {
        self.by_hash.values().find(|key| key.id == id)
    }

    /// Whether no key was ever made, so that the gateway is open to everybody who reaches it. Revoking the last key does not open it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.any_made
    }

    /// Keys in force.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_hash.len()
    }

    /// Whether no key is in force. A gateway is *open* by [`Self::is_open`], not by this.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_hash.is_empty()
    }

    pub(crate) fn load(conn: &Connection) -> rusqlite::Result<Self> {
        // The version first: a change between the two reads is then seen again, never missed.
        let version = version(conn)?;
        let mut select =
            conn.prepare_cached("SELECT hash, revoked_ms IS NULL AS in_force, id, name, team, environment, admin, models FROM keys")?;
        let mut rows = select.query([])?;
        let mut table = Self { version, ..Self::default() };
        while let Some(row) = rows.next()? {
            table.any_made = true;
            if row.get("in_force")? {
                table.by_hash.insert(row.get("hash")?, Arc::new(info(row)?));
            }
        }
        Ok(table)
    }

    pub(crate) fn version(&self) -> i64 {
        self.version
    }
}

/// What a key is stored as. Keys are 256 random bits, so a plain hash cannot be guessed back.
pub(crate) fn hash(plaintext: &str) -> [u8; 32] {
    Sha256::digest(plaintext.as_bytes()).into()
}

/// The number that grows with each change of a key.
pub(crate) fn version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT version FROM key_version")?.query_row([], |row| row.get(0))
}

/// Reads the columns that make a key's description.
pub(crate) fn info(row: &Row<'_>) -> rusqlite::Result<KeyInfo> {
    let unreadable = |column, text: String| rusqlite::Error::InvalidColumnType(column, text, rusqlite::types::Type::Text);
    let id: String = row.get("id")?;
    let models: Option<String> = row.get("models")?;
    Ok(KeyInfo {
        id: KeyId::parse(&id).ok_or_else(|| unreadable(0, id))?,
        name: row.get("name")?,
        team: row.get("team")?,
        environment: row.get("environment")?,
        admin: row.get("admin")?,
        // A list that cannot be read allows nothing: a limit must not vanish.
        models: models.map(|models| serde_json::from_str(&models).unwrap_or_default()),
    })
}
