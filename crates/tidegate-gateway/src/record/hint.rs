//! Why we think that a hop in front of the gateway, and not the client, cut a stream.
//!
//! A proxy cuts at a round number of seconds, of silence or of age; people do not. The hint names the limit that fits, and says no more.

use std::time::Duration;

/// A limit that cuts streams, and where it is known from.
struct KnownLimit {
    seconds: u64,
    whose: &'static str,
}

/// Limits on the age of a whole response (protocols of the named products' documentation).
const BY_AGE: &[KnownLimit] = &[
    KnownLimit { seconds: 15, whose: "Envoy's default route timeout" },
    KnownLimit { seconds: 29, whose: "API Gateway's integration timeout" },
    KnownLimit { seconds: 30, whose: "a load balancer's default backend timeout" },
    KnownLimit { seconds: 60, whose: "a function platform's limit" },
    KnownLimit { seconds: 230, whose: "App Service's front end" },
    KnownLimit { seconds: 300, whose: "Cloud Run's default request timeout" },
];

/// Limits on silence between two bytes.
const BY_SILENCE: &[KnownLimit] = &[
    KnownLimit { seconds: 5, whose: "a read timeout of 5 s" },
    KnownLimit { seconds: 10, whose: "a read timeout of 10 s" },
    KnownLimit { seconds: 30, whose: "CloudFront's or a load balancer's idle timeout" },
    KnownLimit { seconds: 50, whose: "HAProxy's usual server or client timeout" },
    KnownLimit { seconds: 55, whose: "Heroku's rolling window" },
    KnownLimit { seconds: 60, whose: "nginx's proxy_read_timeout or a load balancer's idle timeout" },
    KnownLimit { seconds: 120, whose: "Cloudflare's proxy read timeout" },
    KnownLimit { seconds: 300, whose: "Envoy's stream idle timeout" },
];

/// How far from the round number a cut may be. Timers fire late, never early by more than their tick.
const EARLY: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_millis(700);

/// The known limit that a cut after `age` of the stream and `silence` towards the client fits. Silence is the stronger sign.
#[must_use]
pub fn of_cut(age: Duration, silence: Duration) -> Option<String> {
    let by_silence = fitting(BY_SILENCE, silence).map(|limit| format!("cut after {} s of silence: fits {}", limit.seconds, limit.whose));
    by_silence.or_else(|| fitting(BY_AGE, age).map(|limit| format!("cut {} s after arrival: fits {}", limit.seconds, limit.whose)))
}

fn fitting(limits: &'static [KnownLimit], length: Duration) -> Option<&'static KnownLimit> {
    limits.iter().find(|limit| {
        let exact = Duration::from_secs(limit.seconds);
        length + EARLY >= exact && length <= exact + LATE
    })
}

#[cfg(test)]
mod tests;
