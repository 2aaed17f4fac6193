//! Greetings, signs of life, idleness, departures and shutdown.

use super::*;

#[test]
fn a_plain_client_reads_nothing_that_it_did_not_ask_for() {
    let mut play = Play::new(Client::Plain);
    assert_eq!(play.waits(1_000), Vec::<String>::new());
    assert_eq!(play.says(ClientMessage::Ping), ["PONG"]);
}

#[test]
fn a_resumable_client_learns_its_session_before_the_answer_to_its_first_message() {
    let mut play = Play::new(Client::Resumable);
    assert_eq!(play.asks("a"), ["SESSION new", "1 ACK t1 depth 0", "start t1 'a'"]);
    assert_eq!(play.waits(1_000), Vec::<String>::new());
    let mut play = Play::new(Client::Resumable);
    assert_eq!(play.on(Input::Invalid("no".into())), ["SESSION new", "1 ERROR invalid_message"]);
}

#[test]
fn a_resumable_client_that_says_nothing_learns_its_session_after_a_moment() {
    let mut play = Play::new(Client::Resumable);
    assert_eq!(play.waits(1_000), ["1000: SESSION new"]);
    assert_eq!(play.asks("a"), ["1 ACK t1 depth 0", "start t1 'a'"]);
}

#[test]
fn an_invalid_message_is_answered_and_the_session_lives_on() {
    let mut play = Play::new(Client::Plain);
    let actions = play.handle(Input::Invalid("`content` is missing".into()));
    let [Action::Send(Message::Numbered { seq: 1, body: Body::Error(problem) })] = &*actions else { panic!("{actions:?}") };
    assert_eq!((problem.code, problem.message.as_deref()), (Code::InvalidMessage, Some("`content` is missing")));
    assert_eq!(play.asks("a")[1], "start t1 'a'");
}

#[test]
fn a_silent_peer_is_pinged_once_and_dead_after_two_heartbeats() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    assert_eq!(play.waits(100_000), ["20000: ping", "40000: stop t1: client_gone", "40000: end PeerDead"]);
}

#[test]
fn every_sign_of_life_puts_the_ping_off() {
    let mut play = Play::new(Client::Plain);
    assert_eq!(play.waits(25_000), ["20000: ping"]);
    play.on(Input::Heard);
    assert_eq!(play.waits(25_000), ["45000: ping"]);
    play.says(ClientMessage::Ping);
    assert_eq!(play.waits(19_000), Vec::<String>::new());
    play.on(Input::Invalid("no".into()));
    assert_eq!(play.waits(40_000), ["89000: ping", "109000: end PeerDead"]);
}

#[test]
fn a_dead_peer_that_can_resume_loses_its_socket_and_keeps_its_session() {
    let mut play = Play::new(Client::Resumable);
    play.asks("a");
    assert_eq!(play.waits(100_000), ["20000: ping", "40000: disconnect"]);
    assert_eq!(play.resumes(1), ["SESSION resumed"]);
    assert_eq!(play.token(1, "x"), ["2 TOKEN t1 'x'"]);
}

#[test]
fn a_session_without_tasks_ends_when_its_client_has_said_nothing_for_long() {
    let mut play = Play::with(Client::Plain, Settings { heartbeat: Duration::from_secs(3_600), ..Settings::STANDARD });
    play.asks("a");
    assert_eq!(play.waits(20 * 60_000), Vec::<String>::new(), "a task runs");
    play.completes(1);
    play.waits(10 * 60_000);
    play.on(Input::Heard);
    assert_eq!(play.waits(5 * 60_000), ["2100000: end Idle"], "a pong says that the peer lives, not that anybody uses it");
    assert!(play.session.is_over());
}

#[test]
fn any_message_and_any_return_of_the_client_put_the_idle_end_off() {
    let quiet = Settings { heartbeat: Duration::from_secs(3_600), ..Settings::STANDARD };
    let mut play = Play::with(Client::Resumable, quiet);
    play.waits(10 * 60_000);
    play.says(ClientMessage::Ping);
    assert_eq!(play.waits(10 * 60_000), Vec::<String>::new());
    play.on(Input::SocketLost);
    play.resumes(0);
    assert_eq!(play.waits(20 * 60_000), ["2100000: end Idle"]);
}

#[test]
fn a_close_frame_ends_everything_at_once() {
    for client in [Client::Plain, Client::Resumable] {
        let mut play = Play::new(client);
        play.asks("a");
        play.asks("b");
        assert_eq!(play.places.taken(), 1);
        assert_eq!(play.on(Input::Closed), ["stop t1: client_gone", "end Closed"]);
        assert_eq!((play.places.taken(), play.session.wake_at()), (0, Moment::FAR));
    }
}

#[test]
fn a_cut_socket_ends_the_session_of_a_client_that_cannot_come_back() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    assert_eq!(play.on(Input::SocketLost), ["stop t1: client_gone", "end ConnectionLost"]);
}

#[test]
fn a_cut_socket_ends_a_session_that_nobody_was_told_about() {
    let mut play = Play::new(Client::Resumable);
    assert_eq!(play.on(Input::SocketLost), ["end ConnectionLost"]);
}

#[test]
fn a_session_that_nobody_comes_back_for_ends_with_its_tasks() {
    let mut play = Play::new(Client::Resumable);
    play.asks("a");
    play.asks("b");
    assert_eq!(play.after(5_000).on(Input::SocketLost), Vec::<String>::new());
    assert_eq!(play.on(Input::SocketLost), Vec::<String>::new(), "once is enough");
    assert_eq!(play.completes(1), ["start t2 'b'"], "tasks go on unseen");
    assert_eq!(play.waits(300_000), ["125000: stop t2: client_gone", "125000: end NotResumed"]);
}

#[test]
fn a_task_that_is_being_stopped_is_not_stopped_again_by_the_end() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    play.cancels(1);
    assert_eq!(play.on(Input::Closed), ["end Closed"]);
}

#[test]
fn nothing_changes_a_session_that_is_over() {
    let mut play = Play::new(Client::Resumable);
    play.asks("a");
    play.on(Input::Closed);
    let nothing = Vec::<String>::new();
    assert_eq!(play.asks("b"), nothing);
    assert_eq!(play.token(1, "x"), nothing);
    assert_eq!(play.completes(1), nothing);
    assert_eq!(play.resumes(0), nothing);
    assert_eq!(play.on(Input::Drain), nothing);
    assert_eq!(play.on(Input::Tick), nothing);
}

#[test]
fn an_idle_session_ends_as_soon_as_the_gateway_drains() {
    assert_eq!(Play::new(Client::Plain).on(Input::Drain), ["end Drained"]);
}

#[test]
fn a_drain_tells_the_client_and_finishes_what_was_accepted() {
    let mut play = Play::new(Client::Resumable);
    play.asks_as("a", Some("one"));
    play.asks("b");
    let shutting = "NOTICE t1 the gateway is shutting down: it finishes what it accepted and takes no new prompts";
    assert_eq!(play.on(Input::Drain), [format!("4 {shutting}")]);
    assert_eq!(play.asks("c"), ["5 ERROR gateway_draining"]);
    assert_eq!(play.asks_as("a", Some("one")), ["6 ACK t1 depth 0"], "it was accepted, so it is finished");
    assert_eq!(play.completes(1), ["7 COMPLETE t1", "start t2 'b'"]);
    assert_eq!(play.completes(2), ["8 COMPLETE t2", "end Drained"]);
}

#[test]
fn what_the_drain_had_no_time_for_is_told_so() {
    let mut play = Play::new(Client::Plain);
    for content in ["a", "b", "c"] {
        play.asks(content);
    }
    play.on(Input::Drain);
    assert_eq!(play.on(Input::DrainOver), ["7 ERROR t2 gateway_draining", "8 ERROR t3 gateway_draining", "stop t1: gateway_draining"]);
    assert_eq!(play.on(Input::DrainOver), Vec::<String>::new());
    assert_eq!(play.fails(1, Failure::GatewayDraining), ["9 ERROR t1 gateway_draining", "end Drained"]);
}

#[test]
fn a_prompt_that_the_drain_refuses_may_be_sent_again_and_is_named() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    play.on(Input::Drain);
    let message = ClientMessage::Prompt(prompt("b", Some("two")));
    let actions = play.handle(Input::Message { message, fresh: task(2) });
    let [Action::Send(Message::Numbered { body: Body::Error(problem), .. })] = &*actions else { panic!("{actions:?}") };
    assert_eq!((problem.id.as_deref(), problem.retry_after), (Some("two"), Some(RETRY_AFTER)));
    assert!(problem.code.client_may_retry());
}

#[test]
fn a_session_without_a_connection_does_not_outlive_the_drain() {
    let mut play = Play::new(Client::Resumable);
    play.asks("a");
    play.on(Input::SocketLost);
    assert_eq!(play.on(Input::Drain), ["stop t1: gateway_draining", "end Drained"]);
    let mut play = Play::new(Client::Resumable);
    play.asks("a");
    play.on(Input::Drain);
    assert_eq!(play.on(Input::SocketLost), ["stop t1: client_gone", "end ConnectionLost"]);
}

#[test]
fn an_idle_session_is_small() {
    let size = size_of::<Session>();
    assert!(size <= 512, "{size} bytes");
    assert!(size_of::<Body>() <= 80, "a kept token is its text and little more");
}
