//! Deltas that grow into a message, whatever members they have.

use serde_json::value::RawValue;

use crate::json;
use crate::names::chat;

/// Objects in lists of a delta are taken apart no deeper than this. Tool calls need three levels.
const MAX_DEPTH: u8 = 16;
/// Members of an object, and indexed elements of a list, are searched among the first of this number; members beyond it are left out. No
/// server has a tenth of them, and a hostile one must not make merging slow.
const MAX_SEARCHED: usize = 256;

/// A JSON value that can grow. Text and scalars stay as they were written: no number is rounded, and a surrogate pair that two chunks share
/// becomes whole again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// An object.
    Object(Object),
    /// A list.
    List(Vec<Node>),
    /// What stands between the quotes of a string.
    Text(String),
    /// A number, `true`, `false`, `null`, or something too deep to be taken apart.
    Scalar(String),
}

/// An object's members in the order in which they first came. Keys are what stood between their quotes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Object(Vec<(String, Node)>);

impl Node {
    pub(super) fn read(value: &RawValue) -> Self {
        Self::read_at(value, 0)
    }

    /// `text` must need no escapes.
    pub(super) fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub(super) fn null() -> Self {
        Self::Scalar("null".to_owned())
    }

    fn read_at(value: &RawValue, depth: u8) -> Self {
        let text = value.get();
        if let Some(inside) = json::quoted(value) {
            return Self::Text(inside.to_owned());
        }
        if depth < MAX_DEPTH {
            let mut object = Object::default();
            let push = |key, value| object.0.push((json::quoted(key).unwrap_or_default().to_owned(), Self::read_at(value, depth + 1)));
            if text.starts_with('{') && json::each_member(text, push).is_ok() {
                return Self::Object(object);
            }
            let mut list = Vec::new();
            if text.starts_with('[') && json::each_element(text, |element| list.push(Self::read_at(element, depth + 1))).is_ok() {
                return Self::List(list);
            }
        }
        Self::Scalar(text.to_owned())
    }

    fn is_null(&self) -> bool {
        matches!(self, Self::Scalar(text) if text == "null")
    }

    /// Null, or what Azure writes into the names of a chunk that comes before the answer: an empty text or 0.
    fn is_blank(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty()) || matches!(self, Self::Scalar(text) if text == "null" || text == "0")
    }

    /// Lets the value of member `key` grow by `news`: text and lists are continued, objects merged, anything else replaced. Null is no news.
    pub(super) fn merge(&mut self, news: Self, key: &str) {
        match (self, news) {
            (_, news) if news.is_null() => {}
            // Names come whole. Servers that repeat them do not mean to double them (protocols.md, rule 10).
            (Self::Text(old), Self::Text(_)) if !old.is_empty() && matches!(key, chat::ID | chat::TYPE | chat::NAME | chat::ROLE) => {}
            (Self::Text(old), Self::Text(news)) => old.push_str(&news),
            (Self::Object(old), Self::Object(news)) => old.merge(news),
            (Self::List(old), Self::List(news)) => news.into_iter().for_each(|element| merge_element(old, element, key)),
            (old, news) => *old = news,
        }
    }

    fn member(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(object) => object.get(key).filter(|value| !value.is_null()),
            _ => None,
        }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Object(object) => write_all(out, b"{}", &object.0, |out, (key, value)| {
                write_text(out, key);
                out.push(b':');
                value.write(out);
            }),
            Self::List(list) => write_all(out, b"[]", list, |out, element| element.write(out)),
            Self::Text(text) => write_text(out, text),
            Self::Scalar(text) => out.extend_from_slice(text.as_bytes()),
        }
    }
}

impl Object {
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(super) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.0.retain(|(name, _)| name != key);
    }

    /// Sets a member that is missing or says nothing yet.
    pub(super) fn keep_first(&mut self, key: &str, value: Node) {
        match self.get_mut(key) {
            Some(old) if old.is_blank() => *old = value,
            Some(_) => {}
            None => self.push(key.to_owned(), value),
        }
    }

    /// Sets a member, unless to null.
    pub(super) fn keep_last(&mut self, key: &str, value: Node) {
        match self.get_mut(key) {
            Some(_) if value.is_null() => {}
            Some(old) => *old = value,
            None => self.push(key.to_owned(), value),
        }
    }

    /// Lets each member grow by its news.
    pub(super) fn merge(&mut self, news: Self) {
        for (key, value) in news.0 {
            match self.get_mut(&key) {
                Some(old) => old.merge(value, &key),
                None => self.push(key, value),
            }
        }
    }

    fn push(&mut self, key: String, value: Node) {
        if self.0.len() < MAX_SEARCHED {
            self.0.push((key, value));
        }
    }

    pub(super) fn extend(&mut self, more: Self) {
        self.0.extend(more.0);
    }

    /// The members named in `keys`, and the others.
    pub(super) fn split(self, keys: &[&str]) -> (Self, Self) {
        let (named, others) = self.0.into_iter().partition(|(key, _)| keys.contains(&key.as_str()));
        (Self(named), Self(others))
    }
}

/// Continues the element of `list` that `news` belongs to: the one with its index, or, for a tool call without any, the last one unless
/// the news has a name or id of its own. Everything else is a new element.
fn merge_element(list: &mut Vec<Node>, news: Node, key: &str) {
    let begins =
        |news: &Node| news.member(chat::ID).is_some() || news.member(chat::FUNCTION).is_some_and(|f| f.member(chat::NAME).is_some());
    let old = match news.member(chat::INDEX) {
        Some(index) => list.iter_mut().take(MAX_SEARCHED).find(|old| old.member(chat::INDEX) == Some(index)),
        None if key == chat::TOOL_CALLS && !begins(&news) => list.last_mut(),
        None => None,
    };
    match old {
        Some(old) => old.merge(news, key),
        None => list.push(news),
    }
}

fn write_all<T>(out: &mut Vec<u8>, brackets: &[u8; 2], all: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    let [open, close] = *brackets;
    out.push(open);
    for (place, one) in all.iter().enumerate() {
        if place > 0 {
            out.push(b',');
        }
        write(out, one);
    }
    out.push(close);
}

fn write_text(out: &mut Vec<u8>, inside: &str) {
    out.push(b'"');
    out.extend_from_slice(inside.as_bytes());
    out.push(b'"');
}
