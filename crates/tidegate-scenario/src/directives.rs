//! Scripts by model name, for anyone with `curl`: `mock`, or `mock:` and directives, for example `mock:words=200,gap=5ms,cut@50`.
//!
//! Each name stands for a [`Script`]; [`LIST`] says which directives there are.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::script::{Ending, ErrorForm, Fixture, Script, Status, Step, Write, parse_time};

/// The model that answers without any fault.
pub const MODEL: &str = "mock";

/// Words of an answer.
const WORDS: u32 = 40;
/// Silence between two words: 50 tokens a second, a common speed.
const GAP: Duration = Duration::from_millis(20);
/// The text of every error event.
const ERROR_TEXT: &str = "the mock was told to fail";

/// Every directive and what it does; shown to who misspells one.
pub const LIST: &[(&str, &str)] = &[
    ("words=40", "so many words, one in each event"),
    ("gap=20ms", "the silence between two words"),
    ("first=3s", "the silence before the first word, or before the HTTP error"),
    ("head=0s", "sends the answer's head after this time, before the first word; otherwise with it"),
    ("burst", "everything in one write"),
    ("burst=5", "five words in one write, then the gap"),
    ("drip", "one byte in a write"),
    ("bytes=7", "seven bytes in a write"),
    ("stamp", "each event carries the time of its writing"),
    ("nodone", "a finishing event, but no end marker"),
    ("nousage", "no usage, even if asked for"),
    ("stall@10", "silence for ever after ten words"),
    ("cut@10", "a connection reset after ten words"),
    ("eof@10", "a clean end of body after ten words, which proves nothing"),
    ("half@10", "half an event after ten words, then a clean end of body"),
    ("error@10", "an error event after ten words; error-flat@10 and error-openrouter@10 are other forms of it"),
    ("malformed@10", "an event that is no JSON after ten words, then the rest"),
    ("comment@10", "a comment after ten words, then the rest"),
    ("status=503", "this HTTP error instead of an answer"),
    ("code=server_is_overloaded", "the code of the HTTP error"),
    ("retry-after=2", "the retry-after of the HTTP error, in seconds or as 1500ms"),
    ("refuse", "closes the connection before any byte of an answer"),
    ("fixture=tools", "a recorded oddity by its name"),
];

/// Why a model name stands for no script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoScript {
    /// The HTTP status to refuse the request with.
    pub status: u16,
    /// The code of the error.
    pub code: &'static str,
    /// What is wrong with the name, and what there is instead.
    pub message: String,
}

/// The script that the model name stands for.
///
/// # Errors
///
/// 404 for a name that does not start with `mock`, 400 for a directive that is unknown, twice there or without a usable value.
pub fn script(model: &str) -> Result<Script, NoScript> {
    if model == MODEL {
        return Ok(Directives::default().into_script());
    }
    let Some(list) = model.strip_prefix(MODEL).and_then(|rest| rest.strip_prefix(':')) else {
        let message = format!("there is no model {model:?}; the mock has `mock`, `mock:` with directives, and the targets of its scenario");
        return Err(NoScript { status: 404, code: "model_not_found", message });
    };
    let mut directives = Directives::default();
    let mut seen = Vec::new();
    for text in list.split(',').map(str::trim) {
        let name = text.split(['=', '@']).next().unwrap_or_default();
        if seen.contains(&name) {
            return Err(wrong(&format!("`{name}` is there twice")));
        }
        seen.push(name);
        directives.take(text).map_err(|why| wrong(&why))?;
    }
    let for_status = directives.code.is_some() || directives.retry_after.is_some();
    if for_status && !matches!(directives.fault, Some(Fault::Status(_))) {
        return Err(wrong("`code` and `retry-after` belong to a `status`"));
    }
    Ok(directives.into_script())
}

/// All directives of a name.
struct Directives {
    words: u32,
    gap: Duration,
    first: Duration,
    head: Option<Duration>,
    write: Option<Write>,
    stamp: bool,
    done: bool,
    usage: bool,
    fault: Option<Fault>,
    code: Option<String>,
    retry_after: Option<Duration>,
}

/// What goes wrong, of which there is at most one.
enum Fault {
    /// The answer ends like this after so many words.
    Ends(u32, Ending),
    /// This happens after so many words, and the rest follows.
    Happens(u32, Step),
    /// An error event after so many words, and nothing more.
    Fails(u32, ErrorForm),
    /// Another HTTP answer, or none.
    Instead(Ending),
    /// An HTTP error, which `code` and `retry-after` complete.
    Status(u16),
}

impl Default for Directives {
    fn default() -> Self {
        Self {
            words: WORDS,
            gap: GAP,
            first: Duration::ZERO,
            head: None,
            write: None,
            stamp: false,
            done: true,
            usage: true,
            fault: None,
            code: None,
            retry_after: None,
        }
    }
}

impl Directives {
    /// Takes one directive.
    fn take(&mut self, text: &str) -> Result<(), String> {
        if let Some((name, value)) = text.split_once('=') {
            return self.take_value(name, value);
        }
        match text {
            "burst" => self.write(Write::Everything),
            "drip" => self.write(Write::Bytes(NonZeroU32::MIN)),
            "stamp" => {
                self.stamp = true;
                Ok(())
            }
            "nodone" => {
                self.done = false;
                Ok(())
            }
            "nousage" => {
                self.usage = false;
                Ok(())
            }
            "refuse" => self.fault(Fault::Instead(Ending::Refuse)),
            _ => {
                let (name, after) = text.split_once('@').map_or((text, Ok(0)), |(name, after)| (name, number(name, after)));
                self.fault(fault_at(name, after?)?)
            }
        }
    }

    fn take_value(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "words" => self.words = number(name, value)?,
            "gap" => self.gap = time(name, value)?,
            "first" => self.first = time(name, value)?,
            "head" => self.head = Some(time(name, value)?),
            "burst" => return self.write(Write::Events(positive(name, value)?)),
            "bytes" => return self.write(Write::Bytes(positive(name, value)?)),
            "code" => self.code = Some(value.to_owned()),
            "retry-after" => self.retry_after = Some(seconds_or_time(name, value)?),
            "status" => {
                let status = value.parse().ok().filter(|status| (300..=599).contains(status));
                return self.fault(Fault::Status(status.ok_or("`status` needs an HTTP status from 300 to 599")?));
            }
            "fixture" => {
                let fixture = Fixture::named(value).ok_or_else(|| format!("there is no fixture `{value}`"))?;
                return self.fault(Fault::Instead(Ending::Fixture(fixture)));
            }
            _ => return Err(format!("there is no directive `{name}=`")),
        }
        Ok(())
    }

    fn write(&mut self, write: Write) -> Result<(), String> {
        let before = self.write.replace(write);
        if before.is_none() { Ok(()) } else { Err("only one of `burst`, `drip` and `bytes` is possible".to_owned()) }
    }

    fn fault(&mut self, fault: Fault) -> Result<(), String> {
        let before = self.fault.replace(fault);
        if before.is_none() { Ok(()) } else { Err("only one fault is possible".to_owned()) }
    }

    fn into_script(mut self) -> Script {
        let mut steps = Vec::new();
        if self.stamp {
            steps.push(Step::Stamp);
        }
        steps.extend(self.write.map(Step::Write));
        let before_head = self.head.unwrap_or(Duration::ZERO);
        if self.head.is_some() {
            push_wait(&mut steps, before_head);
            steps.push(Step::Head);
        }
        push_wait(&mut steps, self.first.saturating_sub(before_head));
        let ending = match self.fault.take() {
            None => self.end_after(self.words, 0, &mut steps),
            Some(Fault::Ends(after, ending)) => {
                self.say(after, false, &mut steps);
                self.pause(after, &mut steps);
                ending
            }
            Some(Fault::Fails(after, form)) => {
                self.say(after, false, &mut steps);
                self.pause(after, &mut steps);
                steps.push(Step::Error { form, text: ERROR_TEXT.to_owned() });
                Ending::Eof
            }
            Some(Fault::Happens(after, step)) => {
                self.say(after, false, &mut steps);
                self.pause(after, &mut steps);
                steps.push(step);
                self.end_after(self.words.saturating_sub(after), after, &mut steps)
            }
            Some(Fault::Instead(ending)) => ending,
            Some(Fault::Status(status)) => Ending::Status(Status { status, code: self.code, message: None, retry_after: self.retry_after }),
        };
        Script { steps, ending }
    }

    /// Says the last `words` words, `before` of them being said, and ends in good order.
    fn end_after(&self, words: u32, before: u32, steps: &mut Vec<Step>) -> Ending {
        self.say(words, before > 0, steps);
        if self.done && self.usage {
            return Ending::End;
        }
        steps.push(Step::Finish("stop".to_owned()));
        if self.done {
            steps.push(Step::Done);
        }
        Ending::Eof
    }

    /// Says `words` words; a gap before the first of them where others were said before.
    fn say(&self, words: u32, gap_first: bool, steps: &mut Vec<Step>) {
        if gap_first && words > 0 {
            push_wait(steps, self.gap);
        }
        match self.write {
            Some(Write::Events(together)) if !self.gap.is_zero() && words > together.get() => {
                let (times, rest) = ((words - 1) / together, (words - 1) % together + 1);
                let group = vec![Step::Words { count: together.get(), gap: Duration::ZERO }, Step::Wait(self.gap)];
                steps.extend(NonZeroU32::new(times).map(|times| Step::Repeat { times, steps: group }));
                steps.push(Step::Words { count: rest, gap: Duration::ZERO });
            }
            Some(Write::Events(_) | Write::Everything) if words > 0 => steps.push(Step::Words { count: words, gap: Duration::ZERO }),
            _ if words > 0 => steps.push(Step::Words { count: words, gap: self.gap }),
            _ => {}
        }
    }

    /// The gap between the last of `words` words and what happens then.
    fn pause(&self, words: u32, steps: &mut Vec<Step>) {
        if words > 0 {
            push_wait(steps, self.gap);
        }
    }
}

fn push_wait(steps: &mut Vec<Step>, time: Duration) {
    if !time.is_zero() {
        steps.push(Step::Wait(time));
    }
}

fn fault_at(name: &str, after: u32) -> Result<Fault, String> {
    Ok(match name {
        "stall" => Fault::Ends(after, Ending::Stall),
        "cut" => Fault::Ends(after, Ending::Cut),
        "eof" => Fault::Ends(after, Ending::Eof),
        "half" => Fault::Ends(after, Ending::Half),
        "error" => Fault::Fails(after, ErrorForm::Nested),
        "error-flat" => Fault::Fails(after, ErrorForm::Flat),
        "error-openrouter" => Fault::Fails(after, ErrorForm::OpenRouter),
        "malformed" => Fault::Happens(after, Step::Malformed),
        "comment" => Fault::Happens(after, Step::Comment),
        _ => return Err(format!("there is no directive `{name}`")),
    })
}

fn number(name: &str, value: &str) -> Result<u32, String> {
    value.parse().map_err(|_| format!("`{name}` needs a number, not `{value}`"))
}

fn positive(name: &str, value: &str) -> Result<NonZeroU32, String> {
    value.parse().map_err(|_| format!("`{name}` needs a number from 1, not `{value}`"))
}

/// A bare number would be read as seconds where milliseconds were meant.
fn time(name: &str, value: &str) -> Result<Duration, String> {
    let bare = value != "0" && value.bytes().all(|byte| byte.is_ascii_digit());
    if bare { Err(no_time(name, value)) } else { seconds_or_time(name, value) }
}

fn seconds_or_time(name: &str, value: &str) -> Result<Duration, String> {
    parse_time(value).ok_or_else(|| no_time(name, value))
}

fn no_time(name: &str, value: &str) -> String {
    format!("`{name}` needs a time such as `20ms` or `3s`, not `{value}`")
}

fn wrong(why: &str) -> NoScript {
    let list: Vec<_> = LIST.iter().map(|(directive, does)| format!("{directive} ({does})")).collect();
    NoScript { status: 400, code: "invalid_value", message: format!("{why}. The directives are: {}", list.join("; ")) }
}

#[cfg(test)]
mod tests;
