//! The scripts, each a step that happens as a whole. What they take and return stands in their first line.

use std::sync::LazyLock;

use redis::Script;

pub(super) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(Scripts::new);

macro_rules! scripts {
    ($($flags:literal: $($name:ident)*;)*) => {
        pub(super) struct Scripts {
            $($(pub(super) $name: Script,)*)*
        }

        impl Scripts {
            fn new() -> Self {
                Self {
                    $($($name: Script::new(concat!(
                        "#!lua flags=", $flags, "\n",
                        include_str!("scripts/prelude.lua"),
                        include_str!(concat!("scripts/", stringify!($name), ".lua")),
                    )),)*)*
                }
            }
        }
    };
}

// A server whose memory is full takes nothing new, but what it has comes to its end and makes room.
scripts! {
    "": create adopt journal snapshot submit begin emit;
    "allow-oom": refresh cancel end renew settle release reap depth;
}
