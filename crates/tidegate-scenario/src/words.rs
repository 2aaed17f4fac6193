//! The words that the mock speaks when nobody tells it what to say.

const WORDS: [&str; 40] = [
    "The",
    " tide",
    " comes",
    " in",
    " twice",
    " a",
    " day,",
    " and",
    " nobody",
    " has",
    " to",
    " ask",
    " for",
    " it.",
    " It",
    " fills",
    " the",
    " harbour",
    " word",
    " by",
    " word,",
    " lifts",
    " the",
    " boats",
    " off",
    " the",
    " mud,",
    " and",
    " when",
    " it",
    " leaves",
    " again",
    " it",
    " leaves",
    " them",
    " where",
    " everyone",
    " can",
    " find",
    " them.",
];

/// The word number `n`, counted from zero, with the space before it. After the last one the text starts again.
#[must_use]
pub fn word(n: usize) -> &'static str {
    match n % WORDS.len() {
        0 if n > 0 => " The",
        at => WORDS[at],
    }
}
