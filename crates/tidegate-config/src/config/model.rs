//! `[models.NAME]`, checked.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_core::balance::Balance;
use tidegate_core::limits::{DeliveryMode, RateGuard, TimeoutProfile};

use crate::profiles::Profiles;

/// What clients may ask for: exact names and `prefix*` patterns.
#[derive(Debug, Clone, Default)]
pub struct Models {
    exact: BTreeMap<String, Model>,
    /// By their prefix without the star, longest first.
    patterns: Vec<(String, Model)>,
}

impl Models {
    /// Sorts `models` into exact names and patterns (a name that ends in `*`).
    pub(crate) fn new(models: impl IntoIterator<Item = Model>) -> Self {
        let mut sorted = Self::default();
        for model in models {
            match model.name.strip_suffix('*') {
                Some(prefix) => sorted.patterns.push((prefix.to_owned(), model)),
                None => drop(sorted.exact.insert(model.name.clone(), model)),
            }
        }
        sorted.patterns.sort_by(|(a, _), (b, _)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        sorted
    }

    /// See [`Config::model`](crate::Config::model).
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Model> {
        let by_pattern = || self.patterns.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, model)| model);
        self.exact.get(name).or_else(by_pattern)
    }

    /// All models, exact names in alphabetical order first, then patterns with the longest prefix first.
    pub fn iter(&self) -> impl Iterator<Item = &Model> {
        self.exact.values().chain(self.patterns.iter().map(|(_, model)| model))
    }
}

/// One name, or one pattern of names, that clients may ask for.
#[derive(Debug, Clone)]
pub struct Model {
    /// The name, or for a pattern the prefix with its `*`.
    pub name: String,
    /// Where it is served, at least one of them without `larger_context`; each pair of provider and model once.
    pub routes: Vec<Route>,
    /// How the first route is chosen.
    pub balance: Balance,
    /// What happens when no route answered, in this order; nothing follows [`Degrade::Static`] or [`Degrade::Notify`].
    pub degrade: Vec<Degrade>,
    /// Tokens that a request and its answer may have together; `None` leaves it to the price table.
    pub context_window: Option<NonZeroU32>,
    /// When a route that answers too slowly is replaced before the client saw anything of it.
    pub slow: Option<SlowGuard>,
    /// How long ordinary requests may take.
    pub timing: Timing,
    /// How long requests that ask for thinking may take.
    pub thinking_timing: Timing,
    /// How its answers are handed over where the request does not say.
    pub delivery: DeliveryMode,
    /// Its answers are made in the background where the request does not say otherwise.
    pub background: bool,
    /// What becomes of the provider's request when the client goes away.
    pub on_disconnect: OnDisconnect,
    /// What becomes of a provider's event that cannot be read.
    pub on_malformed: OnMalformed,
    /// Whether a whole answer may get its status 200 early and be kept alive by leading whitespace.
    pub early_200: bool,
}

impl Model {
    /// Whether it is a `prefix*` pattern.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.name.ends_with('*')
    }

    /// The name that tells the class of the model that answers: the provider's, where the first route fixes it.
    pub(crate) fn class_name<'a>(&'a self, requested: &'a str) -> &'a str {
        self.fixed_class_name().unwrap_or(requested)
    }

    /// [`Model::class_name`], where it is the same for every request.
    pub(crate) fn fixed_class_name(&self) -> Option<&str> {
        let fixed = self.routes.first().and_then(|route| route.model.as_deref());
        fixed.or_else(|| (!self.is_pattern()).then_some(self.name.as_str()))
    }
}

/// One target of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Name of a configured provider.
    pub provider: String,
    /// The provider's name of the model; `None` passes on the name that was asked for.
    pub model: Option<String>,
    /// Its share where the first route is drawn; 0 is never drawn and only falls back. `None` beside routes that have one counts as 1.
    pub weight: Option<u32>,
    /// Asked only when the context is too long for another route.
    pub larger_context: bool,
}

impl Route {
    /// The model name for the provider when the client asked for `requested`.
    #[must_use]
    pub fn upstream_model<'a>(&'a self, requested: &'a str) -> &'a str {
        self.model.as_deref().unwrap_or(requested)
    }
}

/// One step of a model's degradation chain (R18).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Degrade {
    /// Another model of this configuration answers.
    Model {
        /// Its name, as a client would ask for it.
        model: String,
        /// Most output tokens that it may give; `None` leaves the client's own number.
        max_tokens: Option<NonZeroU32>,
    },
    /// The stored answer to the same request, where there is one.
    Cached {
        /// Age up to which a stored answer is given.
        ttl: Duration,
    },
    /// This text, marked as such. It always answers.
    Static {
        /// The whole answer.
        text: String,
    },
    /// The client gets an acknowledgement with a job's id at once, and the answer is made in the background.
    Notify,
}

/// When an answer is too slow to be worth waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlowGuard {
    /// The slowest rate that is good enough, over `window`.
    pub chars_per_second: NonZeroU32,
    /// Time from the first output over which the rate is measured; shorter than `first_byte` and `total` of the model.
    pub window: Duration,
}

impl SlowGuard {
    /// The same in the core's terms. A character of English is one byte; other scripts have more, and so are replaced later.
    pub(crate) fn rate_guard(self) -> RateGuard {
        RateGuard { bytes_per_second: self.chars_per_second.get(), window: self.window }
    }
}

/// How long requests of one model may take: a profile, and single members set over it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Timing {
    /// Name of the profile; `None` chooses by the model's name.
    pub profile: Option<String>,
    /// Set over the profile's `connect`.
    pub connect: Option<Duration>,
    /// Set over the profile's `first_byte`.
    pub first_byte: Option<Duration>,
    /// Set over the profile's `idle`.
    pub idle: Option<Duration>,
    /// Set over the profile's `total`.
    pub total: Option<Duration>,
}

impl Timing {
    /// Every member as in `profile`.
    pub(crate) fn all_of(profile: TimeoutProfile) -> Self {
        let TimeoutProfile { connect, first_byte, idle, total } = profile;
        Self { profile: None, connect: Some(connect), first_byte: Some(first_byte), idle: Some(idle), total: Some(total) }
    }

    /// The profile in force for a model that is called `class_name` where it is served.
    #[must_use]
    pub fn resolve(&self, profiles: &Profiles, class_name: &str) -> TimeoutProfile {
        let base = match &self.profile {
            Some(name) => profiles.get(name).unwrap_or(TimeoutProfile::STANDARD),
            None => profiles.for_model(class_name).1,
        };
        self.over(base)
    }

    /// Whether the profile is all there is.
    pub(crate) fn sets_nothing(&self) -> bool {
        [self.connect, self.first_byte, self.idle, self.total].iter().all(Option::is_none)
    }

    /// `base` with the single members set over it.
    pub(crate) fn over(&self, base: TimeoutProfile) -> TimeoutProfile {
        TimeoutProfile {
            connect: self.connect.unwrap_or(base.connect),
            first_byte: self.first_byte.unwrap_or(base.first_byte),
            idle: self.idle.unwrap_or(base.idle),
            total: self.total.unwrap_or(base.total),
        }
    }
}

/// What becomes of the provider's request when the client goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDisconnect {
    /// It ends at once.
    Cancel,
    /// It is read on, unseen, within both caps: for providers that bill anyway and models whose usage must be known.
    Drain {
        /// Output events read after the client left.
        max_tokens: NonZeroU32,
        /// Time read on after the client left.
        max_time: Duration,
    },
}

/// What becomes of a provider's event that cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnMalformed {
    /// The attempt ends as `upstream_malformed`.
    Fail,
    /// The event is dropped, counted and recorded.
    Skip,
}
