//! `[notify]`

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use secrecy::SecretString;
use url::{Host, Url};

use super::Judge;
use crate::config::Notify;
use crate::file::NotifyFile;
use crate::path::KeyPath;

/// How a signing secret is made.
const MAKE_A_SECRET: &str =
    "write secret = \"${TIDEGATE_WEBHOOK_SECRET}\" in [notify]; this makes one: echo \"whsec_$(openssl rand -base64 32)\"";

pub(super) fn notify(file: &NotifyFile, judge: &mut Judge<'_>) -> Notify {
    let path = KeyPath::of(&["notify"]);
    if file.secret.as_ref().is_some_and(|secret| !is_signing_secret(secret.expose())) {
        judge.fault(&path.join("secret"), "this is not `whsec_` and 24 to 64 bytes in base64", MAKE_A_SECRET);
    }
    if let Some(url) = &file.url {
        let url_path = path.join("url");
        if file.secret.is_none() && !judge.faults.dropped(&path.join("secret")) {
            judge.fault(&url_path, "nothing signs what is posted there", MAKE_A_SECRET);
        }
        if !file.allow_private && is_private(&url.0) {
            judge.fault(&url_path, "this is a private address", "write a public one, or add allow_private = true");
        }
    }
    Notify {
        secret: file.secret.as_ref().map(|secret| SecretString::from(secret.expose())),
        url: file.url.as_ref().map(|url| url.0.clone()),
        allow_private: file.allow_private,
        retention: file.retention.0,
        deadline: file.deadline.0,
    }
}

/// Whether `text` is a secret as Standard Webhooks write it.
///
/// Source: Standard Webhooks specification, "Symmetric keys": `whsec_` and the base64 of 24 to 64 random bytes.
fn is_signing_secret(text: &str) -> bool {
    let Some(encoded) = text.strip_prefix("whsec_") else { return false };
    let digits = encoded.trim_end_matches('=');
    let padding = encoded.len() - digits.len();
    let is_base64 = digits.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'));
    is_base64 && padding <= 2 && encoded.len().is_multiple_of(4) && (24..=64).contains(&(digits.len() * 3 / 4))
}

/// Whether the address says by itself that it is private. Names are judged by what they resolve to, when a webhook goes out.
fn is_private(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => is_private_v4(address),
        Some(Host::Ipv6(address)) => match address.to_canonical() {
            IpAddr::V4(address) => is_private_v4(address),
            IpAddr::V6(address) => is_private_v6(address),
        },
        None => false,
    }
}

fn is_private_v4(address: Ipv4Addr) -> bool {
    address.is_loopback() || address.is_private() || address.is_link_local() || address.is_unspecified()
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_loopback() || address.is_unique_local() || address.is_unicast_link_local() || address.is_unspecified()
}

#[cfg(test)]
mod tests;
