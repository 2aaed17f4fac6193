//! JSON as text: objects and lists taken apart without a tree, every value still the bytes that came.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Calls `f` with each key, in its quotes, and value of the object that `text` is, in order.
///
/// # Errors
///
/// Where `text` is not JSON, or not an object.
pub(crate) fn each_member<'a>(text: &'a str, f: impl FnMut(&'a RawValue, &'a RawValue)) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Each { f, of: "an object", lifetime: PhantomData::<&'a str> })?;
    json.end()
}

/// Calls `f` with each element of the list that `text` is, in order.
///
/// # Errors
///
/// Where `text` is not JSON, or not a list.
pub(crate) fn each_element<'a>(text: &'a str, mut f: impl FnMut(&'a RawValue)) -> serde_json::Result<()> {
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_seq(Each { f: |element, _| f(element), of: "a list", lifetime: PhantomData::<&'a str> })?;
    json.end()
}

/// The text that a JSON string stands for; `None` for any other value.
pub(crate) fn string(value: &RawValue) -> Option<Cow<'_, str>> {
    let inside = quoted(value)?;
    if inside.contains('\\') { serde_json::from_str(value.get()).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inside)) }
}

/// What stands between a JSON string's quotes, escapes and all; `None` for any other value.
pub(crate) fn quoted(value: &RawValue) -> Option<&str> {
    value.get().strip_prefix('"')?.strip_suffix('"')
}

/// Appends `text` as a JSON string.
pub(crate) fn write_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("text is JSON and memory takes it");
}

struct Each<'a, F> {
    f: F,
    of: &'static str,
    lifetime: PhantomData<&'a str>,
}

impl<'a, F: FnMut(&'a RawValue, &'a RawValue)> Visitor<'a> for Each<'a, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.of)
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry()? {
            (self.f)(key, value);
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut list: A) -> Result<(), A::Error> {
        while let Some(element) = list.next_element()? {
            (self.f)(element, element);
        }
        Ok(())
    }
}
