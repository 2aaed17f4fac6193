//! Prompts, their order, and what happens when there is no room.

use super::*;

#[test]
fn a_prompt_to_an_idle_session_is_acknowledged_and_runs_at_once() {
    let mut play = Play::new(Client::Plain);
    assert_eq!(play.asks("a"), ["1 ACK t1 depth 0", "start t1 'a'"]);
    assert_eq!(play.token(1, "x"), ["2 TOKEN t1 'x'"]);
    assert_eq!(play.completes(1), ["3 COMPLETE t1"]);
}

#[test]
fn tasks_run_one_at_a_time_in_the_order_of_their_prompts() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    assert_eq!(play.asks("b"), ["2 ACK t2 depth 1", "3 NOTICE t2 place 1"]);
    assert_eq!(play.asks("c"), ["4 ACK t3 depth 2", "5 NOTICE t3 place 2"]);
    assert_eq!(play.completes(1), ["6 COMPLETE t1", "start t2 'b'"]);
    assert_eq!(play.fails(2, Failure::UpstreamCut), ["7 ERROR t2 upstream_cut", "start t3 'c'"]);
    assert_eq!(play.completes(3), ["8 COMPLETE t3"]);
}

#[test]
fn what_belongs_to_a_task_that_does_not_run_changes_nothing() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    play.asks("b");
    let nothing = Vec::<String>::new();
    assert_eq!(play.token(2, "early"), nothing);
    assert_eq!(play.completes(2), nothing);
    play.completes(1);
    assert_eq!(play.completes(1), nothing);
    assert_eq!(play.on(Input::Notice { task: task(1), message: "late".into(), tool_calls: None }), nothing);
    assert_eq!(play.session.queue_depth(), 0);
}

#[test]
fn a_waiting_client_learns_when_its_task_is_expected_once_one_has_been_timed() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    play.after(4_000).completes(1);
    play.asks("b");
    assert_eq!(play.after(1_000).asks("c"), ["4 ACK t3 depth 1", "5 NOTICE t3 place 1, in 3000 ms"]);
    assert_eq!(play.asks("d"), ["6 ACK t4 depth 2", "7 NOTICE t4 place 2, in 7000 ms"]);
    assert_eq!(play.after(60_000).asks("e")[1], "9 NOTICE t5 place 3, in 8000 ms", "the running one may end any moment");
    play.fails(2, Failure::IdleTimeout);
    assert_eq!(play.asks("f")[1], "12 NOTICE t6 place 3, in 12000 ms", "what failed says nothing about answers");
}

#[test]
fn reject_refuses_what_finds_the_queue_full_and_forgets_it() {
    let mut play = Play::short(QueuePolicy::Reject);
    for content in ["a", "b", "c"] {
        play.asks(content);
    }
    assert_eq!(play.asks_as("d", Some("d")), ["6 RATE_LIMITED depth 2, in 1000 ms"]);
    play.completes(1);
    assert_eq!(play.asks_as("d", Some("d"))[0], "8 ACK t5 depth 2", "the refused prompt was not remembered by its id");
}

#[test]
fn a_refused_client_is_told_when_the_next_place_becomes_free() {
    let mut play = Play::short(QueuePolicy::Reject);
    play.asks("a");
    play.after(8_000).completes(1);
    for content in ["b", "c", "d"] {
        play.asks(content);
    }
    assert_eq!(play.after(2_000).asks("e"), ["8 RATE_LIMITED depth 2, in 6000 ms"]);
    assert_eq!(play.after(20_000).asks("f"), ["9 RATE_LIMITED depth 2, in 1000 ms"]);
}

#[test]
fn drop_oldest_makes_room_by_the_oldest_that_waits_and_never_by_the_one_that_runs() {
    let mut play = Play::short(QueuePolicy::DropOldest);
    for content in ["a", "b", "c"] {
        play.asks(content);
    }
    assert_eq!(play.asks("d"), ["6 DROPPED t2 queue_full", "7 ACK t4 depth 2", "8 NOTICE t4 place 2"]);
    assert_eq!(play.completes(1)[1], "start t3 'c'");
    assert_eq!(play.completes(3)[1], "start t4 'd'");
}

#[test]
fn defer_takes_ten_queues_in_their_order_and_refuses_what_comes_then() {
    let mut play = Play::short(QueuePolicy::Defer);
    for _ in 0..=20 {
        assert!(play.asks("x")[0].contains("ACK"));
    }
    assert_eq!(play.session.queue_depth(), 20);
    assert!(play.asks("x")[0].contains("RATE_LIMITED depth 20"));
    for number in 1..=20 {
        assert_eq!(play.completes(number)[1], format!("start t{} 'x'", number + 1));
    }
}

#[test]
fn a_queue_of_no_length_takes_one_task_at_a_time() {
    for policy in [QueuePolicy::Reject, QueuePolicy::DropOldest, QueuePolicy::Defer] {
        let mut play = Play::with(Client::Plain, Settings { max_queue_size: 0, policy, ..Settings::STANDARD });
        assert_eq!(play.asks("a")[1], "start t1 'a'");
        assert_eq!(play.asks("b"), ["2 RATE_LIMITED depth 0, in 1000 ms"]);
    }
}

#[test]
fn the_gateways_bound_counts_the_tasks_of_all_sessions_until_they_run() {
    let places = Places::new(1);
    let settings = || Settings { policy: QueuePolicy::DropOldest, ..Settings::STANDARD };
    let mut one = Play::among(Client::Plain, settings(), places.clone());
    let mut other = Play::among(Client::Plain, settings(), places.clone());
    one.asks("a");
    other.asks("a");
    assert_eq!(places.taken(), 0, "whoever runs them gave the places back");
    one.asks("b");
    assert_eq!(places.taken(), 1);
    assert_eq!(other.asks("b"), ["2 RATE_LIMITED depth 0, in 1000 ms"], "nothing of its own waits that could be dropped");
    assert_eq!(one.asks("c"), ["4 DROPPED t2 queue_full", "5 ACK t3 depth 1", "6 NOTICE t3 place 1"]);
    one.on(Input::Closed);
    assert_eq!(places.taken(), 0, "a session that ends gives its places back");
    assert_eq!(other.asks("c")[0], "3 ACK t3 depth 1");
}

#[test]
fn a_prompt_that_was_accepted_is_acknowledged_again_and_not_run_again() {
    let mut play = Play::new(Client::Plain);
    play.asks_as("a", Some("one"));
    play.asks_as("b", Some("two"));
    assert_eq!(play.asks_as("a", Some("one")), ["4 ACK t1 depth 0"], "it runs");
    assert_eq!(play.asks_as("b", Some("two")), ["5 ACK t2 depth 1"], "it waits");
    play.completes(1);
    play.cancels(2);
    play.fails(2, Failure::Cancelled);
    assert_eq!(play.asks_as("a", Some("one")), ["8 ACK t1 depth 0"], "it is over");
    assert_eq!(play.asks_as("b", Some("two")), ["9 ACK t2 depth 1"], "it was cancelled");
    assert_eq!(play.asks("a")[0], "10 ACK t7 depth 0", "without an id it is another");
}

#[test]
fn ids_of_old_prompts_are_forgotten_in_the_end_but_never_those_that_wait() {
    let mut play = Play::new(Client::Plain);
    play.asks_as("long", Some("long"));
    for number in 2..=300 {
        play.asks_as("x", Some(&format!("id {number}")));
        play.cancels(number);
    }
    assert!(play.asks_as("long", Some("long"))[0].contains("ACK t1 "));
    assert!(play.asks_as("x", Some("id 300"))[0].contains("ACK t300 "));
    assert!(play.asks_as("x", Some("id 2"))[0].contains("ACK t303 "), "a new task");
}

#[test]
fn cancel_drops_a_waiting_task_and_stops_a_running_one() {
    let mut play = Play::new(Client::Plain);
    for content in ["a", "b", "c"] {
        play.asks(content);
    }
    assert_eq!(play.cancels(2), ["6 DROPPED t2 cancelled"]);
    assert_eq!(play.cancels(1), ["stop t1: cancelled"]);
    assert_eq!(play.cancels(1), Vec::<String>::new(), "it is being stopped");
    assert_eq!(play.fails(1, Failure::Cancelled), ["7 ERROR t1 cancelled", "start t3 'c'"]);
}

#[test]
fn a_cancel_that_comes_too_late_leaves_the_task_its_own_end() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    play.cancels(1);
    assert_eq!(play.completes(1), ["2 COMPLETE t1"]);
}

#[test]
fn cancel_of_what_neither_waits_nor_runs_finds_no_task() {
    let mut play = Play::new(Client::Plain);
    assert_eq!(play.cancels(7), ["1 ERROR t7 task_not_found"]);
    assert_eq!(play.says(ClientMessage::Cancel(None)), ["2 ERROR task_not_found"]);
    play.asks("a");
    play.completes(1);
    assert_eq!(play.cancels(1), ["5 ERROR t1 task_not_found"]);
}

#[test]
fn a_notice_about_the_running_task_is_passed_on_with_its_tool_calls() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    let notice = play.handle(Input::Notice { task: task(1), message: "tools".into(), tool_calls: Some("[]".into()) });
    let [Action::Send(Message::Numbered { seq: 2, body: Body::Notice(notice) })] = &*notice else { panic!("{notice:?}") };
    assert_eq!(notice.tool_calls.as_deref(), Some("[]"));
}

fn turn(play: &Play, content: &str, answer: &str) -> Option<Turn> {
    let counted = |text: &str| Counted { text: text.into(), tokens: 1 };
    Some(play.session.history().ask(&counted(content), None).answered(counted(answer), None))
}

#[test]
fn whole_answers_enter_the_history_and_failures_leave_no_trace() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    play.completes_with(1, turn(&play, "a", "A"));
    play.asks("b");
    play.fails(2, Failure::UpstreamCut);
    assert_eq!(play.session.history().entries().len(), 2);
    play.asks("c");
    play.completes_with(3, turn(&play, "c", "C"));
    assert_eq!(play.session.history().entries().len(), 4);
}

#[test]
fn reset_clears_the_history_at_once_when_nothing_runs() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    play.completes_with(1, turn(&play, "a", "A"));
    assert_eq!(play.says(ClientMessage::Reset), Vec::<String>::new());
    assert_eq!(play.session.history().entries(), []);
}

#[test]
fn reset_parts_the_prompts_before_it_from_those_behind_it() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    play.asks("b");
    play.says(ClientMessage::Reset);
    play.asks("c");
    play.completes_with(1, turn(&play, "a", "A"));
    assert_eq!(play.session.history().entries().len(), 2, "b was asked before the reset and goes on with a");
    assert_eq!(play.completes_with(2, turn(&play, "b", "B"))[1], "start t3 'c'");
    assert_eq!(play.session.history().entries(), [], "c begins anew");
    play.completes_with(3, turn(&play, "c", "C"));
    assert_eq!(play.session.history().entries().len(), 2);
}

#[test]
fn a_reset_holds_though_the_first_prompt_behind_it_was_cancelled() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    play.says(ClientMessage::Reset);
    play.asks("b");
    play.asks("c");
    play.cancels(2);
    assert_eq!(play.completes_with(1, turn(&play, "a", "A"))[1], "start t3 'c'");
    assert_eq!(play.session.history().entries(), []);
}

#[test]
fn a_prompt_that_no_context_holds_ends_as_invalid_with_the_member_to_blame() {
    let mut play = Play::new(Client::Plain);
    play.asks("a");
    let ask = play.session.history().ask(&Counted { text: "a".into(), tokens: 1_000 }, None);
    let too_long = play.session.history().fit(&ask, Room { window: Some(100), max_tokens: None }).expect_err("it does not fit");
    let actions = play.handle(Input::Ended { task: task(1), end: too_long.into() });
    let [Action::Send(Message::Numbered { body: Body::Error(problem), .. })] = &*actions else { panic!("{actions:?}") };
    assert_eq!((problem.code, problem.partial), (Code::Failure(Failure::InvalidRequest), false));
    assert!(problem.message.as_deref().is_some_and(|message| message.starts_with("`content`")));
}

#[test]
fn a_prompt_that_has_nowhere_to_go_is_refused_and_takes_no_number() {
    let mut play = Play::new(Client::Plain);
    play.asks_as("first", Some("p-1"));
    let refuse = |id: &str| Input::Refuse { prompt: prompt("again", Some(id)), why: Failure::GatewayOverloaded };
    for id in ["p-2", "p-1"] {
        assert_eq!(play.on(refuse(id)), ["ERROR gateway_overloaded, not counted"]);
    }
    assert_eq!(play.token(1, "x"), ["2 TOKEN t1 'x'"]);
}
