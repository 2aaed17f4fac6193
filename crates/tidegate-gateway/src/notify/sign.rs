//! The signature of a webhook, as Standard Webhooks 1.0 has it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The message's id, the same for every attempt (Standard Webhooks, "Webhook headers").
pub const ID: &str = "webhook-id";
/// When this attempt was made, in seconds since the Unix epoch (Standard Webhooks, "Webhook headers").
pub const TIMESTAMP: &str = "webhook-timestamp";
/// [`signature`] (Standard Webhooks, "Webhook headers").
pub const SIGNATURE: &str = "webhook-signature";

/// What a secret in its usual form begins with; base64 of the key follows (Standard Webhooks, "Signature scheme").
const SECRET_START: &str = "whsec_";

/// The value of [`SIGNATURE`]: `v1,` and base64 of the HMAC-SHA256 of `id.timestamp.body`.
///
/// The key is what `whsec_…` decodes to. A secret of another form is the key itself, byte for byte.
#[must_use]
pub fn signature(secret: &SecretString, id: &str, timestamp_s: u64, body: &[u8]) -> String {
    let secret = secret.expose_secret();
    let decoded = secret.strip_prefix(SECRET_START).and_then(|text| STANDARD.decode(text).ok());
    let key = decoded.as_deref().unwrap_or(secret.as_bytes());
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of HMAC may have any length");
    mac.update(format!("{id}.{timestamp_s}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests;
