use proptest::prelude::*;

use super::*;
use crate::failure::Failure;
use crate::id::StreamId;
use crate::session::history::Counted;
use crate::session::{Body, Message, QueuePolicy, TaskEnd};

fn at(millis: u64) -> Moment {
    Moment::ORIGIN + Duration::from_millis(millis)
}

fn task(number: u128) -> TaskId {
    TaskId::new(0, number)
}

fn failed() -> TaskEnd {
    TaskEnd::Failed { failure: Failure::UpstreamCut, message: None, partial: true, retry_after: None, stream: None }
}

/// Something that happens to a session.
#[derive(Debug, Clone)]
enum Step {
    Prompt { id: Option<u8>, has_room: bool },
    Cancel(u8),
    Reset,
    Invalid,
    Token,
    Ends { whole: bool },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (prop::option::weighted(0.3, 0_u8..6), prop::bool::weighted(0.9)).prop_map(|(id, has_room)| Step::Prompt { id, has_room }),
        1 => any::<u8>().prop_map(Step::Cancel),
        1 => Just(Step::Reset),
        1 => Just(Step::Invalid),
        8 => Just(Step::Token),
        4 => any::<bool>().prop_map(|whole| Step::Ends { whole }),
    ]
}

/// What is in a log: what the client said, or what a worker told.
#[derive(Clone)]
enum Logged {
    Noted(String),
    Told(Input),
}

/// A gateway that owns a session and logs as it goes.
struct Owner {
    session: Session,
    settings: Arc<Settings>,
    log: Vec<Logged>,
    prompts: u128,
}

impl Owner {
    fn new(policy: QueuePolicy) -> Self {
        let settings = Arc::new(Settings { policy, max_queue_size: 2, ..Settings::STANDARD });
        let id = SessionId::new(0, 1);
        let mut session = Session::new(id, Client::Resumable, Arc::clone(&settings), Places::new(100), at(0));
        session.handle(Input::NotResumed, at(0), &mut Vec::new());
        Self { session, settings, log: Vec::new(), prompts: 0 }
    }

    fn say(&mut self, message: ClientMessage, has_room: bool) {
        self.prompts += 1;
        self.session.places = self.session.places.seen_as(has_room);
        self.give(Input::Message { message, fresh: task(self.prompts) });
    }

    fn give(&mut self, input: Input) {
        match self.session.note(&input) {
            Some(noted) => self.log.push(Logged::Noted(serde_json::to_string(&noted).expect("it is data"))),
            None => self.log.push(Logged::Told(input.clone())),
        }
        self.session.handle(input, at(5), &mut Vec::new());
    }

    fn step(&mut self, step: &Step) {
        let running = self.session.running().map(|running| (running.task, running.prompt.clone()));
        match (step, running) {
            (Step::Prompt { id, has_room }, _) => {
                let id = id.map(|id| Arc::from(format!("p-{id}")));
                let content = Arc::from(format!("question {}", self.prompts));
                self.say(ClientMessage::Prompt(Prompt { content, id, model: None, system: None, max_tokens: None }), *has_room);
            }
            (Step::Cancel(number), _) => self.say(ClientMessage::Cancel(Some(task(u128::from(*number)))), true),
            (Step::Reset, _) => self.say(ClientMessage::Reset, true),
            (Step::Invalid, _) => self.give(Input::Invalid("no".into())),
            (Step::Token, Some((task, _))) => self.give(Input::Token { task, data: "tok".into() }),
            (Step::Ends { whole: false }, Some((task, _))) => {
                self.give(Input::Ended { task, end: failed() });
            }
            (Step::Ends { whole: true }, Some((task, prompt))) => {
                let ask = self.session.history().ask(&Counted { text: prompt.content, tokens: 1 }, None);
                let turn = Some(ask.answered(Counted { text: "answer".into(), tokens: 1 }, None));
                self.give(Input::Ended { task, end: TaskEnd::Completed { usage: None, stream: StreamId::new(0, 9), turn } });
            }
            (Step::Token | Step::Ends { .. }, None) => {}
        }
    }

    fn snapshot(&self) -> String {
        serde_json::to_string(&self.session.snapshot(at(5))).expect("it is data")
    }
}

/// Another gateway that goes on from a snapshot, if there is one, and what was logged since.
fn heir(owner: &Owner, snapshot: Option<&str>, log: &[Logged]) -> Session {
    let (settings, places) = (Arc::clone(&owner.settings), Places::new(100));
    let mut session = match snapshot {
        Some(snapshot) => Session::restore(serde_json::from_str(snapshot).expect("it was written"), settings, places, at(5)),
        None => Session::forgotten(owner.session.id(), settings, places, at(5)),
    };
    for logged in log {
        match logged {
            Logged::Noted(noted) => session.replay(serde_json::from_str(noted).expect("it was written"), at(5), &mut Vec::new()),
            Logged::Told(input) => session.handle(input.clone(), at(5), &mut Vec::new()),
        }
    }
    session
}

/// Everything that the client is told by coming back with nothing seen.
fn told(session: &mut Session) -> Vec<(u64, Body)> {
    let mut actions = Vec::new();
    session.handle(Input::Resumed { last_seq: 0, client: Client::Resumable }, at(6), &mut actions);
    let numbered = |action| match action {
        Action::Send(Message::Numbered { seq, body }) => Some((seq, body)),
        _ => None,
    };
    actions.into_iter().filter_map(numbered).collect()
}

proptest! {
    #[test]
    fn an_heir_says_what_the_owner_said_and_goes_on_with_the_same(
        policy in prop::sample::select(vec![QueuePolicy::Reject, QueuePolicy::DropOldest, QueuePolicy::Defer]),
        before in prop::collection::vec(step(), 0..30),
        since in prop::collection::vec(step(), 0..30),
        has_snapshot in any::<bool>(),
    ) {
        let mut owner = Owner::new(policy);
        before.iter().for_each(|step| owner.step(step));
        let snapshot = has_snapshot.then(|| owner.snapshot());
        let from = if has_snapshot { owner.log.len() } else { 0 };
        since.iter().for_each(|step| owner.step(step));
        let mut heir = heir(&owner, snapshot.as_deref(), &owner.log[from..]);

        prop_assert_eq!(heir.running(), owner.session.running());
        prop_assert_eq!(heir.queue_depth(), owner.session.queue_depth());
        prop_assert_eq!(heir.history().entries(), owner.session.history().entries());
        prop_assert_eq!(told(&mut heir), told(&mut owner.session));
    }
}

#[test]
fn what_waits_keeps_its_place_among_all_that_wait() {
    let mut owner = Owner::new(QueuePolicy::Reject);
    for _ in 0..3 {
        owner.step(&Step::Prompt { id: None, has_room: true });
    }
    let places = Places::new(1);
    let snapshot = owner.session.snapshot(at(5));
    let heir = Session::restore(snapshot, Arc::clone(&owner.settings), places.clone(), at(5));
    assert_eq!((heir.queue_depth(), places.taken()), (2, 2), "they were accepted elsewhere, so they are counted here whatever the bound");
    drop(heir);
    assert_eq!(places.taken(), 0);
}

#[test]
fn an_answer_of_which_an_heir_only_reads_tells_it_nothing_about_how_long_one_takes() {
    let mut owner = Owner::new(QueuePolicy::Reject);
    owner.step(&Step::Prompt { id: None, has_room: true });
    owner.step(&Step::Ends { whole: true });
    let mut heir = heir(&owner, None, &owner.log);
    for number in [8, 9] {
        let prompt = Prompt { content: "more".into(), id: None, model: None, system: None, max_tokens: None };
        heir.handle(Input::Message { message: ClientMessage::Prompt(prompt), fresh: task(number) }, at(6), &mut Vec::new());
    }
    let told = told(&mut heir);
    let etas: Vec<_> = told.iter().filter_map(|(_, body)| if let Body::Notice(notice) = body { Some(notice.eta) } else { None }).collect();
    assert_eq!(etas, [None]);
}
