//! A script, one beat after the other.

use std::time::Duration;

use super::{Ending, Script, Step};

/// One thing to do now. Nothing in it is left to unroll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beat<'s> {
    /// Wait this long; never zero.
    Wait(Duration),
    /// Show the word with this number: [`crate::words::word`].
    Word(usize),
    /// Do this; never `Wait`, `Words` or `Repeat`.
    Do(&'s Step),
    /// End like this; never `Fixture`, and always the last beat.
    End(&'s Ending),
}

/// Iterator over the beats of a script, made by [`Script::walk`]. It holds no more than a frame for each nested repetition.
#[derive(Debug, Clone)]
pub struct Walk<'s> {
    frames: Vec<Frame<'s>>,
    ending: Option<&'s Ending>,
    words: Words,
}

/// A list of steps that is being done.
#[derive(Debug, Clone)]
struct Frame<'s> {
    steps: &'s [Step],
    next: usize,
    /// How often it starts again after this time.
    again: u32,
}

/// The `words` step that is being done.
#[derive(Debug, Clone, Default)]
struct Words {
    said: usize,
    left: u32,
    gap: Duration,
    gap_is_due: bool,
}

impl<'s> Walk<'s> {
    pub(super) fn new(script: &'s Script) -> Self {
        let mut walk = Self { frames: Vec::new(), ending: None, words: Words::default() };
        walk.enter(script);
        walk
    }

    fn enter(&mut self, script: &'s Script) {
        self.frames.push(Frame { steps: &script.steps, next: 0, again: 0 });
        self.ending = Some(&script.ending);
    }

    /// The next step of the innermost list that has one left.
    fn next_step(&mut self) -> Option<&'s Step> {
        loop {
            let frame = self.frames.last_mut()?;
            if let Some(step) = frame.steps.get(frame.next) {
                frame.next += 1;
                return Some(step);
            }
            if frame.again > 0 {
                frame.again -= 1;
                frame.next = 0;
            } else {
                self.frames.pop();
            }
        }
    }
}

impl<'s> Iterator for Walk<'s> {
    type Item = Beat<'s>;

    fn next(&mut self) -> Option<Beat<'s>> {
        loop {
            if let Some(beat) = self.words.next() {
                return Some(beat);
            }
            match self.next_step() {
                Some(Step::Wait(time)) if time.is_zero() => {}
                Some(Step::Wait(time)) => return Some(Beat::Wait(*time)),
                Some(Step::Words { count, gap }) => self.words = Words { left: *count, gap: *gap, gap_is_due: false, ..self.words },
                Some(Step::Repeat { times, steps }) => self.frames.push(Frame { steps, next: 0, again: times.get() - 1 }),
                Some(step) => return Some(Beat::Do(step)),
                None => match self.ending.take()? {
                    Ending::Fixture(fixture) => self.enter(fixture.script()),
                    ending => return Some(Beat::End(ending)),
                },
            }
        }
    }
}

impl Words {
    fn next(&mut self) -> Option<Beat<'static>> {
        if self.left == 0 {
            return None;
        }
        if std::mem::replace(&mut self.gap_is_due, false) {
            return Some(Beat::Wait(self.gap));
        }
        let word = self.said;
        self.said += 1;
        self.left -= 1;
        self.gap_is_due = !self.gap.is_zero();
        Some(Beat::Word(word))
    }
}
