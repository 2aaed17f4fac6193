//! All faults of a configuration, drawn the way rustc draws them.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::mask;
use crate::path::KeyPath;
use crate::tree::{Node, Origin, Value};

/// More are counted, not drawn: the first ones explain the rest.
const MOST_DRAWN: usize = 40;
/// The longest value that a message repeats, in characters.
const LONGEST_SHOWN: usize = 60;

/// All faults of a configuration. `Display` draws them as plain text over several lines; no secret is in it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{}", self.render(false))]
pub struct ConfigErrors {
    faults: Vec<Fault>,
    file: Option<SourceFile>,
}

impl ConfigErrors {
    /// The number of faults, at least one.
    #[must_use]
    pub fn count(&self) -> usize {
        self.faults.len()
    }

    /// The drawing of every fault; `colour` adds ANSI colours for a terminal.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let mut drawn: Vec<String> = self.faults.iter().take(MOST_DRAWN).map(|fault| renderer.render(&[self.group(fault)])).collect();
        match self.faults.len() - drawn.len() {
            0 => {}
            more => drawn.push(format!("error: and {more} more")),
        }
        drawn.join("\n\n")
    }

    fn group<'a>(&'a self, fault: &'a Fault) -> Group<'a> {
        let title = Level::ERROR.primary_title(fault.to_string());
        match (&fault.at, &self.file) {
            (Origin::File(span), Some(file)) => {
                let snippet = Snippet::source(&file.masked).path(&file.name);
                let snippet = snippet.annotation(AnnotationKind::Primary.span(file.within(span)).label(&fault.remedy));
                let context = fault.context.iter().filter_map(|(at, label)| match at {
                    Origin::File(span) => Some(AnnotationKind::Context.span(file.within(span)).label(label)),
                    _ => None,
                });
                title.element(snippet.annotations(context))
            }
            (Origin::Environment(name), _) => title
                .element(Level::NOTE.message(format!("set by the environment variable {name}")))
                .element(Level::HELP.message(fault.remedy.as_ref())),
            (Origin::Flag(name), _) => {
                title.element(Level::NOTE.message(format!("set by {name}"))).element(Level::HELP.message(fault.remedy.as_ref()))
            }
            (Origin::BuiltIn | Origin::File(_), _) => title.element(Level::HELP.message(fault.remedy.as_ref())),
        }
    }
}

/// The file as it may be shown.
#[derive(Debug, Clone)]
struct SourceFile {
    name: String,
    masked: String,
}

impl SourceFile {
    /// `span` without its further lines, inside the text and on character boundaries.
    fn within(&self, span: &Range<usize>) -> Range<usize> {
        let start = floor(&self.masked, span.start);
        let end = floor(&self.masked, span.end.max(start));
        let line = self.masked[start..end].find('\n').map_or(end, |at| start + at);
        start..line
    }
}

/// The last character boundary of `text` up to `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// One thing that is wrong; `Display` is its one-line form.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    path: KeyPath,
    at: Origin,
    problem: Cow<'static, str>,
    remedy: Cow<'static, str>,
    /// A second place that the problem is about.
    context: Option<(Origin, String)>,
    /// The name at the end of the path is wrong; what stands beneath it can be judged all the same.
    of_name: bool,
}

impl Fault {
    /// At `path`, written at `at`; `problem` stands after the path.
    pub(crate) fn new(path: KeyPath, at: Origin, problem: impl Into<Cow<'static, str>>) -> Self {
        Self { path, at, problem: problem.into(), remedy: Cow::Borrowed(""), context: None, of_name: false }
    }

    /// The TOML itself is wrong.
    pub(crate) fn syntax(at: Origin, message: &str) -> Self {
        Self::new(KeyPath::default(), at, format!("this is not TOML: {message}"))
    }

    /// What to write instead.
    pub(crate) fn remedy(self, remedy: impl Into<Cow<'static, str>>) -> Self {
        Self { remedy: remedy.into(), ..self }
    }

    /// Only the name is wrong.
    pub(crate) fn of_name(self) -> Self {
        Self { of_name: true, ..self }
    }

    /// Also points at `at`.
    pub(crate) fn context(self, at: Origin, label: impl Into<String>) -> Self {
        Self { context: Some((at, label.into())), ..self }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.names().next() {
            // "server.x is missing", but "server.x: the list is empty".
            Some(_) if self.problem.starts_with("is ") => write!(f, "{} {}", self.path, self.problem),
            Some(_) => write!(f, "{}: {}", self.path, self.problem),
            None => f.write_str(&self.problem),
        }
    }
}

/// Gathers faults, and what must not be shown, while a configuration is read.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    source: String,
    list: Vec<Fault>,
    hidden: Vec<Origin>,
}

impl Faults {
    /// For a configuration whose file holds `source`.
    pub(crate) fn of(source: &str) -> Self {
        Self { source: source.to_owned(), ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn add(&mut self, fault: Fault) {
        self.list.push(fault);
    }

    /// Adds a fault that follows from the settings at `about`, unless one of them, or what is above or beneath it, is faulty itself: then it is only a consequence.
    pub(crate) fn add_about(&mut self, fault: Fault, about: &[&KeyPath]) {
        if !about.iter().any(|path| self.touches(path)) {
            self.list.push(fault);
        }
    }

    /// How `node` was written, for a message; never called for a secret.
    pub(crate) fn written(&self, node: &Node) -> String {
        let text: Cow<'_, str> = match (&node.at, &node.value) {
            (Origin::File(span), _) => self.source.get(span.clone()).unwrap_or_default().into(),
            (_, Value::Text(text)) => format!("{text:?}").into(),
            _ => node.what().into(),
        };
        match text.char_indices().nth(LONGEST_SHOWN) {
            _ if text.contains('\n') => node.what().to_owned(),
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text.into_owned(),
        }
    }

    /// Keeps everything in `node` out of messages and out of the drawing.
    pub(crate) fn hide(&mut self, node: &Node) {
        match &node.value {
            Value::List(list) => list.iter().for_each(|item| self.hide(item)),
            Value::Table(table) => table.values().for_each(|entry| self.hide(&entry.node)),
            _ => self.hidden.push(node.at.clone()),
        }
    }

    /// Whether `node` may not be repeated in a message. A reference to the environment is shown in the drawing, its value nowhere.
    pub(crate) fn hides(&self, node: &Node) -> bool {
        match &node.value {
            Value::List(list) => list.iter().any(|item| self.hides(item)),
            Value::Table(table) => table.values().any(|entry| self.hides(&entry.node)),
            _ => self.hidden.contains(&node.at),
        }
    }

    /// Whether the setting at `path`, or one above or beneath it, is faulty.
    pub(crate) fn touches(&self, path: &KeyPath) -> bool {
        self.list.iter().any(|fault| !fault.of_name && fault.path.touches(path))
    }

    /// Whether a setting exactly at or above `path` is faulty, and so left the tree.
    pub(crate) fn dropped(&self, path: &KeyPath) -> bool {
        self.list.iter().any(|fault| !fault.of_name && fault.path.is_at_or_above(path))
    }

    /// All that was found, to be drawn over the file called `name`.
    pub(crate) fn into_errors(mut self, name: Option<&str>) -> ConfigErrors {
        self.list.sort_by_key(|fault| match &fault.at {
            Origin::File(span) => span.start,
            _ => usize::MAX,
        });
        let broken = self.list.iter().any(|fault| fault.path.names().next().is_none() && matches!(fault.at, Origin::File(_)));
        let spans = self.hidden.iter().filter_map(|at| match at {
            Origin::File(span) if !mask::is_reference(self.source.get(span.clone()).unwrap_or_default()) => Some(span.clone()),
            _ => None,
        });
        let masked = if broken {
            mask::suspicious_lines(&self.source)
        } else {
            mask::spans(&self.source, spans.chain(mask::comments(&self.source)))
        };
        ConfigErrors { faults: self.list, file: name.map(|name| SourceFile { name: name.to_owned(), masked }) }
    }
}

#[cfg(test)]
mod tests;
