//! JSON without members that are null, written at once.
//!
//! A busy gateway writes two records for each small request, so this is on its hottest path: a member's name goes out as it stands in the
//! type and only once its value is known not to be null, and a text that needs no escapes in one piece. What a record does not hold (maps, bytes,
//! enums with fields) is refused.
//!
//! What every member needs is called and never copied into the caller: a record has sixty members, and their code should stay small enough for the
//! processor's first cache, which it shares with all else that a request needs.

use std::fmt;

use serde::ser::{Impossible, Serialize, SerializeSeq, SerializeStruct, Serializer};

/// Appends `value` to `out`.
///
/// # Errors
///
/// Where it holds something that no record holds; `out` is then of no use.
pub(crate) fn write(out: &mut Vec<u8>, value: &impl Serialize) -> fmt::Result {
    value.serialize(&mut Json { out, name: None })
}

struct Json<'a> {
    out: &'a mut Vec<u8>,
    /// Of the member whose value comes next, until there is one.
    name: Option<&'static str>,
}

impl Json<'_> {
    /// A number, or a text with escapes: rare enough, or small enough, for the library's own form.
    fn scalar(&mut self, value: &(impl Serialize + ?Sized)) -> fmt::Result {
        self.begin();
        serde_json::to_writer(&mut *self.out, value).map_err(|_| fmt::Error)
    }

    #[inline(never)]
    fn text(&mut self, text: &str) -> fmt::Result {
        // Without a branch for each byte, so that it looks at many at once.
        let needs_escapes = text.bytes().fold(false, |needs, byte| needs | (byte < b' ') | (byte == b'"') | (byte == b'\\'));
        if needs_escapes {
            return self.scalar(text);
        }
        self.plain(text);
        Ok(())
    }

    /// A text that needs no escapes.
    #[inline(never)]
    fn plain(&mut self, text: &str) {
        self.begin();
        self.out.reserve(text.len() + 2);
        self.out.push(b'"');
        self.out.extend_from_slice(text.as_bytes());
        self.out.push(b'"');
    }

    /// Most are small.
    #[inline(never)]
    fn number(&mut self, number: u64) -> fmt::Result {
        match number.to_le_bytes() {
            [digit @ ..10, 0, 0, 0, 0, 0, 0, 0] => {
                self.begin();
                self.out.push(b'0' + digit);
                Ok(())
            }
            _ => self.scalar(&number),
        }
    }

    #[inline(never)]
    fn open(&mut self, bracket: u8) {
        self.begin();
        self.out.push(bracket);
    }

    #[inline(never)]
    fn close(&mut self, bracket: u8) -> fmt::Result {
        self.out.push(bracket);
        Ok(())
    }

    /// A value comes: its name goes before it.
    fn begin(&mut self) {
        if let Some(name) = self.name.take() {
            self.key(name);
        }
    }

    #[inline(never)]
    fn key(&mut self, name: &str) {
        self.out.reserve(name.len() + 4);
        self.next();
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A comma, unless what comes is the first in its list or object.
    fn next(&mut self) {
        if !matches!(self.out.last(), Some(b'[' | b'{')) {
            self.out.push(b',');
        }
    }
}

impl SerializeStruct for &mut Json<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> fmt::Result {
        self.name = Some(name);
        value.serialize(&mut **self)
    }

    fn end(self) -> fmt::Result {
        self.close(b'}')
    }
}

impl SerializeSeq for &mut Json<'_> {
    type Ok = ();
    type Error = fmt::Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> fmt::Result {
        self.next();
        value.serialize(&mut **self)
    }

    fn end(self) -> fmt::Result {
        self.close(b']')
    }
}

macro_rules! scalars {
    ($($method:ident: $kind:ty,)*) => {
        $(fn $method(self, value: $kind) -> fmt::Result {
            self.scalar(&value)
        })*
    };
}

impl Serializer for &mut Json<'_> {
    type Ok = ();
    type Error = fmt::Error;
    type SerializeSeq = Self;
    type SerializeStruct = Self;
    type SerializeTuple = Impossible<(), fmt::Error>;
    type SerializeTupleStruct = Impossible<(), fmt::Error>;
    type SerializeTupleVariant = Impossible<(), fmt::Error>;
    type SerializeMap = Impossible<(), fmt::Error>;
    type SerializeStructVariant = Impossible<(), fmt::Error>;

    scalars! {
        serialize_bool: bool,
        serialize_i8: i8,
        serialize_i16: i16,
        serialize_i32: i32,
        serialize_i64: i64,
        serialize_u8: u8,
        serialize_u16: u16,
        serialize_u32: u32,
        serialize_f32: f32,
        serialize_f64: f64,
        serialize_char: char,
    }

    fn serialize_u64(self, number: u64) -> fmt::Result {
        self.number(number)
    }

    fn serialize_str(self, text: &str) -> fmt::Result {
        self.text(text)
    }

    fn serialize_none(self) -> fmt::Result {
        self.name = None;
        Ok(())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> fmt::Result {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> fmt::Result {
        self.plain(variant);
        Ok(())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> fmt::Result {
        value.serialize(self)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self, fmt::Error> {
        self.open(b'[');
        Ok(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self, fmt::Error> {
        self.open(b'{');
        Ok(self)
    }

    fn serialize_bytes(self, _: &[u8]) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_unit(self) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_unit_struct(self, _: &'static str) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, _: &'static str, _: u32, _: &'static str, _: &T) -> fmt::Result {
        Err(fmt::Error)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, fmt::Error> {
        Err(fmt::Error)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, fmt::Error> {
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests;
