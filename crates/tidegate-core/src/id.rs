//! Identifiers: a prefix that says of what, then a time-ordered random part.

use std::borrow::Cow;
use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Crockford's base 32: no `i`, `l`, `o`, `u`, so that an id read aloud is typed right.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Of five bits each: enough for a number of 128 bits.
const DIGITS: usize = 26;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(u128);

        impl $name {
            /// Makes an id from milliseconds since the Unix epoch and 80 random bits (more are ignored). Later ids sort later, as numbers and as text.
            #[must_use]
            pub fn new(unix_millis: u64, random: u128) -> Self {
                Self((u128::from(unix_millis) << 80) | (random & ((1 << 80) - 1)))
            }

            /// The id without its prefix, as a number that sorts by time.
            #[must_use]
            pub fn number(self) -> u128 {
                self.0
            }

            /// Reads what [`fmt::Display`] wrote. `None` for anything else.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                decode(text.strip_prefix(concat!($prefix, "_"))?).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                const PREFIX: &[u8] = concat!($prefix, "_").as_bytes();
                let mut text = [0; PREFIX.len() + DIGITS];
                text[..PREFIX.len()].copy_from_slice(PREFIX);
                encode(self.0, &mut text[PREFIX.len()..]);
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(from)?;
                Self::parse(&text).ok_or_else(|| D::Error::custom(concat!("not an id that begins with ", $prefix)))
            }
        }
    )*};
}

ids! {
    /// One client request and its answer.
    StreamId = "strm";
    /// The request that a stream belongs to, as the gateway names it where the client sent no name.
    RequestId = "req";
    /// A client key, without its secret.
    KeyId = "key";
    /// A client's session over a WebSocket.
    SessionId = "sess";
    /// One prompt of a session and its answer.
    TaskId = "task";
}

/// Writes the number's lowest digits, as many as there is room for. Twelve at a time, which fit into a machine word.
fn encode(mut number: u128, text: &mut [u8]) {
    for digits in text.rchunks_mut(12) {
        let [low @ .., _, _, _, _, _, _, _, _] = number.to_le_bytes();
        let mut word = u64::from_le_bytes(low);
        for byte in digits.iter_mut().rev() {
            *byte = ALPHABET[usize::from(word.to_le_bytes()[0] & 31)];
            word >>= 5;
        }
        number >>= 60;
    }
}

fn decode(text: &str) -> Option<u128> {
    if text.len() != DIGITS {
        return None;
    }
    let mut number: u128 = 0;
    for (place, byte) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|known| *known == byte)?;
        if place == 0 && digit > 7 {
            return None;
        }
        number = (number << 5) | digit as u128;
    }
    Some(number)
}

#[cfg(test)]
mod tests;
