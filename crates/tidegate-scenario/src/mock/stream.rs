//! Plays a script as an event stream.

use super::dialect::{Event, EventMoment, Voice};
use super::http::{self, Framing};
use super::monotonic_nanos;
use super::peer::PeerLeft;
use super::stage::{After, Stage};
use crate::script::{Beat, Ending, LineEnd, Script, Step, Write};
use crate::words::word;

/// Most bytes in one write.
const MAX_WRITE: usize = 64 * 1024;

/// Plays `script` to its end.
pub(crate) async fn play(stage: Stage<'_>, voice: &dyn Voice, script: &Script) -> Result<After, PeerLeft> {
    let mut player = Player::new(stage, voice);
    for beat in script.walk() {
        match beat {
            Beat::Wait(time) => {
                player.flush().await?;
                player.stage.wait(time).await?;
            }
            Beat::Word(n) => player.output(Event::Text(word(n))).await?,
            Beat::Do(step) => player.step(step).await?,
            Beat::End(ending) => return player.end(ending).await,
        }
    }
    Ok(After::Close)
}

struct Player<'p> {
    stage: Stage<'p>,
    voice: &'p dyn Voice,
    head_sent: bool,
    /// The role-only event goes before the first output.
    role_due: bool,
    write: Write,
    lines: LineEnd,
    stamps: bool,
    tokens: u64,
    /// One event, before it is framed.
    event: Vec<u8>,
    /// Framed and not yet sent, with what it holds.
    out: Vec<u8>,
    gathered: u32,
    events: u64,
    outputs: u64,
}

impl<'p> Player<'p> {
    fn new(stage: Stage<'p>, voice: &'p dyn Voice) -> Self {
        Self {
            stage,
            voice,
            head_sent: false,
            role_due: true,
            write: Write::Events(std::num::NonZeroU32::MIN),
            lines: LineEnd::Lf,
            stamps: false,
            tokens: 0,
            event: Vec::new(),
            out: Vec::new(),
            gathered: 0,
            events: 0,
            outputs: 0,
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), PeerLeft> {
        match step {
            Step::Text(text) => self.output(Event::Text(text)).await,
            Step::Reasoning(text) => self.output(Event::Reasoning(text)).await,
            Step::Refusal(text) => self.output(Event::Refusal(text)).await,
            Step::Role => self.role().await,
            Step::NoRole => {
                self.role_due = false;
                Ok(())
            }
            Step::Head => {
                self.head();
                self.flush().await
            }
            Step::Chunk(members) => self.say(Event::Members(members)).await,
            Step::Data(data) => {
                self.bare(|out| data.split('\n').for_each(|line| http::push_fmt(out, format_args!("data: {line}\n"))), 1).await
            }
            Step::Comment => self.bare(|out| out.extend_from_slice(b": ka\n"), 0).await,
            Step::Blank => self.bare(|_| {}, 0).await,
            Step::Raw(bytes) => {
                self.event.clear();
                self.event.extend_from_slice(bytes);
                self.gather(0, 0).await
            }
            Step::Malformed => {
                self.render_half();
                self.event.extend_from_slice(b"\n\n");
                self.gather(1, 0).await
            }
            Step::Error { form, text } => self.say(Event::Error(*form, text)).await,
            Step::Finish(reason) => self.say(Event::Finish(reason)).await,
            Step::Usage => self.say(Event::Usage).await,
            Step::Done => self.say(Event::Done).await,
            Step::Write(write) => {
                self.flush().await?;
                self.write = *write;
                Ok(())
            }
            Step::Lines(lines) => {
                self.lines = *lines;
                Ok(())
            }
            Step::Stamp => {
                self.stamps = true;
                Ok(())
            }
            // The walk has unrolled them.
            Step::Wait(_) | Step::Words { .. } | Step::Repeat { .. } => Ok(()),
        }
    }

    async fn end(mut self, ending: &Ending) -> Result<After, PeerLeft> {
        if !self.head_sent
            && let Some(instead) = self.stage.answer_instead(ending).await
        {
            return instead;
        }
        match ending {
            Ending::End => {
                self.say(Event::Finish("stop")).await?;
                if self.voice.wants_usage() {
                    self.say(Event::Usage).await?;
                }
                self.render(&Event::Done, 0);
                self.enclose(1, 0);
                self.end_of_body().await
            }
            Ending::Eof => self.end_of_body().await,
            Ending::Half => {
                self.render_half();
                self.enclose(0, 0);
                self.end_of_body().await
            }
            Ending::Stall => {
                self.flush().await?;
                Err(self.stage.stall().await)
            }
            // An HTTP answer of its own after the head cannot be sent any more: the transport breaks.
            Ending::Cut | Ending::Refuse | Ending::Status(_) | Ending::Answer { .. } | Ending::Fixture(_) => {
                self.flush().await?;
                Ok(After::Reset)
            }
        }
    }

    /// Says something that a reader sees, the role before it.
    async fn output(&mut self, event: Event<'_>) -> Result<(), PeerLeft> {
        if self.role_due {
            self.role().await?;
        }
        self.tokens += 1;
        self.say(event).await
    }

    async fn role(&mut self) -> Result<(), PeerLeft> {
        self.role_due = false;
        self.say(Event::Role).await
    }

    /// Says `event`, in every answer that the client asked for.
    async fn say(&mut self, event: Event<'_>) -> Result<(), PeerLeft> {
        let outputs = u64::from(event.is_output());
        let choices = if event.is_per_choice() { self.voice.choices() } else { 1 };
        for choice in 0..choices {
            self.render(&event, choice);
            self.gather(1, outputs).await?;
        }
        Ok(())
    }

    /// Gathers lines that no dialect has a word for; the blank line after them is added.
    async fn bare(&mut self, lines: impl FnOnce(&mut Vec<u8>), events: u64) -> Result<(), PeerLeft> {
        self.event.clear();
        lines(&mut self.event);
        self.event.push(b'\n');
        self.end_lines();
        self.gather(events, 0).await
    }

    /// Renders `event` for one of the answers.
    fn render(&mut self, event: &Event<'_>, choice: u32) {
        let stamp = self.stamps.then(monotonic_nanos);
        self.event.clear();
        self.voice.event(event, &EventMoment { choice, tokens: self.tokens, stamp }, &mut self.event);
        self.end_lines();
    }

    /// Renders the first half of an event, which ends in the middle of its JSON.
    fn render_half(&mut self) {
        self.render(&Event::Text("half"), 0);
        self.event.truncate(self.event.len() / 2);
    }

    /// JSON has no bare line ends, so each one in a rendered event ends a line of the stream.
    fn end_lines(&mut self) {
        let end: &[u8] = match self.lines {
            LineEnd::Lf => return,
            LineEnd::CrLf => b"\r\n",
            LineEnd::Cr => b"\r",
        };
        self.event = self.event.split(|byte| *byte == b'\n').collect::<Vec<_>>().join(end);
    }

    /// Takes the rendered event, and sends what is gathered when that makes a write.
    async fn gather(&mut self, events: u64, outputs: u64) -> Result<(), PeerLeft> {
        self.enclose(events, outputs);
        let due = match self.write {
            Write::Events(count) => self.gathered >= count.get(),
            Write::Everything => false,
            Write::Bytes(_) => true,
        };
        if due || self.out.len() >= MAX_WRITE { self.flush().await } else { Ok(()) }
    }

    /// Frames the rendered event, after the head if that was not sent.
    fn enclose(&mut self, events: u64, outputs: u64) {
        self.head();
        if self.event.is_empty() {
            return; // An empty chunk would end the body.
        }
        http::write_piece(&mut self.out, self.stage.framing(), &self.event);
        self.gathered += 1;
        self.events += events;
        self.outputs += outputs;
    }

    fn head(&mut self) {
        if !std::mem::replace(&mut self.head_sent, true) {
            self.stage.open_head(&mut self.out, "text/event-stream; charset=utf-8");
        }
    }

    async fn flush(&mut self) -> Result<(), PeerLeft> {
        if self.out.is_empty() {
            return Ok(());
        }
        match self.write {
            Write::Bytes(size) => self.stage.send_in_pieces(&self.out, size, self.events, self.outputs).await?,
            Write::Events(_) | Write::Everything => self.stage.send(&self.out, self.events, self.outputs).await?,
        }
        self.out.clear();
        (self.gathered, self.events, self.outputs) = (0, 0, 0);
        Ok(())
    }

    async fn end_of_body(mut self) -> Result<After, PeerLeft> {
        self.head();
        http::write_end(&mut self.out, self.stage.framing());
        self.flush().await?;
        Ok(match self.stage.framing() {
            Framing::Chunked => self.stage.after(),
            Framing::UntilClose => After::Close,
        })
    }
}
