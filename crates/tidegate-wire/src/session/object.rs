//! JSON objects, written member by member into memory that the caller keeps.

use std::fmt::Display;
use std::io::Write;
use std::time::Duration;

use serde::Serialize;

use crate::json;

/// A JSON object that is being written. Names need no escapes, for they are ours.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Object<'a> {
    /// Begins with the member that says what the object is. Its value needs no escapes either.
    pub(super) fn begin(out: &'a mut Vec<u8>, name: &str, kind: &str) -> Self {
        out.push(b'{');
        let mut object = Self { out };
        object.quoted(name);
        object.out.push(b':');
        object.quoted(kind);
        object
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.key(name);
        json::write_string(self.out, value);
        self
    }

    pub(super) fn maybe_text(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// An id, whose form needs no escapes.
    pub(super) fn id(&mut self, name: &str, value: &dyn Display) -> &mut Self {
        self.key(name);
        self.out.push(b'"');
        self.display(value);
        self.out.push(b'"');
        self
    }

    pub(super) fn number(&mut self, name: &str, value: impl Display) -> &mut Self {
        self.key(name);
        self.display(&value);
        self
    }

    pub(super) fn millis(&mut self, name: &str, value: Duration) -> &mut Self {
        self.number(name, value.as_millis())
    }

    pub(super) fn flag(&mut self, name: &str, value: bool) -> &mut Self {
        self.number(name, value)
    }

    /// What is JSON already.
    pub(super) fn raw(&mut self, name: &str, value: &str) {
        self.key(name);
        self.out.extend_from_slice(value.as_bytes());
    }

    pub(super) fn json(&mut self, name: &str, value: &impl Serialize) -> &mut Self {
        self.key(name);
        serde_json::to_writer(&mut *self.out, value).expect("numbers and names are JSON and memory takes them");
        self
    }

    fn key(&mut self, name: &str) {
        self.out.push(b',');
        self.quoted(name);
        self.out.push(b':');
    }

    fn quoted(&mut self, name: &str) {
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.push(b'"');
    }

    fn display(&mut self, value: &dyn Display) {
        write!(self.out, "{value}").expect("memory takes it");
    }
}
