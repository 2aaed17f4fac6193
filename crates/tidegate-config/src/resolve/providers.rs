//! `[providers.NAME]`

use std::path::Path;

use secrecy::SecretString;
use url::Url;

use super::Judge;
use crate::config::{Provider, ProviderKind};
use crate::defaults::MOCK_BASE_URL;
use crate::file::ProviderFile;
use crate::path::KeyPath;

/// A provider's name goes into a response header and into metrics.
const LONGEST_NAME: usize = 64;
/// Headers that only the gateway can set right: they frame the message or belong to the connection, or decide how its body reads.
pub(super) const OWN_HEADERS: [&str; 13] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The provider, or `None` where it has no address.
pub(super) fn provider(name: &str, file: &ProviderFile, judge: &mut Judge<'_>) -> Option<Provider> {
    let path = KeyPath::of(&["providers", name]);
    let valid = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(valid) {
        judge.wrong_name(&path, "a provider cannot be called this", "use up to 64 letters, digits, `-`, `_` and `.`");
    }
    let base_url = match file.kind {
        ProviderKind::OpenAi => base_url(file, &path, judge),
        ProviderKind::Mock => mock_base_url(file, &path, judge),
    };
    if let Some(ca_file) = file.ca_file.as_ref().filter(|ca_file| !Path::new(ca_file).is_file()) {
        judge.fault(
            &path.join("ca_file"),
            format!("there is no file {ca_file:?}"),
            "write the path of a PEM file, relative to the working directory",
        );
    }
    let headers = headers(file, &path.join("headers"), judge);
    let api_keys = api_keys(file, &path, judge);
    Some(Provider {
        name: name.to_owned(),
        kind: file.kind,
        base_url: base_url?,
        api_keys,
        headers,
        proxy: file.proxy.as_ref().map(|proxy| proxy.0.clone()),
        ca_file: file.ca_file.as_ref().map(Into::into),
        http2: file.http2,
        max_connections: file.max_connections,
        pool_wait: file.pool_wait.0,
        send_body: file.send_body.0,
        idle_connections: file.idle_connections.min(file.max_connections),
        connection_max_idle: file.connection_max_idle.0,
    })
}

fn base_url(file: &ProviderFile, path: &KeyPath, judge: &mut Judge<'_>) -> Option<Url> {
    if file.base_url.is_none() {
        judge.fault(
            &path.join("base_url"),
            "is missing",
            "add base_url = \"https://api.openai.com/v1\", or the address of a compatible server",
        );
    }
    file.base_url.as_ref().map(|url| url.0.clone())
}

/// The mock is inside this process, so nothing says where it is or how to get there.
fn mock_base_url(file: &ProviderFile, path: &KeyPath, judge: &mut Judge<'_>) -> Option<Url> {
    let settings = [
        ("base_url", file.base_url.is_some()),
        ("api_key", file.api_key.is_some()),
        ("api_keys", !file.api_keys.is_empty()),
        ("headers", !file.headers.is_empty()),
        ("proxy", file.proxy.is_some()),
        ("ca_file", file.ca_file.is_some()),
    ];
    for (name, _) in settings.into_iter().filter(|(_, set)| *set) {
        judge.fault(
            &path.join(name),
            "the mock inside this process takes none",
            "remove it, or write kind = \"openai\" for a mock elsewhere",
        );
    }
    Url::parse(MOCK_BASE_URL).ok()
}

/// The keys, whichever setting they are written in.
fn api_keys(file: &ProviderFile, path: &KeyPath, judge: &mut Judge<'_>) -> Vec<SecretString> {
    let list = path.join("api_keys");
    if file.api_key.is_some() && !file.api_keys.is_empty() {
        judge.conflict(&list, (&path.join("api_key"), "one key is here"), "this is one setting too many", "keep one of both");
    }
    for (n, key) in file.api_keys.iter().enumerate() {
        if let Some(first) = file.api_keys[..n].iter().position(|before| before.expose() == key.expose()) {
            judge.conflict(&list.index(n), (&list.index(first), "and here"), "this key is there twice", "remove one");
        }
    }
    file.keys().map(|key| SecretString::from(key.expose())).collect()
}

fn headers(file: &ProviderFile, path: &KeyPath, judge: &mut Judge<'_>) -> Vec<(String, String)> {
    let mut headers = Vec::with_capacity(file.headers.len());
    for (name, value) in &file.headers {
        let lower = name.to_ascii_lowercase();
        let path = path.join(name);
        if name.is_empty() || !name.bytes().all(is_token) {
            judge.wrong_name(&path, "a header cannot be called this", "use letters, digits and `-`");
        } else if OWN_HEADERS.contains(&lower.as_str()) {
            judge.wrong_name(&path, "Tidegate sets this header itself", "remove it");
        } else if lower == "authorization" && file.keys().next().is_some() {
            let setting = if file.api_key.is_some() { "api_key" } else { "api_keys" };
            judge.wrong_name(&path, format!("`{setting}` sets this header"), "remove one of both");
        } else if headers.iter().any(|(known, _)| *known == lower) {
            judge.wrong_name(&path, "this header is there twice", "remove one; the case of a header's name does not count");
        }
        headers.push((lower, value.expose().to_owned()));
    }
    headers
}

/// What a header's name may be made of (RFC 9110, `token`).
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
