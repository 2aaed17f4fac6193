//! `[providers.NAME]`, checked.

use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::Url;

/// One place where models are served.
///
/// Its `Debug` form shows neither the key nor any header's value.
#[derive(Clone)]
pub struct Provider {
    /// Its name in the configuration and in records.
    pub name: String,
    /// What it speaks.
    pub kind: ProviderKind,
    /// Address in front of `/chat/completions`, `http` or `https`, without query, fragment or credentials.
    ///
    /// For [`ProviderKind::Mock`] it is [`MOCK_BASE_URL`](crate::defaults::MOCK_BASE_URL): the process puts its own mock there.
    pub base_url: Url,
    /// Sent as `Authorization: Bearer`. They take turns, in the order written, each one once; empty for a server that asks for none.
    pub api_keys: Vec<SecretString>,
    /// Further headers of every request, name in lower case and value; both are valid on the wire. Values may be secrets.
    pub headers: Vec<(String, String)>,
    /// HTTP proxy that connections go through, with the name and password that it asks for: a secret.
    pub proxy: Option<Url>,
    /// Further root certificates, a PEM file.
    pub ca_file: Option<PathBuf>,
    /// When HTTP/2 is spoken.
    pub http2: Http2,
    /// Connections that may be open at once; more requests wait for `pool_wait`.
    pub max_connections: NonZeroU32,
    /// Longest wait for a free connection when all are in use (R8).
    pub pool_wait: Duration,
    /// Longest time for sending a request's body (R8).
    pub send_body: Duration,
    /// Unused connections that are kept open for the next request.
    pub idle_connections: NonZeroU32,
    /// Age at which an unused connection is closed.
    pub connection_max_idle: Duration,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Provider")
            .field("name", &self.name)
            .field("kind", &self.kind)
            .field("base_url", &self.base_url.as_str())
            .field("api_keys", &self.api_keys.len())
            .field("headers", &headers)
            .finish_non_exhaustive()
    }
}

/// What a provider speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProviderKind {
    /// OpenAI's API, or any compatible server.
    #[serde(rename = "openai")]
    OpenAi,
    /// The fault-injecting mock inside this process; the model name says which fault.
    Mock,
}

/// When HTTP/2 is spoken with a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Http2 {
    /// HTTP/1.1 only.
    Never,
    /// HTTP/2 where TLS negotiates it.
    Auto,
    /// HTTP/2 always; without TLS by prior knowledge (h2c).
    Always,
}
