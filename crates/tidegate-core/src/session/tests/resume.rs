//! Coming back.

use super::*;

/// A session with messages 1 (ACK) to 3 (two tokens), whose connection is lost.
fn cut() -> Play {
    let mut play = Play::new(Client::Resumable);
    play.asks("a");
    play.token(1, "x");
    play.token(1, "y");
    play.on(Input::SocketLost);
    play
}

fn small(bytes: usize, messages: usize) -> Play {
    Play::with(Client::Resumable, Settings { replay: ReplayBounds { bytes, messages }, ..Settings::STANDARD })
}

#[test]
fn a_resume_repeats_what_was_not_seen_and_goes_on() {
    let mut play = cut();
    assert_eq!(play.token(1, "z"), Vec::<String>::new(), "nobody is there to read it");
    assert_eq!(play.resumes(2), ["SESSION resumed", "3 TOKEN t1 'y'", "4 TOKEN t1 'z'"]);
    assert_eq!(play.completes(1), ["5 COMPLETE t1"]);
}

#[test]
fn who_has_seen_nothing_gets_everything_acks_included() {
    let mut play = cut();
    assert_eq!(play.resumes(0), ["SESSION resumed", "1 ACK t1 depth 0", "2 TOKEN t1 'x'", "3 TOKEN t1 'y'"]);
}

#[test]
fn a_second_resume_may_begin_further_back_than_the_first() {
    let mut play = cut();
    assert_eq!(play.resumes(3), ["SESSION resumed"]);
    play.on(Input::SocketLost);
    assert_eq!(play.resumes(1), ["SESSION resumed", "2 TOKEN t1 'x'", "3 TOKEN t1 'y'"]);
}

#[test]
fn a_new_connection_takes_over_from_one_that_is_not_known_to_be_dead() {
    let mut play = cut();
    play.resumes(3);
    assert_eq!(play.after(30_000).resumes(2), ["SESSION resumed", "3 TOKEN t1 'y'"]);
    assert_eq!(play.waits(25_000), ["50000: ping"], "its heartbeats count from the takeover");
}

#[test]
fn who_asks_for_more_than_is_kept_finds_the_session_gone() {
    let mut play = small(usize::MAX, 2);
    play.asks("a");
    play.token(1, "x");
    play.token(1, "y");
    play.on(Input::SocketLost);
    assert_eq!(play.resumes(0), ["stop t1: client_gone", "end Gap"]);
}

#[test]
fn who_claims_to_have_seen_what_was_never_said_finds_the_session_gone() {
    let mut play = cut();
    assert_eq!(play.resumes(4), ["stop t1: client_gone", "end Gap"]);
}

#[test]
fn resume_is_for_the_first_message_of_a_connection() {
    let resume = || ClientMessage::Resume { session: Some(SessionId::new(0, 77)), last_seq: 5 };
    for client in [Client::Plain, Client::Resumable] {
        let mut play = Play::new(client);
        assert_eq!(play.says(resume()), ["look for Some(77) after 5"]);
        assert_eq!(play.on(Input::NotResumed), ["SESSION new"]);
        assert_eq!(play.asks("a")[0], "1 ACK t1 depth 0");
        assert_eq!(play.says(resume()), ["2 ERROR invalid_message"]);
    }
}

#[test]
fn a_resume_that_comes_behind_the_greeting_is_still_the_first_message() {
    let mut play = Play::new(Client::Resumable);
    play.waits(1_000);
    assert_eq!(play.says(ClientMessage::Resume { session: None, last_seq: 0 }), ["look for None after 0"]);
    assert_eq!(play.on(Input::NotResumed), ["SESSION new"]);
}

#[test]
fn a_resume_that_nobody_can_answer_now_is_no_new_session_and_counts_no_message() {
    let mut play = Play::new(Client::Resumable);
    play.says(ClientMessage::Resume { session: Some(SessionId::new(0, 77)), last_seq: 5 });
    assert_eq!(play.on(Input::Unanswered), ["ERROR gateway_overloaded of no session", "end Unanswered"]);
}

#[test]
fn a_client_may_ask_its_own_session_to_repeat_itself() {
    let mut play = Play::new(Client::Resumable);
    play.asks("a");
    let own = Some(play.session.id());
    assert_eq!(play.says(ClientMessage::Resume { session: own, last_seq: 0 }), ["SESSION resumed", "1 ACK t1 depth 0"]);
}

#[test]
fn a_plain_client_may_take_a_session_over_but_not_leave_it_behind() {
    let mut play = cut();
    assert_eq!(play.on(Input::Resumed { last_seq: 3, client: Client::Plain }), ["SESSION resumed"]);
    assert_eq!(play.on(Input::SocketLost), ["stop t1: client_gone", "end ConnectionLost"]);
}

#[test]
fn nothing_is_kept_for_a_client_that_cannot_come_back() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    play.token(1, "x");
    assert_eq!(play.resumes(1), ["stop t1: client_gone", "end Gap"]);
}

#[test]
fn an_unread_answer_waits_once_half_of_the_replay_is_used() {
    let mut play = small(usize::MAX, 10);
    play.asks("a");
    for _ in 0..20 {
        play.token(1, "x");
        assert!(play.session.takes_output(), "the client reads");
    }
    play.on(Input::SocketLost);
    for _ in 0..5 {
        assert!(play.session.takes_output());
        play.token(1, "y");
    }
    assert!(!play.session.takes_output());
    assert_eq!(play.resumes(16).len(), 11, "what was lost on the way is there too");
    assert!(play.session.takes_output());
}

#[test]
fn an_unread_answer_waits_by_its_bytes_too() {
    let mut play = small(20_000, usize::MAX);
    play.asks("a");
    play.on(Input::SocketLost);
    play.token(1, &"x".repeat(9_000));
    assert!(play.session.takes_output());
    play.token(1, &"x".repeat(1_000));
    assert!(!play.session.takes_output());
}

#[test]
fn a_repeated_prompt_is_told_its_first_task_on_the_new_connection_too() {
    let mut play = Play::new(Client::Resumable);
    play.asks_as("a", Some("one"));
    play.on(Input::SocketLost);
    assert_eq!(play.resumes(0), ["SESSION resumed", "1 ACK t1 depth 0"]);
    assert_eq!(play.asks_as("a", Some("one")), ["2 ACK t1 depth 0"]);
}
