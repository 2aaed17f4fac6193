mod lifecycle;
mod properties;
mod queue;
mod resume;

use super::*;
use crate::id::StreamId;

/// A session and the time around it. Tasks are called `t1`, `t2`, … in the order in which prompts were sent.
struct Play {
    session: Session,
    places: Places,
    millis: u64,
    prompts: u128,
}

impl Play {
    fn new(client: Client) -> Self {
        Self::with(client, Settings::STANDARD)
    }

    fn with(client: Client, settings: Settings) -> Self {
        Self::among(client, settings, Places::new(100))
    }

    fn among(client: Client, settings: Settings, places: Places) -> Self {
        let session = Session::new(SessionId::new(0, 1), client, Arc::new(settings), places.clone(), at(0));
        Self { session, places, millis: 0, prompts: 0 }
    }

    /// With a queue of two and this policy.
    fn short(policy: QueuePolicy) -> Self {
        Self::with(Client::Plain, Settings { max_queue_size: 2, policy, ..Settings::STANDARD })
    }

    fn after(&mut self, millis: u64) -> &mut Self {
        self.millis += millis;
        self
    }

    fn handle(&mut self, input: Input) -> Vec<Action> {
        let mut out = Vec::new();
        self.session.handle(input, at(self.millis), &mut out);
        out
    }

    fn on(&mut self, input: Input) -> Vec<String> {
        self.handle(input).iter().map(told).collect()
    }

    fn says(&mut self, message: ClientMessage) -> Vec<String> {
        self.on(Input::Message { message, fresh: task(self.prompts) })
    }

    fn asks(&mut self, content: &str) -> Vec<String> {
        self.asks_as(content, None)
    }

    fn asks_as(&mut self, content: &str, id: Option<&str>) -> Vec<String> {
        self.prompts += 1;
        self.says(ClientMessage::Prompt(prompt(content, id)))
    }

    fn cancels(&mut self, number: u128) -> Vec<String> {
        self.says(ClientMessage::Cancel(Some(task(number))))
    }

    fn token(&mut self, number: u128, data: &str) -> Vec<String> {
        self.on(Input::Token { task: task(number), data: data.into() })
    }

    fn completes(&mut self, number: u128) -> Vec<String> {
        self.completes_with(number, None)
    }

    fn completes_with(&mut self, number: u128, turn: Option<Turn>) -> Vec<String> {
        self.on(Input::Ended { task: task(number), end: TaskEnd::Completed { usage: None, stream: StreamId::new(0, 9), turn } })
    }

    fn fails(&mut self, number: u128, failure: Failure) -> Vec<String> {
        self.on(Input::Ended { task: task(number), end: failed(failure) })
    }

    fn resumes(&mut self, last_seq: u64) -> Vec<String> {
        self.on(Input::Resumed { last_seq, client: Client::Resumable })
    }

    /// Lets time pass until nothing more comes due within `millis`, and says what happened when.
    fn waits(&mut self, millis: u64) -> Vec<String> {
        let end = self.millis + millis;
        let mut seen = Vec::new();
        while self.session.wake_at() <= at(end) {
            self.millis = self.session.wake_at().millis_since(Moment::ORIGIN);
            let actions = self.on(Input::Tick);
            assert!(!actions.is_empty(), "it woke for nothing at {}", self.millis);
            seen.extend(actions.into_iter().map(|action| format!("{}: {action}", self.millis)));
        }
        self.millis = end;
        seen
    }
}

fn at(millis: u64) -> Moment {
    Moment::after_origin(Duration::from_millis(millis))
}

fn task(number: u128) -> TaskId {
    TaskId::new(0, number)
}

fn prompt(content: &str, id: Option<&str>) -> Prompt {
    Prompt { content: content.into(), id: id.map(Arc::from), model: None, system: None, max_tokens: None }
}

fn failed(failure: Failure) -> TaskEnd {
    TaskEnd::Failed { failure, message: None, partial: false, retry_after: None, stream: None }
}

/// An action in a few words.
fn told(action: &Action) -> String {
    match action {
        Action::Send(Message::Session { resumed: true, .. }) => "SESSION resumed".to_owned(),
        Action::Send(Message::Session { .. }) => "SESSION new".to_owned(),
        Action::Send(Message::Pong) => "PONG".to_owned(),
        Action::Send(Message::Refused(problem)) => format!("ERROR {} of no session", problem.code.name()),
        Action::Send(Message::Numbered { seq, body }) => format!("{seq} {}", body_told(body)),
        Action::Start(task) => format!("start {} '{}'", name(task.id), task.prompt.content),
        Action::Cancel { task, why } => format!("stop {}: {why}", name(*task)),
        Action::Resume { session, last_seq } => format!("look for {:?} after {last_seq}", session.map(SessionId::number)),
        Action::Ping => "ping".to_owned(),
        Action::Disconnect => "disconnect".to_owned(),
        Action::End(reason) => format!("end {reason:?}"),
    }
}

fn body_told(body: &Body) -> String {
    match body {
        Body::Ack(ack) => format!("ACK {} depth {}", name(ack.task), ack.queue_depth),
        Body::RateLimited { queue_depth, retry_after, .. } => {
            format!("RATE_LIMITED depth {queue_depth}, in {} ms", retry_after.as_millis())
        }
        Body::Dropped { task, reason } => format!("DROPPED {} {}", name(*task), reason.name()),
        Body::Notice(notice) => match (notice.position, notice.eta) {
            (Some(position), Some(eta)) => format!("NOTICE {} place {position}, in {} ms", name(notice.task), eta.as_millis()),
            (Some(position), None) => format!("NOTICE {} place {position}", name(notice.task)),
            (None, _) => format!("NOTICE {} {}", name(notice.task), notice.message),
        },
        Body::Token { task, data } => format!("TOKEN {} '{data}'", name(*task)),
        Body::Complete(complete) => format!("COMPLETE {}", name(complete.task)),
        Body::Error(problem) => match problem.task {
            Some(task) => format!("ERROR {} {}", name(task), problem.code.name()),
            None => format!("ERROR {}", problem.code.name()),
        },
    }
}

fn name(task: TaskId) -> String {
    format!("t{}", task.number())
}
