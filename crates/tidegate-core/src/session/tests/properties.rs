//! What no order of events can break.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Something that happens, in any state.
#[derive(Debug, Clone)]
enum Event {
    Prompt {
        id: Option<u8>,
    },
    Cancel(u8),
    Message(ClientMessage),
    Invalid,
    Heard,
    Token(usize),
    /// The running task ends.
    Ended {
        whole: bool,
    },
    /// The shell speaks of a task that may not run.
    Stray(u8),
    SocketLost,
    Closed,
    /// A client comes back that has seen all but so many messages; a negative number is one that was never said.
    Resumed {
        missed: i64,
        client: Client,
    },
    NotResumed,
    Unanswered,
    Drain,
    DrainOver,
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    let client = prop_oneof![9 => Just(Client::Resumable), 1 => Just(Client::Plain)];
    let other = prop_oneof![
        Just(ClientMessage::Reset),
        Just(ClientMessage::Ping),
        Just(ClientMessage::Cancel(None)),
        any::<u64>().prop_map(|last_seq| ClientMessage::Resume { session: None, last_seq }),
    ];
    prop_oneof![
        60 => prop::option::weighted(0.3, 0_u8..6).prop_map(|id| Event::Prompt { id }),
        15 => any::<u8>().prop_map(Event::Cancel),
        10 => other.prop_map(Event::Message),
        5 => Just(Event::Invalid),
        5 => Just(Event::Heard),
        40 => prop_oneof![Just(3), 0_usize..3_000].prop_map(Event::Token),
        40 => any::<bool>().prop_map(|whole| Event::Ended { whole }),
        5 => any::<u8>().prop_map(Event::Stray),
        15 => Just(Event::SocketLost),
        1 => Just(Event::Closed),
        20 => (-1_i64..80, client).prop_map(|(missed, client)| Event::Resumed { missed, client }),
        3 => Just(Event::NotResumed),
        1 => Just(Event::Unanswered),
        1 => Just(Event::Drain),
        1 => Just(Event::DrainOver),
        10 => (0_u64..50_000).prop_map(Event::Wait),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    let policy = prop::sample::select(vec![QueuePolicy::Reject, QueuePolicy::DropOldest, QueuePolicy::Defer]);
    let replay = prop_oneof![Just((usize::MAX, usize::MAX)), Just((usize::MAX, 64)), Just((30_000, usize::MAX))];
    (policy, 0_usize..4, replay).prop_map(|(policy, max_queue_size, (bytes, messages))| Settings {
        policy,
        max_queue_size,
        replay: ReplayBounds { bytes, messages },
        ..Settings::STANDARD
    })
}

/// A shell that watches what it is told.
struct Watch {
    play: Play,
    client: Client,
    is_up: bool,
    end: Option<EndReason>,
    /// Every numbered message, sent or not.
    log: Vec<Body>,
    /// The last message that was said to a client who cannot come back.
    plain_until: u64,
    /// Tasks in the order of their first ACK.
    accepted: Vec<TaskId>,
    running: Option<TaskId>,
    starts: Vec<TaskId>,
    stopped: Vec<TaskId>,
}

const PLACES: usize = 5;

impl Watch {
    fn new(client: Client, settings: Settings) -> Self {
        Self {
            play: Play::among(client, settings, Places::new(PLACES)),
            client,
            is_up: true,
            end: None,
            log: Vec::new(),
            plain_until: 0,
            accepted: Vec::new(),
            running: None,
            starts: Vec::new(),
            stopped: Vec::new(),
        }
    }

    fn happens(&mut self, event: Event) {
        let running = self.running;
        match event {
            Event::Prompt { id } => {
                self.play.prompts += 1;
                let id = id.map(|id| format!("id {id}"));
                let message = ClientMessage::Prompt(prompt("x", id.as_deref()));
                self.input(Input::Message { message, fresh: task(self.play.prompts) });
            }
            Event::Cancel(number) => {
                let message = ClientMessage::Cancel(Some(task(u128::from(number) % (self.play.prompts + 2))));
                self.input(Input::Message { message, fresh: task(0) });
            }
            Event::Message(message) => self.input(Input::Message { message, fresh: task(0) }),
            Event::Invalid => self.input(Input::Invalid("no".into())),
            Event::Heard => self.input(Input::Heard),
            Event::Token(length) => {
                if let Some(task) = running.filter(|_| self.play.session.takes_output()) {
                    self.input(Input::Token { task, data: "x".repeat(length).into() });
                }
            }
            Event::Ended { whole } => {
                if let Some(task) = self.running.take() {
                    let whole_end = TaskEnd::Completed { usage: None, stream: StreamId::new(0, 9), turn: None };
                    self.input(Input::Ended { task, end: if whole { whole_end } else { failed(Failure::UpstreamCut) } });
                }
            }
            Event::Stray(number) if running != Some(task(number.into())) => {
                let task = task(number.into());
                let before = self.log.len();
                self.input(Input::Token { task, data: "stray".into() });
                self.input(Input::Ended { task, end: failed(Failure::Internal) });
                assert_eq!(self.log.len(), before);
            }
            Event::Stray(_) => {}
            Event::SocketLost => self.input(Input::SocketLost),
            Event::Closed => self.input(Input::Closed),
            Event::Resumed { missed, client } => self.resumes(missed, client),
            Event::NotResumed => self.input(Input::NotResumed),
            Event::Unanswered => self.input(Input::Unanswered),
            Event::Drain => self.input(Input::Drain),
            Event::DrainOver => self.input(Input::DrainOver),
            Event::Wait(millis) => self.waits(millis),
        }
    }
    fn input(&mut self, input: Input) {
        let was_over = self.end.is_some();
        let actions = self.play.handle(input);
        assert!(!was_over || actions.is_empty(), "{actions:?} behind the end");
        self.note_unsent(&actions);
        self.carry_out(actions);
        self.check_bounds();
    }

    fn waits(&mut self, millis: u64) {
        let end = self.play.millis + millis;
        while self.play.session.wake_at() <= at(end) {
            let wake_at = self.play.session.wake_at();
            self.play.millis = wake_at.millis_since(Moment::ORIGIN);
            self.input(Input::Tick);
            assert!(self.play.session.wake_at() > wake_at, "what was due is done");
        }
        self.play.millis = end;
    }

    fn resumes(&mut self, missed: i64, client: Client) {
        if self.end.is_some() {
            return;
        }
        let said = self.log.len() as u64;
        let last_seq = said.saturating_add_signed(-missed);
        let missing = self.log.get(usize::try_from(last_seq).unwrap()..);
        let bounds = self.play.session.settings.replay;
        let is_kept = |missing: &[Body]| {
            let bytes: usize = missing.iter().map(Body::footprint).sum();
            missing.len() <= bounds.messages && bytes <= bounds.bytes && (missing.is_empty() || last_seq >= self.plain_until)
        };
        let expected = missing.filter(|missing| is_kept(missing)).map(<[Body]>::to_vec);

        let actions = self.play.handle(Input::Resumed { last_seq, client });
        let Some(expected) = expected else {
            assert!(matches!(actions.last(), Some(Action::End(EndReason::Gap))), "{actions:?}");
            return self.carry_out(actions);
        };
        (self.is_up, self.client) = (true, client);
        let mut actions = actions.into_iter();
        assert!(matches!(actions.next(), Some(Action::Send(Message::Session { resumed: true, .. }))));
        let repeated: Vec<(u64, Body)> = actions
            .map(|action| match action {
                Action::Send(Message::Numbered { seq, body }) => (seq, body),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(repeated, (last_seq + 1..).zip(expected).collect::<Vec<_>>());
    }

    /// Without a connection nothing is sent, but all of it is numbered and kept.
    fn note_unsent(&mut self, actions: &[Action]) {
        if self.is_up || self.play.session.is_over() {
            return;
        }
        assert!(!actions.iter().any(|action| matches!(action, Action::Send(_) | Action::Ping | Action::Disconnect)), "{actions:?}");
        let unsent: Vec<_> = self.play.session.outbox.after(self.log.len() as u64).expect("one step fits").collect();
        for (seq, body) in unsent {
            self.said(seq, body);
        }
    }

    fn said(&mut self, seq: u64, body: Body) {
        assert_eq!(seq, self.log.len() as u64 + 1, "no gap");
        match &body {
            Body::Ack(ack) if !self.accepted.contains(&ack.task) => self.accepted.push(ack.task),
            Body::Token { task, .. } => assert!(self.accepted.contains(task) && !self.ends().contains_key(task)),
            _ => {}
        }
        self.log.push(body);
        if self.client == Client::Plain {
            self.plain_until = seq;
        }
    }

    fn carry_out(&mut self, actions: Vec<Action>) {
        for action in actions {
            assert!(self.end.is_none(), "{action:?} behind the end");
            match action {
                Action::Send(Message::Numbered { seq, body }) => self.said(seq, body),
                Action::Start(task) => {
                    assert_eq!(self.running.replace(task.id), None, "one at a time");
                    self.starts.push(task.id);
                }
                Action::Cancel { task, .. } => {
                    assert_eq!(self.running, Some(task));
                    assert!(!self.stopped.contains(&task), "once");
                    self.stopped.push(task);
                }
                Action::End(reason) => self.end = Some(reason),
                Action::Send(_) | Action::Resume { .. } | Action::Ping | Action::Disconnect => {}
            }
        }
        self.is_up = matches!(self.play.session.link, Link::Up { .. });
    }

    fn check_bounds(&self) {
        let Play { session, places, .. } = &self.play;
        assert!(session.queue.len() <= session.settings.most_waiting());
        assert_eq!(places.taken(), session.queue.len());
        assert!(places.taken() <= PLACES);
        assert_eq!(session.is_over(), self.end.is_some());
        if let Some(kept) = (0..=self.log.len() as u64).find_map(|seq| session.outbox.after(seq)) {
            let kept: Vec<_> = kept.map(|(_, body)| body).collect();
            assert!(kept.len() <= session.settings.replay.messages);
            assert!(kept.iter().map(Body::footprint).sum::<usize>() <= session.settings.replay.bytes);
        }
    }

    /// How often each task ended.
    fn ends(&self) -> BTreeMap<TaskId, usize> {
        let ended = self.log.iter().filter_map(|body| match body {
            Body::Complete(complete) => Some(complete.task),
            Body::Dropped { task, .. } => Some(*task),
            Body::Error(problem) if problem.code != Code::TaskNotFound => problem.task,
            _ => None,
        });
        let mut ends = BTreeMap::new();
        for task in ended {
            *ends.entry(task).or_default() += 1;
        }
        ends
    }

    /// Finishes what was accepted, as far as the session still lives.
    fn finishes(&mut self) {
        while self.running.is_some() && self.end.is_none() {
            self.happens(Event::Ended { whole: true });
        }
    }

    fn check_tasks(&self) {
        let place = |task: &TaskId| self.accepted.iter().position(|accepted| accepted == task).expect("accepted before it started");
        assert!(self.starts.is_sorted_by_key(place), "in the order of acceptance");
        let lived = matches!(self.end, None | Some(EndReason::Idle));
        let ends = self.ends();
        for task in &self.accepted {
            let times = ends.get(task).copied().unwrap_or_default();
            assert!(times == 1 || times == 0 && !lived, "{task} ended {times} times");
        }
    }
}

proptest! {
    #[test]
    fn every_task_ends_once_in_order_and_every_message_is_numbered_kept_and_repeated(
        client in prop::sample::select(vec![Client::Plain, Client::Resumable]),
        settings in settings(),
        events in prop::collection::vec(event(), 0..150),
    ) {
        let mut watch = Watch::new(client, settings);
        for event in events {
            watch.happens(event);
        }
        watch.finishes();
        watch.check_tasks();
    }

    #[test]
    fn a_drain_ends_every_task_of_a_client_that_stays(
        settings in settings(),
        events in prop::collection::vec(event().prop_filter("the client stays", stays), 0..60),
        in_time in any::<bool>(),
    ) {
        let mut watch = Watch::new(Client::Plain, settings);
        for event in events {
            watch.happens(event);
        }
        watch.happens(Event::Drain);
        if !in_time {
            watch.happens(Event::DrainOver);
        }
        watch.finishes();
        assert_eq!(watch.end, Some(EndReason::Drained));
        assert_eq!(watch.ends().values().sum::<usize>(), watch.accepted.len());
    }
}

fn stays(event: &Event) -> bool {
    !matches!(
        event,
        Event::SocketLost | Event::Closed | Event::Resumed { .. } | Event::Unanswered | Event::Drain | Event::DrainOver | Event::Wait(_)
    )
}
