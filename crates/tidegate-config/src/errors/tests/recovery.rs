//! The faults of routes, retries, deadlines, webhooks, degradation and prices.

use expect_test::expect;

use super::{PROVIDER, check};

#[test]
fn retries_and_deadlines_out_of_bounds_say_what_to_write() {
    check(
        r#"
[retry]
attempts = 11
budget = 1.5
budget_floor = -1
backoff = "0s"
[breaker]
failures = 0
cooldown = 30
"#,
        &expect![[r#"
            error: retry.attempts: 11 is too large
             --> tidegate.toml:3:12
              |
            3 | attempts = 11
              |            ^^ write a whole number from 1 to 10

            error: retry.budget: 1.5 is out of bounds
             --> tidegate.toml:4:10
              |
            4 | budget = 1.5
              |          ^^^ write a number from 0 to 1

            error: retry.budget_floor: -1 is too small
             --> tidegate.toml:5:16
              |
            5 | budget_floor = -1
              |                ^^ write a whole number from 0 to 4294967295

            error: retry.backoff: "0s" is zero
             --> tidegate.toml:6:11
              |
            6 | backoff = "0s"
              |           ^^^^ write a length above zero, or leave the setting out for its default

            error: breaker.failures: 0 is not above zero
             --> tidegate.toml:8:12
              |
            8 | failures = 0
              |            ^ write a whole number from 1 to 4294967295

            error: breaker.cooldown: 30 is no text
             --> tidegate.toml:9:12
              |
            9 | cooldown = 30
              |            ^^ write a text in quotes, such as "15s"
        "#]],
    );
    check(
        r#"
[retry]
budget = nan
attempts = 1.5
"#,
        &expect![[r#"
            error: retry.budget: nan is out of bounds
             --> tidegate.toml:3:10
              |
            3 | budget = nan
              |          ^^^ write a number from 0 to 1

            error: retry.attempts: 1.5 is no whole number
             --> tidegate.toml:4:12
              |
            4 | attempts = 1.5
              |            ^^^ write a whole number from 1 to 10
        "#]],
    );
    check(
        r#"
[retry]
budget = "some"
"#,
        &expect![[r#"
            error: retry.budget: "some" is no number
             --> tidegate.toml:3:10
              |
            3 | budget = "some"
              |          ^^^^^^ write a number from 0 to 1
        "#]],
    );
}

#[test]
fn a_first_wait_longer_than_the_longest_points_at_what_was_written() {
    check(
        "[retry]\nbackoff = \"10s\"\nbackoff_max = \"8s\"\n",
        &expect![[r#"
        error: retry.backoff: "10s" is longer than backoff_max "8s"
         --> tidegate.toml:2:11
          |
        2 | backoff = "10s"
          |           ^^^^^ shorten backoff or raise backoff_max
        3 | backoff_max = "8s"
          |               ---- backoff_max is set here
    "#]],
    );
    check(
        "[retry]\nbackoff = \"10s\"\n",
        &expect![[r#"
        error: retry.backoff: "10s" is longer than backoff_max, by default "4s"
         --> tidegate.toml:2:11
          |
        2 | backoff = "10s"
          |           ^^^^^ shorten backoff or raise backoff_max
    "#]],
    );
    check(
        "[retry]\nbackoff_max = \"500ms\"\n",
        &expect![[r#"
        error: retry.backoff_max: "500ms" is shorter than backoff, by default "1s"
         --> tidegate.toml:2:15
          |
        2 | backoff_max = "500ms"
          |               ^^^^^^^ shorten backoff or raise backoff_max
    "#]],
    );
}

#[test]
fn a_deadline_header_must_be_free() {
    check(
        "[deadline]\nheader = \"X Deadline\"\n",
        &expect![[r#"
        error: deadline.header: a header cannot be called this
         --> tidegate.toml:2:10
          |
        2 | header = "X Deadline"
          |          ^^^^^^^^^^^^ use letters, digits and `-`, or write "off" to send none
    "#]],
    );
    check(
        "[deadline]\nheader = \"\"\n",
        &expect![[r#"
            error: deadline.header: a header cannot be called this
             --> tidegate.toml:2:10
              |
            2 | header = ""
              |          ^^ use letters, digits and `-`, or write "off" to send none
        "#]],
    );
    check(
        "[deadline]\nheader = \"Authorization\"\n",
        &expect![[r#"
        error: deadline.header: this header has another meaning
         --> tidegate.toml:2:10
          |
        2 | header = "Authorization"
          |          ^^^^^^^^^^^^^^^ write another name, or "off" to send none
    "#]],
    );
    check(
        &format!("{PROVIDER}headers = {{ X-Left = \"secret\" }}\n[deadline]\nheader = \"x-left\"\n"),
        &expect![[r#"
        error: providers.openai.headers.X-Left: `deadline.header` sets this header
         --> tidegate.toml:3:13
          |
        3 | headers = { X-Left = "******" }
          |             ^^^^^^ remove it, or write another name, or "off", there
    "#]],
    );
}

#[test]
fn webhooks_need_a_secret_and_a_public_address() {
    check(
        "[notify]\nurl = \"https://hooks.example.com\"\n",
        &expect![[r#"
        error: notify.url: nothing signs what is posted there
         --> tidegate.toml:2:7
          |
        2 | url = "https://hooks.example.com"
          |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^ write secret = "${TIDEGATE_WEBHOOK_SECRET}" in [notify]; this makes one: echo "whsec_$(openssl rand -base64 32)"
    "#]],
    );
    check(
        "[notify]\nsecret = \"sk-secret\"\nurl = \"http://10.0.0.1/hook\"\n",
        &expect![[r#"
        error: notify.secret: this is not `whsec_` and 24 to 64 bytes in base64
         --> tidegate.toml:2:10
          |
        2 | secret = "*********"
          |          ^^^^^^^^^^^ write secret = "${TIDEGATE_WEBHOOK_SECRET}" in [notify]; this makes one: echo "whsec_$(openssl rand -base64 32)"

        error: notify.url: this is a private address
         --> tidegate.toml:3:7
          |
        3 | url = "http://10.0.0.1/hook"
          |       ^^^^^^^^^^^^^^^^^^^^^^ write a public one, or add allow_private = true
    "#]],
    );
    check(
        "[notify]\nsecret = 5\nurl = \"https://hooks.example.com\"\n",
        &expect![[r#"
        error: notify.secret: the value is no text
         --> tidegate.toml:2:10
          |
        2 | secret = *
          |          ^ write a text in quotes, such as "${OPENAI_API_KEY}"
    "#]],
    );
}

#[test]
fn keys_are_written_once_and_in_one_setting() {
    check(
        &format!("{PROVIDER}api_key = \"sk-secret-1\"\napi_keys = [\"sk-secret-2\", \"sk-secret-3\", \"sk-secret-2\"]\n"),
        &expect![[r#"
            error: providers.openai.api_keys: this is one setting too many
             --> tidegate.toml:4:12
              |
            3 | api_key = "***********"
              |           ------------- one key is here
            4 | api_keys = ["***********", "***********", "***********"]
              |            ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ keep one of both
        "#]],
    );
    check(
        &format!("{PROVIDER}api_keys = []\n"),
        &expect![[r#"
        error: providers.openai.api_keys is empty
         --> tidegate.toml:3:12
          |
        3 | api_keys = []
          |            ^^ write at least one element, or leave the setting out
    "#]],
    );
    check(
        &format!("{PROVIDER}api_keys = \"sk-secret\"\n"),
        &expect![[r#"
        error: providers.openai.api_keys: the value is no list
         --> tidegate.toml:3:12
          |
        3 | api_keys = "*********"
          |            ^^^^^^^^^^^ write a list in brackets
    "#]],
    );
    check(
        &format!("{PROVIDER}api_keys = [\"sk-secret\", \"\"]\nheaders = {{ Authorization = \"secret\" }}\n"),
        &expect![[r#"
        error: providers.openai.api_keys[1]: the value is empty
         --> tidegate.toml:3:26
          |
        3 | api_keys = ["*********", ""]
          |                          ^^ write it, or a reference such as "${OPENAI_API_KEY}"

        error: providers.openai.headers.Authorization: `api_keys` sets this header
         --> tidegate.toml:4:13
          |
        4 | headers = { Authorization = "******" }
          |             ^^^^^^^^^^^^^ remove one of both
    "#]],
    );
    check(
        "[providers.m]\nkind = \"mock\"\napi_keys = [\"sk-secret\"]\n",
        &expect![[r#"
        error: providers.m.api_keys: the mock inside this process takes none
         --> tidegate.toml:3:12
          |
        3 | api_keys = ["*********"]
          |            ^^^^^^^^^^^^^ remove it, or write kind = "openai" for a mock elsewhere
    "#]],
    );
}

#[test]
fn routes_that_cannot_share_the_work_are_refused() {
    check(
        r#"
[providers.a]
base_url = "http://a"
[providers.b]
base_url = "http://b"
[models.x]
routes = [{ provider = "a" }, { provider = "b" }, { provider = "a", model = "x" }]
[models."y*"]
routes = [{ provider = "a", larger_context = true }]
[models.z]
balance = "order"
routes = [{ provider = "a", weight = 1 }, { provider = "b", weight = -1 }]
[models.u]
balance = "order"
routes = [{ provider = "a", weight = 1 }, { provider = "b" }]
[models.v]
routes = [{ provider = "a", weight = 0 }, { provider = "b", weight = 0 }]
[models.w]
balance = "random"
"#,
        &expect![[r#"
            error: models.x.routes[2]: this route is there twice
             --> tidegate.toml:7:51
              |
            7 | routes = [{ provider = "a" }, { provider = "b" }, { provider = "a", model = "x" }]
              |           ------------------ and here             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ remove one; `retry.attempts` says how often it is asked

            error: models."y*".routes: no route is for ordinary requests
             --> tidegate.toml:9:10
              |
            9 | routes = [{ provider = "a", larger_context = true }]
              |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ remove larger_context from one of them

            error: models.z.routes[0].weight: has no effect where balance is "order"
              --> tidegate.toml:12:38
               |
            12 | routes = [{ provider = "a", weight = 1 }, { provider = "b", weight = -1 }]
               |                                      ^ remove it, or write balance = "weight"

            error: models.z.routes[1].weight: -1 is too small
              --> tidegate.toml:12:70
               |
            12 | routes = [{ provider = "a", weight = 1 }, { provider = "b", weight = -1 }]
               |                                                                      ^^ write a whole number from 0 to 4294967295

            error: models.u.routes[0].weight: has no effect where balance is "order"
              --> tidegate.toml:15:38
               |
            15 | routes = [{ provider = "a", weight = 1 }, { provider = "b" }]
               |                                      ^ remove it, or write balance = "weight"

            error: models.v.routes: no route is ever drawn, as every weight is 0
              --> tidegate.toml:17:10
               |
            17 | routes = [{ provider = "a", weight = 0 }, { provider = "b", weight = 0 }]
               |          ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ give one of them a weight above 0

            error: models.w.routes: it is not said where this model is served
              --> tidegate.toml:18:1
               |
            18 | [models.w]
               | ^^^^^^^^^^ add routes = [{ provider = "…" }]

            error: models.w.balance: "random" is no choice here
              --> tidegate.toml:19:11
               |
            19 | balance = "random"
               |           ^^^^^^^^ write "order", "weight", "latency" or "least_outstanding"
        "#]],
    );
}

#[test]
fn more_routes_than_a_request_can_ask_are_refused() {
    let routes: Vec<String> = (0..17).map(|n| format!("{{ provider = \"openai\", model = \"m{n}\" }}")).collect();
    check(
        &format!("{PROVIDER}[models.x]\nroutes = [\n{}\n]\n", routes.join(",\n")),
        &expect![[r#"
        error: models.x.routes is a list of 17
         --> tidegate.toml:4:10
          |
        4 | routes = [
          |          ^ write at most 16
    "#]],
    );
}

#[test]
fn a_degradation_step_says_one_thing() {
    check(
        r#"
[providers.a]
base_url = "http://a"
[models.x]
degrade = [
    { model = "y", cached = "1h" },
    {},
    { cached = "1h", max_tokens = 5 },
    { static = "" },
    { notify = false },
    { fallback = "x" },
]
[models.y]
"#,
        &expect![[r#"
            error: models.x.degrade[0]: this is 2 steps in one
             --> tidegate.toml:6:5
              |
            6 |     { model = "y", cached = "1h" },
              |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ give each braces of its own

            error: models.x.degrade[1]: this is no step
             --> tidegate.toml:7:5
              |
            7 |     {},
              |     ^^ write one of { model = "…" }, { cached = "1h" }, { static = "…" } and { notify = true }

            error: models.x.degrade[2].max_tokens: has no effect without model
             --> tidegate.toml:8:35
              |
            8 |     { cached = "1h", max_tokens = 5 },
              |                                   ^ add model = "…", or remove it

            error: models.x.degrade[3].static: "" is empty
             --> tidegate.toml:9:16
              |
            9 |     { static = "" },
              |                ^^ write a text, or leave the setting out

            error: models.x.degrade[4].notify: a step that is not taken
              --> tidegate.toml:10:16
               |
            10 |     { notify = false },
               |                ^^^^^ write true, or remove the step

            error: models.x.degrade[5].fallback: there is no such setting
              --> tidegate.toml:11:7
               |
            11 |     { fallback = "*" },
               |       ^^^^^^^^ write "cached", "max_tokens", "model", "notify" or "static"
        "#]],
    );
}

#[test]
fn a_degradation_step_leads_to_another_model_and_what_always_answers_is_the_last() {
    check(
        r#"
[providers.a]
base_url = "http://a"
[models.x]
degrade = [{ model = "x" }, { model = "gtp-4o" }, { model = "g*" }]
[models.gpt-4o]
degrade = [{ static = "Later." }, { cached = "1h" }]
[models."m*"]
routes = [{ provider = "a", model = "m" }]
degrade = [{ model = "m1" }, { notify = true }, { static = "Later." }]
[models."n*"]
degrade = [{ model = "n1" }]
"#,
        &expect![[r#"
            error: models.x.degrade[0].model: "x" is this model itself
             --> tidegate.toml:5:22
              |
            5 | degrade = [{ model = "x" }, { model = "gtp-4o" }, { model = "g*" }]
              |                      ^^^ write another model, or remove the step

            error: models.x.degrade[1].model: there is no model "gtp-4o"
             --> tidegate.toml:5:39
              |
            5 | degrade = [{ model = "x" }, { model = "gtp-4o" }, { model = "g*" }]
              |                                       ^^^^^^^^ did you mean "gpt-4o"?

            error: models.x.degrade[2].model: a pattern answers nothing by itself
             --> tidegate.toml:5:61
              |
            5 | degrade = [{ model = "x" }, { model = "gtp-4o" }, { model = "g*" }]
              |                                                             ^^^^ write one name that it matches

            error: models.gpt-4o.degrade[1]: nothing can follow `static`, which always answers
             --> tidegate.toml:7:35
              |
            7 | degrade = [{ static = "Later." }, { cached = "1h" }]
              |                                   ^^^^^^^^^^^^^^^^^ move it in front of that, or remove it

            error: models."m*".degrade[0].model: "m1" is this model itself
              --> tidegate.toml:10:22
               |
            10 | degrade = [{ model = "m1" }, { notify = true }, { static = "Later." }]
               |                      ^^^^ write another model, or remove the step

            error: models."m*".degrade[2]: nothing can follow `notify`, which always answers
              --> tidegate.toml:10:49
               |
            10 | degrade = [{ model = "m1" }, { notify = true }, { static = "Later." }]
               |                                                 ^^^^^^^^^^^^^^^^^^^^^ move it in front of that, or remove it
        "#]],
    );
}

#[test]
fn a_slow_guard_fits_into_the_time_to_the_first_byte() {
    check(
        &format!("{PROVIDER}[models.gpt-4o]\nslow = {{ chars_per_second = 20, window = \"20s\" }}\n"),
        &expect![[r#"
        error: models.gpt-4o.slow.window: "20s" is not shorter than first_byte "20s" of profile "mid"
         --> tidegate.toml:4:42
          |
        4 | slow = { chars_per_second = 20, window = "20s" }
          |                                          ^^^^^ shorten window
    "#]],
    );
    check(
        &format!("{PROVIDER}[models.\"*\"]\nslow = {{ chars_per_second = 20, window = \"15s\" }}\ntimeouts = {{ first_byte = \"12s\" }}\n"),
        &expect![[r#"
            error: models."*".slow.window: "15s" is not shorter than first_byte "12s"
             --> tidegate.toml:4:42
              |
            4 | slow = { chars_per_second = 20, window = "15s" }
              |                                          ^^^^^ shorten window
        "#]],
    );
    check(
        &format!("{PROVIDER}[models.a]\nslow = {{ window = \"1s\" }}\n"),
        &expect![[r#"
        error: models.a.slow.chars_per_second is missing
         --> tidegate.toml:4:8
          |
        4 | slow = { window = "1s" }
          |        ^^^^^^^^^^^^^^^^^ add chars_per_second = …
    "#]],
    );
}

#[test]
fn a_price_without_its_other_half_is_refused() {
    check(
        r#"
[prices.a]
input = 1
[prices.b]
output = 1.5
[prices.c]
cached_input = 1
[prices.d]
[prices."*e"]
context_window = 1
[prices.f]
input = -1
output = 1e300
reasoning = "1"
"#,
        &expect![[r#"
            error: prices.a.output is missing beside input
             --> tidegate.toml:2:1
              |
            2 | [prices.a]
              | ^^^^^^^^^^ add output = …

            error: prices.b.input is missing beside output
             --> tidegate.toml:4:1
              |
            4 | [prices.b]
              | ^^^^^^^^^^ add input = …

            error: prices.c.cached_input: has no effect without input and output
             --> tidegate.toml:7:16
              |
            7 | cached_input = 1
              |                ^ add both, or remove it

            error: prices.d: nothing is set here
             --> tidegate.toml:8:1
              |
            8 | [prices.d]
              | ^^^^^^^^^^ add input = … and output = …, or context_window = …

            error: prices."*e": a pattern has its only `*` at its end
             --> tidegate.toml:9:9
              |
            9 | [prices."*e"]
              |         ^^^^ write a prefix and `*`, such as "gpt-4*"

            error: prices.f.input: -1 is out of bounds
              --> tidegate.toml:12:9
               |
            12 | input = -1
               |         ^^ write a number from 0 to 1000000

            error: prices.f.output: 1e300 is out of bounds
              --> tidegate.toml:13:10
               |
            13 | output = 1e300
               |          ^^^^^ write a number from 0 to 1000000

            error: prices.f.reasoning: "1" is no number
              --> tidegate.toml:14:13
               |
            14 | reasoning = "1"
               |             ^^^ write a number from 0 to 1000000
        "#]],
    );
}
