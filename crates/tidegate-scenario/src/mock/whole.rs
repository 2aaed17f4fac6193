//! Plays a script as one JSON answer: the same waits and faults, where a body without events can have them.

use super::dialect::{Said, Voice, error_body};
use super::http::{self, Framing};
use super::peer::PeerLeft;
use super::stage::{After, Stage};
use crate::script::{Beat, Ending, Script, Status, Step, Write};
use crate::words::word;

const JSON: &str = "application/json";

/// Plays `script` to its end.
pub(crate) async fn play(stage: Stage<'_>, voice: &dyn Voice, script: &Script) -> Result<After, PeerLeft> {
    let mut player = Player { stage, voice, said: Said::default(), fault: None, begun: false, head_sent: false, write: None };
    for beat in script.walk() {
        match beat {
            Beat::Wait(time) => player.stage.wait(time).await?,
            Beat::Word(n) => {
                player.begun = true;
                player.said.tokens += 1;
                player.said.text.push_str(word(n));
            }
            Beat::Do(step) => player.step(step).await?,
            Beat::End(ending) => return player.end(ending).await,
        }
    }
    Ok(After::Close)
}

struct Player<'p> {
    stage: Stage<'p>,
    voice: &'p dyn Voice,
    said: Said<'p>,
    fault: Option<Fault<'p>>,
    /// A stream would have sent something by now, so that a fault breaks an answer instead of preventing it.
    begun: bool,
    /// The head went out early, so the body's length is not announced.
    head_sent: bool,
    write: Option<Write>,
}

/// What replaces the answer.
enum Fault<'p> {
    Malformed,
    Error(&'p str),
}

impl<'p> Player<'p> {
    async fn step(&mut self, step: &'p Step) -> Result<(), PeerLeft> {
        self.begun |= step.sends();
        match step {
            Step::Text(text) => self.said.say(|said| &mut said.text, text),
            Step::Reasoning(text) => self.said.say(|said| &mut said.reasoning, text),
            Step::Refusal(text) => self.said.say(|said| &mut said.refusal, text),
            Step::Chunk(members) => self.said.members.push(members),
            Step::Finish(reason) => (self.said.finish, self.said.proved) = (Some(reason.as_str()), true),
            Step::Done => self.said.proved = true,
            Step::Malformed => self.fault = Some(Fault::Malformed),
            Step::Error { text, .. } => self.fault = Some(Fault::Error(text)),
            Step::Write(write) => self.write = Some(*write),
            Step::Head => return self.early(b"").await,
            Step::Blank => return self.early(b"\n").await,
            Step::Raw(bytes) => return self.early(bytes).await,
            // A whole answer has its role and usage always, and neither comments nor lines nor events of its own.
            Step::Role | Step::NoRole | Step::Usage | Step::Comment | Step::Data(_) | Step::Lines(_) | Step::Stamp => {}
            // The walk has unrolled them.
            Step::Wait(_) | Step::Words { .. } | Step::Repeat { .. } => {}
        }
        Ok(())
    }

    async fn end(mut self, ending: &Ending) -> Result<After, PeerLeft> {
        if !self.head_sent
            && let Some(instead) = self.stage.answer_instead(ending).await
        {
            return instead;
        }
        match ending {
            Ending::End => {
                self.said.finish = self.said.finish.or(Some("stop"));
                self.answer().await
            }
            Ending::Eof if self.said.proved || self.fault.is_some() => self.answer().await,
            Ending::Eof => {
                self.break_off().await?;
                Ok(After::Close)
            }
            Ending::Half => {
                let body = self.voice.whole(&self.said);
                self.body(200, &body[..body.len() / 2]).await
            }
            Ending::Stall => {
                if self.said.tokens > 0 {
                    self.break_off().await?;
                }
                Err(self.stage.stall().await)
            }
            Ending::Cut if !self.begun => Ok(After::Reset),
            // An HTTP answer of its own after the head cannot be sent any more: the transport breaks.
            Ending::Cut | Ending::Refuse | Ending::Status(_) | Ending::Answer { .. } | Ending::Fixture(_) => {
                self.break_off().await?;
                Ok(After::Reset)
            }
        }
    }

    /// Sends what was said, or what replaces it.
    async fn answer(mut self) -> Result<After, PeerLeft> {
        match self.fault {
            None => {
                let body = self.voice.whole(&self.said);
                self.body(200, &body).await
            }
            Some(Fault::Malformed) => {
                let mut body = self.voice.whole(&self.said);
                // Wrong wherever a reader stops, not merely too short.
                body.insert(1, b',');
                self.body(200, &body).await
            }
            Some(Fault::Error(text)) => {
                let status =
                    Status { status: 500, code: Some("server_error".to_owned()), message: Some(text.to_owned()), retry_after: None };
                if self.head_sent {
                    return self.body(200, &error_body(&status, None)).await;
                }
                self.stage.error(&status, None).await
            }
        }
    }

    /// Sends a whole, well framed body.
    async fn body(&mut self, status: u16, body: &[u8]) -> Result<After, PeerLeft> {
        let framing = self.stage.framing();
        let mut out = Vec::with_capacity(body.len() + 256);
        if self.head_sent {
            http::write_piece(&mut out, framing, body);
            http::write_end(&mut out, framing);
        } else {
            self.stage.whole_head(&mut out, status, JSON, body.len(), "");
            out.extend_from_slice(body);
        }
        match self.write {
            Some(Write::Bytes(size)) => self.stage.send_in_pieces(&out, size, 0, 0).await?,
            _ => self.stage.send(&out, 0, 0).await?,
        }
        Ok(if self.head_sent && framing == Framing::UntilClose { After::Close } else { self.stage.after() })
    }

    /// Sends half of what was said, in the framing of the whole.
    async fn break_off(&mut self) -> Result<(), PeerLeft> {
        let body = self.voice.whole(&self.said);
        let mut out = Vec::with_capacity(body.len() + 256);
        let half = &body[..body.len() / 2];
        if self.head_sent {
            http::write_piece(&mut out, self.stage.framing(), half);
        } else {
            self.stage.whole_head(&mut out, 200, JSON, body.len(), "");
            out.extend_from_slice(half);
        }
        self.stage.send(&out, 0, 0).await
    }

    /// Sends a part of the body before the answer is ready, the head before it.
    async fn early(&mut self, part: &[u8]) -> Result<(), PeerLeft> {
        let mut out = Vec::new();
        if !std::mem::replace(&mut self.head_sent, true) {
            self.stage.open_head(&mut out, JSON);
        }
        if !part.is_empty() {
            http::write_piece(&mut out, self.stage.framing(), part);
        }
        self.stage.send(&out, 0, 0).await
    }
}

impl Said<'_> {
    fn say(&mut self, part: impl FnOnce(&mut Self) -> &mut String, text: &str) {
        self.tokens += 1;
        part(self).push_str(text);
    }
}
