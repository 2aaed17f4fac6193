//! Tests of what holds wherever prompts wait run once for each such place. One that is in no list is dead code, which the compiler tells.

/// Makes each of these tests run once on every backend.
macro_rules! on_every_backend {
    ($($test:ident),+ $(,)?) => {
        on_backend!(memory, Memory: $($test),+);
        on_every_server!($($test),+);
    };
}

/// Makes each of these tests run once on every backend whose prompts outlive the gateway.
macro_rules! on_every_server {
    ($($test:ident),+ $(,)?) => {
        on_backend!(redis, Redis: $($test),+);
        on_backend!(kafka, Kafka: $($test),+);
    };
}

/// Makes each of these tests run where prompts wait in the gateway, and nowhere else. The tests say why.
macro_rules! on_memory {
    ($($test:ident),+ $(,)?) => {
        on_backend!(memory_alone, Memory: $($test),+);
    };
}

/// Makes each of these tests run where prompts wait in Redis, and nowhere else. The tests say why.
macro_rules! on_redis {
    ($($test:ident),+ $(,)?) => {
        on_backend!(redis_alone, Redis: $($test),+);
    };
}

macro_rules! on_backend {
    ($module:ident, $backend:ident: $($test:ident),+) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() -> anyhow::Result<()> {
                    super::$test(tidegate_e2e::Backend::$backend).await
                }
            )+
        }
    };
}
