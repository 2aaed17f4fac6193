//! Delivered: pieces to the client, at the client's pace.

pub mod answer;
pub mod background;
pub mod leave;
pub mod open;
pub mod refuse;
