//! The scripts, each a step that happens as a whole. What they take and return stands in their first line.

use std::sync::LazyLock;

use redis::Script;

pub(super) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(Scripts::new);

macro_rules! scripts {
    ($($name:ident)*) => {
        pub(super) struct Scripts {
            $(pub(super) $name: Script,)*
        }

        impl Scripts {
            fn new() -> Self {
                Self {
                    $($name: Script::new(concat!(include_str!("scripts/prelude.lua"), include_str!(concat!("scripts/", stringify!($name), ".lua")))),)*
                }
            }
        }
    };
}

scripts! { create adopt refresh journal snapshot submit cancel end begin renew emit settle release reap depth }
