//! Who is calling.

use http::{HeaderMap, HeaderName};
use tidegate_core::failure::Failure;
use tidegate_core::id::KeyId;
use tidegate_ledger::{KeyInfo, KeyTable};
use tidegate_wire::names::value;

use crate::header_name;

/// Whose request it is.
#[derive(Debug, Clone)]
pub enum Caller {
    /// Nobody in particular: the gateway has no keys and listens on loopback.
    Open,
    /// The holder of a key.
    Key(std::sync::Arc<KeyInfo>),
}

impl Caller {
    /// The key's id.
    #[must_use]
    pub fn key(&self) -> Option<&KeyId> {
        match self {
            Self::Open => None,
            Self::Key(key) => Some(&key.id),
        }
    }

    /// The key's id as records show it.
    #[must_use]
    pub fn key_id(&self) -> Option<String> {
        self.key().map(KeyId::to_string)
    }

    /// The key's team.
    #[must_use]
    pub fn team(&self) -> Option<String> {
        match self {
            Self::Open => None,
            Self::Key(key) => key.team.clone(),
        }
    }

    /// The key's environment.
    #[must_use]
    pub fn environment(&self) -> Option<String> {
        match self {
            Self::Open => None,
            Self::Key(key) => key.environment.clone(),
        }
    }

    /// Whether it may ask for `model`, as it named it.
    #[must_use]
    pub fn may_use(&self, model: &str) -> bool {
        match self {
            Self::Open => true,
            Self::Key(key) => key.allows(model),
        }
    }

    /// Whether it may read the record of a stream that `owner`'s key started.
    #[must_use]
    pub fn may_read(&self, owner: Option<&str>) -> bool {
        match self {
            Self::Open => true,
            Self::Key(key) => key.admin || owner == Some(key.id.to_string().as_str()),
        }
    }
}

/// Finds the caller by `Authorization: Bearer` or `x-api-key`. Either may be somebody else's business (a proxy's own password, say): what
/// counts is that one of them is a key of this gateway.
///
/// # Errors
///
/// `invalid_api_key`.
pub fn caller(headers: &HeaderMap, keys: &KeyTable) -> Result<Caller, Failure> {
    if keys.is_open() {
        return Ok(Caller::Open);
    }
    presented(headers).find_map(|key| keys.lookup(key)).cloned().map(Caller::Key).ok_or(Failure::InvalidApiKey)
}

/// The same caller by the keys in force now: what it may do can have changed since it came.
///
/// # Errors
///
/// `invalid_api_key` where its key was revoked, or keys are asked for since.
pub fn renewed(caller: &Caller, keys: &KeyTable) -> Result<Caller, Failure> {
    match caller.key() {
        None if keys.is_open() => Ok(Caller::Open),
        None => Err(Failure::InvalidApiKey),
        Some(id) => keys.by_id(*id).cloned().map(Caller::Key).ok_or(Failure::InvalidApiKey),
    }
}

/// What may be a key, in the order in which it is looked up.
fn presented(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let authorization = text(&http::header::AUTHORIZATION).and_then(|value| value.split_once(' '));
    let bearer = authorization.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(value::BEARER)).map(|(_, key)| key);
    bearer.into_iter().chain(text(&header_name::API_KEY)).map(str::trim)
}

#[cfg(test)]
mod tests;
