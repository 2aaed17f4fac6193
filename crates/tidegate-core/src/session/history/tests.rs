use proptest::prelude::*;

use super::*;

/// Most bytes of a history that is not to be cut.
const ENOUGH: usize = usize::MAX;

fn counted(text: &str, tokens: u64) -> Counted {
    Counted { text: text.into(), tokens }
}

fn calls(ids: &[&str]) -> Option<ToolCalls> {
    Some(ToolCalls { ids: ids.iter().map(|id| Arc::from(*id)).collect(), json: "[…]".into() })
}

fn room(window: u64, max_tokens: u32) -> Room {
    Room { window: Some(window), max_tokens: NonZeroU32::new(max_tokens) }
}

/// A history of turns of 10 tokens each, 6 for the prompt and its frame, 4 for the frame of an answer.
fn talked(prompts: &[&str]) -> History {
    let mut history = History::default();
    for prompt in prompts {
        let turn = history.ask(&counted(prompt, 2), None).answered(counted("", 0), None);
        history.push(turn, ENOUGH);
    }
    history
}

fn words(entries: &[Entry]) -> Vec<String> {
    let word = |entry: &Entry| match &entry.said {
        Said::User(text) => format!("user {text}"),
        Said::Assistant { text, calls: Some(calls) } => format!("assistant {text} calls {:?}", calls.ids),
        Said::Assistant { text, .. } => format!("assistant {text}"),
        Said::Tool { call, text } => format!("tool {call} {text}"),
    };
    entries.iter().map(word).collect()
}

fn prompts(entries: &[Entry]) -> Vec<&str> {
    entries.iter().filter_map(|entry| if let Said::User(text) = &entry.said { Some(&**text) } else { None }).collect()
}

#[test]
fn a_prompt_follows_the_whole_conversation_where_it_fits() {
    let history = talked(&["a", "b"]);
    let ask = history.ask(&counted("c", 2), Some(counted("be brief", 3)));
    let context = history.fit(&ask, room(100, 50)).expect("it fits");
    assert_eq!((context.system, words(context.said)), (Some("be brief"), vec!["user c".to_owned()]));
    assert_eq!(words(context.past), ["user a", "assistant ", "user b", "assistant "]);
    assert_eq!((context.left_out, context.tokens), (0, 20 + 6 + 7));
}

#[test]
fn the_oldest_turns_are_left_out_whole_and_come_back_for_a_larger_model() {
    let history = talked(&["a", "b", "c"]);
    let ask = history.ask(&counted("d", 2), None);
    let kept = |window| prompts(history.fit(&ask, room(window, 10)).expect("it fits").past).concat();
    assert_eq!([16, 25, 26, 35, 36, 45, 46].map(kept), ["", "", "c", "c", "bc", "bc", "abc"]);
    let unknown = history.fit(&ask, Room { window: None, max_tokens: None }).expect("it fits");
    assert_eq!(prompts(unknown.past), ["a", "b", "c"], "without a window nothing is left out");
}

#[test]
fn the_answer_has_room_even_where_nobody_said_how_much() {
    let history = talked(&["a", "b", "c", "d", "e", "f", "g"]);
    let ask = history.ask(&counted("h", 2), None);
    let by_itself = |window| history.fit(&ask, Room { window: Some(window), max_tokens: None }).expect("it fits").tokens;
    assert_eq!(by_itself(48), 36, "a quarter is left");
    assert_eq!(by_itself(1_000_000), 76);
    let most = counted("x", 1_000_000 - 4096 - FRAME);
    assert!(history.fit(&history.ask(&most, None), Room { window: Some(1_000_000), max_tokens: None }).is_ok());
}

#[test]
fn the_system_prompt_stays_until_it_is_replaced_or_taken_away() {
    let mut history = History::default();
    let system = |history: &History, own: Option<&str>| {
        let ask = history.ask(&counted("p", 1), own.map(|own| counted(own, 1)));
        let told = history.fit(&ask, Room { window: None, max_tokens: None }).expect("it fits").system.map(str::to_owned);
        (told, ask.answered(counted("", 0), None))
    };
    for (own, told) in
        [(None, None), (Some("one"), Some("one")), (None, Some("one")), (Some("two"), Some("two")), (Some(""), None), (None, None)]
    {
        let (system, turn) = system(&history, own);
        assert_eq!(system.as_deref(), told);
        history.push(turn, ENOUGH);
    }
}

#[test]
fn a_prompt_behind_tool_calls_is_the_result_of_each() {
    let mut history = History::default();
    let turn = history.ask(&counted("weather?", 2), None).answered(counted("", 5), calls(&["c1", "c2"]));
    history.push(turn, ENOUGH);
    let ask = history.ask(&counted("sun", 1), None);
    let context = history.fit(&ask, room(100, 10)).expect("it fits");
    assert_eq!(words(context.said), ["tool c1 sun", "tool c2 sun"]);
    assert_eq!(context.tokens, 6 + 9 + 5 + 5);
    history.push(ask.answered(counted("Sun.", 2), None), ENOUGH);
    assert_eq!(words(history.ask(&counted("thanks", 1), None).said.as_slice()), ["user thanks"]);
}

#[test]
fn a_tool_call_is_kept_with_its_result_or_goes_with_it() {
    let mut history = talked(&["old"]);
    let turn = history.ask(&counted("weather?", 2), None).answered(counted("", 5), calls(&["c1"]));
    history.push(turn, ENOUGH);
    let result = history.ask(&counted("sun", 1), None);
    let context = history.fit(&result, room(30, 10)).expect("it fits");
    assert_eq!(words(context.past), ["user weather?", r#"assistant  calls ["c1"]"#], "the turn that it answers is kept");
    let too_small = history.fit(&result, room(29, 10)).expect_err("it does not fit");
    assert_eq!(too_small, TooLong { member: Member::Content, room: 0 });
    history.push(result.answered(counted("Sun.", 2), None), ENOUGH);
    let next = history.ask(&counted("thanks", 2), None);
    assert_eq!(history.fit(&next, room(41, 10)).expect("it fits").past, [], "half of the turn would have fitted");
    assert_eq!(words(history.fit(&next, room(42, 10)).expect("it fits").past).len(), 4);
}

#[test]
fn what_cannot_fit_is_refused_with_the_member_to_blame() {
    let history = talked(&["a"]);
    let refusal = |content, system, room| {
        let ask = history.ask(&counted("c", content), Some(counted("s", system)));
        history.fit(&ask, room).expect_err("it does not fit").to_string()
    };
    assert_eq!(
        refusal(1_000, 10, room(100, 20)),
        "`content` is too long: with all that goes with it, the model's context has room for 62 tokens of it"
    );
    assert_eq!(
        refusal(10, 1_000, room(100, 20)),
        "`system` is too long: with all that goes with it, the model's context has room for 62 tokens of it"
    );
    assert_eq!(
        refusal(1, 1, room(100, 100)),
        "`max_tokens` is too large: the model's context holds 100 tokens, prompt and answer together"
    );
}

#[test]
fn absurd_numbers_are_too_long_and_nothing_worse() {
    let history = talked(&["a"]);
    let ask = history.ask(&counted("c", u64::MAX), Some(counted("s", u64::MAX)));
    assert!(history.fit(&ask, room(u64::MAX, u32::MAX)).is_err());
    assert!(history.fit(&ask, room(0, 1)).is_err());
    assert!(history.fit(&ask, Room { window: Some(0), max_tokens: None }).is_err());
    assert_eq!(history.fit(&ask, Room { window: None, max_tokens: None }).expect("nobody knows better").tokens, u64::MAX);
}

#[test]
fn a_history_forgets_its_oldest_turns_to_stay_within_its_bytes() {
    let mut history = History::default();
    let turn = 2 * size_of::<Entry>() + 100;
    for number in 0..10_u8 {
        let ask = history.ask(&counted(&number.to_string().repeat(100), 1), None);
        history.push(ask.answered(counted("", 0), None), 3 * turn);
    }
    let left: Vec<_> = prompts(&history.entries).iter().map(|prompt| prompt[..1].to_owned()).collect();
    assert_eq!(left, ["7", "8", "9"]);
    let huge = history.ask(&counted(&"x".repeat(3 * turn), 1), None).answered(counted("", 0), None);
    // Also where it comes without its words.
    for huge in [huge.clone(), huge.bounded(3 * turn)] {
        let mut history = history.clone();
        history.push(huge, 3 * turn);
        assert_eq!((history.entries(), history.bytes), ([].as_slice(), 0), "a turn that alone is too large is not kept either");
    }
}

proptest! {
    #[test]
    fn what_is_sent_fits_is_whole_and_leaves_out_no_more_than_it_must(
        turns in prop::collection::vec((0_u64..50, 0_u64..50, any::<bool>()), 0..12),
        content in 0_u64..60, system in prop::option::of(0_u64..30), window in 1_u64..600, max_tokens in prop::option::of(1_u32..100),
    ) {
        let mut history = History::default();
        for (prompt, answer, calls_tool) in turns {
            let turn = history.ask(&counted("p", prompt), None).answered(counted("a", answer), if calls_tool { calls(&["c"]) } else { None });
            history.push(turn, ENOUGH);
        }
        let ask = history.ask(&counted("c", content), system.map(|system| counted("s", system)));
        let room = Room { window: Some(window), max_tokens: max_tokens.and_then(NonZeroU32::new) };
        let answer = max_tokens.map_or(ANSWER.min(window / 4), u64::from);
        if let Ok(context) = history.fit(&ask, room) {
            prop_assert!(context.tokens + answer <= window);
            prop_assert_eq!(context.tokens, size(context.past) + size(context.said) + system.map_or(0, framed));
            prop_assert_eq!(context.past, &history.entries[context.left_out..]);
            let sent: Vec<&Entry> = context.past.iter().chain(context.said).collect();
            prop_assert!(sent[0].begins_a_turn(), "nothing answers a call that was left out");
            if context.left_out > 0 {
                let before = history.entries[..context.left_out].iter().rposition(Entry::begins_a_turn).expect("there is a turn");
                let more = size(&history.entries[before..context.left_out]);
                prop_assert!(context.tokens + more + answer > window, "one more turn would have fitted");
            }
        }
    }
}
