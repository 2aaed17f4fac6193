//! The faults of sessions and their queue.

use expect_test::expect;

use super::{PROVIDER, check, check_with};

#[test]
fn lengths_and_sizes_of_sessions_out_of_bounds_say_the_bounds() {
    check(
        r#"
[sessions]
heartbeat = "500ms"
idle_ttl = "30d"
resume_ttl = "2h"
max_message = "1GiB"
max_sessions = 0
[queue]
lease = "100ms"
"#,
        &expect![[r#"
            error: sessions.heartbeat: "500ms" is too short
             --> tidegate.toml:3:13
              |
            3 | heartbeat = "500ms"
              |             ^^^^^^^ write a length of time from "1s" to "10m"

            error: sessions.idle_ttl: "30d" is too long
             --> tidegate.toml:4:12
              |
            4 | idle_ttl = "30d"
              |            ^^^^^ write a length of time from "1s" to "7d"

            error: sessions.resume_ttl: "2h" is too long
             --> tidegate.toml:5:14
              |
            5 | resume_ttl = "2h"
              |              ^^^^ write a length of time from "1s" to "1h"

            error: sessions.max_message: "1GiB" is too large
             --> tidegate.toml:6:15
              |
            6 | max_message = "1GiB"
              |               ^^^^^^ write a size from "1KiB" to "64MiB"

            error: sessions.max_sessions: 0 is not above zero
             --> tidegate.toml:7:16
              |
            7 | max_sessions = 0
              |                ^ write a whole number from 1 to 4294967295

            error: queue.lease: "100ms" is too short
             --> tidegate.toml:9:9
              |
            9 | lease = "100ms"
              |         ^^^^^^^ write a length of time from "1s" to "1h"
        "#]],
    );
    check(
        "[sessions]\nmax_message = \"1000B\"\nheartbeat = \"20\"\n",
        &expect![[r#"
        error: sessions.max_message: "1000B" is too small
         --> tidegate.toml:2:15
          |
        2 | max_message = "1000B"
          |               ^^^^^^^ write a size from "1KiB" to "64MiB"

        error: sessions.heartbeat: "20" has no unit
         --> tidegate.toml:3:13
          |
        3 | heartbeat = "20"
          |             ^^^^ write a whole number with a unit (ms, s, m, h, d), such as "15s" or "250ms"
    "#]],
    );
}

#[test]
fn bounds_of_a_queue_in_the_wrong_order_are_told_where_they_are_written() {
    check(
        "[queue]\nmax_queue_size = 20\nglobal_max_size = 10\nmin_workers = 4096\n",
        &expect![[r#"
        error: queue.max_queue_size: 20 is larger than global_max_size 10
         --> tidegate.toml:2:18
          |
        2 | max_queue_size = 20
          |                  ^^ lower max_queue_size or raise global_max_size
        3 | global_max_size = 10
          |                   -- global_max_size is set here

        error: queue.min_workers: 4096 is larger than max_workers, by default 1024
         --> tidegate.toml:4:15
          |
        4 | min_workers = 4096
          |               ^^^^ lower min_workers or raise max_workers
    "#]],
    );
    check(
        "[queue]\nglobal_max_size = 10\nmax_workers = 4\n",
        &expect![[r#"
        error: queue.global_max_size: 10 is smaller than max_queue_size, by default 16
         --> tidegate.toml:2:19
          |
        2 | global_max_size = 10
          |                   ^^ lower max_queue_size or raise global_max_size

        error: queue.max_workers: 4 is smaller than min_workers, by default 8
         --> tidegate.toml:3:15
          |
        3 | max_workers = 4
          |               ^ lower min_workers or raise max_workers
    "#]],
    );
}

#[test]
fn the_model_of_sessions_has_to_be_served() {
    let with = |model: &str| format!("{PROVIDER}[models.gpt-4o]\n[models.\"o*\"]\n[sessions]\nmodel = {model:?}\n");
    check(
        &with("gpt-4"),
        &expect![[r#"
        error: sessions.model: there is no model "gpt-4"
         --> tidegate.toml:6:9
          |
        6 | model = "gpt-4"
          |         ^^^^^^^ did you mean "gpt-4o"?
    "#]],
    );
    check(
        &with("o*"),
        &expect![[r#"
        error: sessions.model: a pattern answers nothing by itself
         --> tidegate.toml:6:9
          |
        6 | model = "o*"
          |         ^^^^ write one name that it matches
    "#]],
    );
}

#[test]
fn a_queue_says_what_its_choices_and_addresses_are() {
    check(
        r#"
[queue]
backend = "rabbitmq"
policy = "drop"
redis = "redis.internal:6379"
kafka = ["kafka-1", "kafka://kafka-2:9092", "[::1]:0"]
kafka_topics = "tide gate"
kafka_partitions = 0
brokers = "a:9092"
"#,
        &expect![[r#"
            error: queue.backend: "rabbitmq" is no choice here
             --> tidegate.toml:3:11
              |
            3 | backend = "rabbitmq"
              |           ^^^^^^^^^^ write "memory", "redis" or "kafka"

            error: queue.policy: "drop" is no choice here
             --> tidegate.toml:4:10
              |
            4 | policy = "drop"
              |          ^^^^^^ write "reject", "drop_oldest" or "defer"

            error: queue.redis: the value is no address of a Redis server
             --> tidegate.toml:5:9
              |
            5 | redis = "*******************"
              |         ^^^^^^^^^^^^^^^^^^^^^ write scheme, host and port, such as "redis://redis.internal:6379", or rediss:// for TLS

            error: queue.kafka[0]: "kafka-1" is no host and port
             --> tidegate.toml:6:10
              |
            6 | kafka = ["kafka-1", "kafka://kafka-2:9092", "[::1]:0"]
              |          ^^^^^^^^^ write both, such as "kafka-1:9092"

            error: queue.kafka[1]: "kafka://kafka-2:9092" is no host and port
             --> tidegate.toml:6:21
              |
            6 | kafka = ["kafka-1", "kafka://kafka-2:9092", "[::1]:0"]
              |                     ^^^^^^^^^^^^^^^^^^^^^^ write both, such as "kafka-1:9092"

            error: queue.kafka[2]: "[::1]:0" is no host and port
             --> tidegate.toml:6:45
              |
            6 | kafka = ["kafka-1", "kafka://kafka-2:9092", "[::1]:0"]
              |                                             ^^^^^^^^^ write both, such as "kafka-1:9092"

            error: queue.kafka_topics: "tide gate" is no beginning of a topic's name
             --> tidegate.toml:7:16
              |
            7 | kafka_topics = "tide gate"
              |                ^^^^^^^^^^^ write up to 200 letters, digits, dots, dashes and underscores, such as "tidegate"

            error: queue.kafka_partitions: 0 is not above zero
             --> tidegate.toml:8:20
              |
            8 | kafka_partitions = 0
              |                    ^ write a whole number from 1 to 1000

            error: queue.brokers: there is no such setting
             --> tidegate.toml:9:1
              |
            9 | brokers = "******"
              | ^^^^^^^ write "backend", "global_max_size", "kafka", "kafka_partitions", "kafka_topics", "lease", "max_queue_size", "max_workers", "min_workers", "policy" or "redis"
        "#]],
    );
}

#[test]
fn an_origin_is_scheme_host_and_port() {
    check(
        "[sessions]\nallowed_origins = [\"app.example.com\", \"https://app.example.com/\", \"https://*.example.com\", \"null\"]\n",
        &expect![[r#"
            error: sessions.allowed_origins[0]: "app.example.com" is not an origin
             --> tidegate.toml:2:20
              |
            2 | allowed_origins = ["app.example.com", "https://app.example.com/", "https://*.example.com", "null"]
              |                    ^^^^^^^^^^^^^^^^^ write scheme, host and port as browsers do, such as "https://app.example.com", or "*" for every origin

            error: sessions.allowed_origins[1]: "https://app.example.com/" is not an origin
             --> tidegate.toml:2:39
              |
            2 | allowed_origins = ["app.example.com", "https://app.example.com/", "https://*.example.com", "null"]
              |                                       ^^^^^^^^^^^^^^^^^^^^^^^^^^ write scheme, host and port as browsers do, such as "https://app.example.com", or "*" for every origin

            error: sessions.allowed_origins[2]: "https://*.example.com" is not an origin
             --> tidegate.toml:2:67
              |
            2 | allowed_origins = ["app.example.com", "https://app.example.com/", "https://*.example.com", "null"]
              |                                                                   ^^^^^^^^^^^^^^^^^^^^^^^ write scheme, host and port as browsers do, such as "https://app.example.com", or "*" for every origin

            error: sessions.allowed_origins[3]: "null" is not an origin
             --> tidegate.toml:2:92
              |
            2 | allowed_origins = ["app.example.com", "https://app.example.com/", "https://*.example.com", "null"]
              |                                                                                            ^^^^^^ write scheme, host and port as browsers do, such as "https://app.example.com", or "*" for every origin
        "#]],
    );
}

#[test]
fn a_queue_outside_this_process_is_refused_and_its_password_not_shown() {
    let env = [("QUEUE_TYPE", "Redis"), ("REDIS_URL", "redis://:secret@cache:port")];
    check_with(
        "",
        &env,
        Vec::new(),
        &expect![[r#"
            error: queue.redis: the value is no address of a Redis server
             |
             = note: set by the environment variable REDIS_URL
             = help: write scheme, host and port, such as "redis://redis.internal:6379", or rediss:// for TLS
        "#]],
    );
    check(
        "[queue]\nbackend = \"redis\"\nredis = \"rediss://name:secret@cache:port\"\n",
        &expect![[r#"
        error: queue.redis: the value is no address of a Redis server
         --> tidegate.toml:3:9
          |
        3 | redis = "*******************************"
          |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ write scheme, host and port, such as "redis://redis.internal:6379", or rediss:// for TLS
    "#]],
    );
}
