//! Names of headers that each request is searched for or answered with, in the form of a header map: one that is given as text is read and
//! checked at every look.

use http::HeaderName;
use tidegate_wire::names::header;

macro_rules! names {
    ($($name:ident)*) => {
        $(#[doc = concat!("See [`header::", stringify!($name), "`].")]
        pub static $name: HeaderName = HeaderName::from_static(header::$name);)*
    };
}

names! {
    API_KEY REQUEST_ID TRACEPARENT
    STREAM_ID PROVIDER MODEL ATTEMPTS
    RETRY_AFTER_MS
}
