//! The addresses that somebody wrote down.

use std::net::Ipv6Addr;
use std::num::NonZeroU16;

use thiserror::Error;

/// What is wrong with a list of brokers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadBrokers {
    /// There is none.
    #[error("no broker is named; write host:port, several with commas between them")]
    None,
    /// This one is no host and port.
    #[error("{0:?} is no broker; write host:port, such as kafka-1:9092 or [::1]:9092")]
    Address(String),
    /// librdkafka does not take it, for this reason.
    #[error("{0}")]
    Refused(String),
}

/// Checks `host:port[,host:port…]`, which librdkafka would take with holes in it.
pub(super) fn check(brokers: &str) -> Result<(), BadBrokers> {
    if brokers.trim().is_empty() {
        return Err(BadBrokers::None);
    }
    match brokers.split(',').map(str::trim).find(|broker| !is_broker(broker)) {
        Some(wrong) => Err(BadBrokers::Address(wrong.to_owned())),
        None => Ok(()),
    }
}

fn is_broker(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        // What else stands in a host's name, the resolver may judge.
        None => !host.is_empty() && !host.contains([':', '/', '@', ' ']),
    };
    is_host && port.parse::<NonZeroU16>().is_ok()
}

#[cfg(test)]
mod tests;
