//! Every fault over a loopback socket, seen by a client that knows no more than bytes.

mod client;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::*;
use client::{Client, End};

const SOON: Duration = Duration::from_secs(5);

async fn scripted(scenario: &str) -> Mock {
    Mock::scripted(scenario.parse().expect("a scenario")).await.expect("a free port")
}

async fn plain() -> Mock {
    Mock::start(MockSettings::default()).await.expect("a free port")
}

/// Plays `script` to one streaming client.
async fn stream(script: &str) -> client::Answer {
    let mock = scripted(&format!("a: {script}")).await;
    Client::connect(&mock).await.ask("a", true).await
}

/// Plays `script` to one client that wants a whole answer.
async fn whole(script: &str) -> client::Answer {
    let mock = scripted(&format!("a: {script}")).await;
    Client::connect(&mock).await.ask("a", false).await
}

mod streams {
    use super::*;

    #[tokio::test]
    async fn a_clean_answer_has_role_texts_finish_and_end_marker() {
        let answer = stream("'hel' 'lo' end").await;
        assert_eq!((answer.status, answer.end), (200, End::Framed));
        assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
        let events = answer.events();
        assert_eq!(events[0]["choices"][0]["delta"]["role"], "assistant");
        assert_eq!(answer.text(), "hello");
        assert_eq!(events[3]["choices"][0]["finish_reason"], "stop");
        assert!(answer.body.ends_with(b"\n\ndata: [DONE]\n\n"));
        assert_eq!(events.len(), 4);
        assert!(
            events
                .iter()
                .all(|event| event["id"] == events[0]["id"] && event["object"] == "chat.completion.chunk" && event["model"] == "a")
        );
    }

    #[tokio::test]
    async fn usage_comes_only_to_who_asked_and_is_null_before() {
        let mock = scripted("a: 'hel' 'lo' end").await;
        let mut client = Client::connect(&mock).await;
        let quiet = client.ask("a", true).await;
        assert!(!String::from_utf8_lossy(&quiet.body).contains("usage"));
        let asked = json!({"model": "a", "stream": true, "stream_options": {"include_usage": true}, "messages": [{"role": "user", "content": "say hello please"}]});
        let events = client.send(&asked).await.events();
        let (usage, before) = events.split_last().expect("events");
        assert!(before.iter().all(|event| event["usage"].is_null() && event.get("usage").is_some()));
        assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(5)));
    }

    #[tokio::test]
    async fn several_answers_are_interleaved_and_each_one_finishes() {
        let mock = scripted("a: 'hi' end").await;
        let ask = json!({"model": "a", "stream": true, "n": 2, "messages": [{"role": "user", "content": "x"}]});
        let events = Client::connect(&mock).await.send(&ask).await.events();
        let finished: Vec<_> = events.iter().filter(|event| event["choices"][0]["finish_reason"] == "stop").collect();
        assert_eq!((finished.len(), events.len()), (2, 6));
    }

    #[tokio::test]
    async fn an_end_of_body_without_a_proof_is_well_framed() {
        let answer = stream("'hel' eof").await;
        assert_eq!((answer.text().as_str(), answer.end), ("hel", End::Framed));
        assert!(!answer.body.ends_with(b"[DONE]\n\n"));
        assert_eq!(stream("head eof").await.body, b"");
    }

    #[tokio::test]
    async fn half_an_event_is_well_framed_and_no_json() {
        let answer = stream("'hel' half").await;
        assert_eq!(answer.end, End::Framed);
        let last = answer.body.rsplit(|byte| *byte == b'\n').next().expect("a line");
        assert!(last.starts_with(b"data: {") && serde_json::from_slice::<Value>(&last[6..]).is_err());
    }

    #[tokio::test]
    async fn a_cut_resets_the_connection_before_or_after_output() {
        let answer = stream("'hel' 20ms cut").await;
        assert_eq!((answer.text().as_str(), answer.end), ("hel", End::Reset));
        let nothing = stream("cut").await;
        assert_eq!((nothing.status, nothing.end), (0, End::Reset));
    }

    #[tokio::test]
    async fn a_refusal_closes_the_connection_before_any_byte() {
        let answer = stream("refuse").await;
        assert_eq!((answer.status, answer.end), (0, End::Closed));
    }

    #[tokio::test]
    async fn an_http_error_says_when_to_come_back() {
        let answer = stream("status 429 code 'slow_down' retry-after 1500ms").await;
        assert_eq!((answer.status, answer.end), (429, End::Framed));
        assert_eq!((answer.header("retry-after"), answer.header("retry-after-ms")), (Some("2"), Some("1500")));
        assert_eq!((&answer.json()["error"]["code"], &answer.json()["error"]["type"]), (&json!("slow_down"), &json!("rate_limit_error")));
        assert_eq!(stream("status 503").await.json()["error"]["code"], "server_is_overloaded");
        assert_eq!(stream("status 307").await.header("location"), Some("/mock/elsewhere"));
    }

    #[tokio::test]
    async fn error_events_have_three_forms_and_no_end_marker_follows() {
        let nested = stream("'hel' error 'it broke'").await;
        assert_eq!(
            nested.events()[2],
            json!({"error": {"message": "it broke", "type": "server_error", "param": null, "code": "server_error"}})
        );
        assert!(!nested.body.ends_with(b"[DONE]\n\n"));
        assert_eq!(stream("error-flat 'it broke'").await.events()[0]["object"], "error");
        let router = &stream("error-openrouter 'it broke'").await.events()[0];
        assert_eq!((&router["error"]["code"], &router["choices"][0]["finish_reason"]), (&json!(502), &json!("error")));
    }

    #[tokio::test]
    async fn a_malformed_event_stands_between_good_ones() {
        let answer = stream("'hel' malformed 'lo' end").await;
        let data: Vec<_> = answer.data().into_iter().filter(|data| data != "[DONE]").collect();
        let broken = data.iter().filter(|data| serde_json::from_str::<Value>(data).is_err()).count();
        assert_eq!((broken, data.len()), (1, 5));
    }

    #[tokio::test]
    async fn reasoning_refusals_comments_and_own_events_go_out_as_written() {
        let script = r#"norole reasoning 'hm' refusal 'no' comment blank chunk '"choices":[],"x":1' data '{"y":2}' raw ':z\n\n' done"#;
        let answer = stream(script).await;
        let events = answer.events();
        assert_eq!(events[0]["choices"][0]["delta"], json!({"reasoning_content": "hm"}));
        assert_eq!(events[1]["choices"][0]["delta"], json!({"refusal": "no"}));
        assert_eq!((&events[2]["x"], &events[2]["object"]), (&json!(1), &json!("chat.completion.chunk")));
        assert_eq!(events[3], json!({"y": 2}));
        let text = String::from_utf8(answer.body).expect("text");
        assert!(text.contains("\n\n: ka\n\n\ndata: ") && text.ends_with(":z\n\ndata: [DONE]\n\n"), "{text}");
    }

    #[tokio::test]
    async fn line_ends_are_as_told_in_every_line() {
        let answer = stream("lines cr comment 'hel' end").await;
        assert!(!answer.body.contains(&b'\n') && answer.body.ends_with(b"data: [DONE]\r\r"));
        let answer = stream("lines crlf 'hel' end").await;
        assert_eq!(
            answer.body.iter().filter(|byte| **byte == b'\n').count(),
            answer.body.windows(2).filter(|pair| pair == b"\r\n").count()
        );
    }

    #[tokio::test]
    async fn dripped_and_joined_writes_carry_the_same_bytes() {
        let calm = stream("words 20 end").await;
        for how in ["bytes 1", "bytes 7", "burst", "burst 3"] {
            let answer = stream(&format!("{how} words 20 end")).await;
            assert_eq!((answer.text(), answer.end), (calm.text(), End::Framed), "{how}");
        }
    }

    #[tokio::test]
    async fn a_stamp_is_the_time_of_the_event_on_the_clock_of_every_process() {
        let before = monotonic_nanos();
        let answer = stream("stamp words 3 end").await;
        let stamps: Vec<_> = answer.events().iter().filter_map(|event| event["t"].as_u64()).collect();
        assert_eq!(stamps.len(), 5, "role, words and finish");
        assert!(stamps.is_sorted() && stamps[0] > before && stamps[4] < monotonic_nanos());
    }

    #[tokio::test]
    async fn waits_last_as_long_as_told_without_adding_up() {
        let started = Instant::now();
        stream("head 30ms words 11 every 10ms end").await;
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(130) && took < Duration::from_millis(400), "{took:?}");
    }

    #[tokio::test]
    async fn an_old_client_gets_a_body_that_ends_with_the_connection() {
        let mock = scripted("a: 'hel' 'lo' end").await;
        let mut client = Client::connect(&mock).await;
        client.version = "HTTP/1.0";
        let answer = client.ask("a", true).await;
        assert_eq!((answer.text().as_str(), answer.end), ("hello", End::Closed));
    }

    #[tokio::test]
    async fn every_fixture_is_played_over_a_socket() {
        for name in crate::script::fixtures::names() {
            let answer = stream(&format!("fixture {name}")).await;
            let expected = if name == "cut-reset" { End::Reset } else { End::Framed };
            assert_eq!(answer.end, expected, "{name}");
        }
        assert_eq!(stream("fixture html-502").await.status, 502);
    }
}

mod whole_answers {
    use super::*;

    #[tokio::test]
    async fn what_was_said_is_one_message_with_usage() {
        let answer = whole("reasoning 'hm' 'hel' 20ms 'lo' end").await;
        let json = answer.json();
        assert_eq!((answer.status, answer.end, &json["object"]), (200, End::Framed, &json!("chat.completion")));
        let message = json!({"role": "assistant", "content": "hello", "refusal": null, "reasoning_content": "hm"});
        assert_eq!((&json["choices"][0]["message"], &json["choices"][0]["finish_reason"]), (&message, &json!("stop")));
        assert_eq!(json["usage"]["completion_tokens"], 3);
    }

    #[tokio::test]
    async fn tool_calls_and_several_answers_are_folded_together() {
        let tools = whole("fixture tools").await.json();
        let call =
            json!({"index": 0, "id": "call_1", "type": "function", "function": {"name": "tide", "arguments": "{\"port\":\"Brest\"}"}});
        assert_eq!(tools["choices"][0]["message"]["tool_calls"], json!([call]));
        assert_eq!(tools["choices"][0]["finish_reason"], "tool_calls");
        let two = whole("fixture n2").await.json();
        assert_eq!((&two["choices"][1]["message"]["content"], &two["choices"][1]["finish_reason"]), (&json!("bonjour"), &json!("length")));
    }

    #[tokio::test]
    async fn faults_end_a_whole_answer_in_their_own_way() {
        assert_eq!(whole("'hel' eof").await.end, End::Closed);
        let cut = whole("'hel' cut").await;
        assert_eq!((cut.status, cut.end), (200, End::Reset));
        let nothing = whole("20ms cut").await;
        assert_eq!((nothing.status, nothing.end), (0, End::Reset));
        assert_eq!(whole("role cut").await.status, 200);
        let half = whole("'hel' half").await;
        assert!(half.end == End::Framed && serde_json::from_slice::<Value>(&half.body).is_err());
        let malformed = whole("malformed 'hel' end").await;
        assert!(malformed.end == End::Framed && serde_json::from_slice::<Value>(&malformed.body).is_err());
        let error = whole("error 'it broke'").await;
        assert_eq!((error.status, &error.json()["error"]["message"]), (500, &json!("it broke")));
        assert_eq!(whole("1ms status 503").await.status, 503);
        assert_eq!(whole("refuse").await.end, End::Closed);
        assert_eq!(whole("'hel' finish").await.json()["choices"][0]["message"]["content"], "hel");
    }

    #[tokio::test]
    async fn a_stall_after_text_comes_in_the_middle_of_the_body_and_before_text_instead_of_the_head() {
        for (script, status) in [("'hel' stall", 200), ("20ms role stall", 0)] {
            let mock = scripted(&format!("a: {script}")).await;
            let mut client = Client::connect(&mock).await;
            client.send_only("a", false).await;
            let waited = tokio::time::timeout(Duration::from_millis(100), client.answer()).await;
            assert!(waited.is_err(), "{script}: {waited:?}");
            assert_eq!(mock.journal().entries()[0].status, status, "{script}");
        }
    }

    #[tokio::test]
    async fn an_early_head_and_blank_lines_come_before_the_json() {
        let answer = whole("blank 10ms blank 'hel' end").await;
        assert!(answer.body.starts_with(b"\n\n{") && answer.end == End::Framed);
        assert_eq!(answer.json()["choices"][0]["message"]["content"], "hel");
        let error = whole("head 10ms error 'it broke'").await;
        assert_eq!((error.status, &error.json()["error"]["message"]), (200, &json!("it broke")));
    }
}

mod requests {
    use super::*;

    #[tokio::test]
    async fn a_model_name_forces_a_fault_without_any_scenario() {
        let mock = plain().await;
        let answer = Client::connect(&mock).await.ask("mock:cut@3,gap=1ms", true).await;
        assert_eq!((answer.text().as_str(), answer.end), ("The tide comes", End::Reset));
        let wrong = Client::connect(&mock).await.ask("mock:explode", true).await;
        assert_eq!((wrong.status, &wrong.json()["error"]["param"]), (400, &json!("model")));
        assert!(wrong.json()["error"]["message"].as_str().is_some_and(|text| text.contains("stall@10")));
        assert_eq!(Client::connect(&mock).await.ask("gpt-9", true).await.status, 404);
    }

    #[tokio::test]
    async fn each_request_of_a_target_takes_its_next_script_on_one_connection() {
        let mock = scripted("a: status 503 | 'one' end | 'two' end").await;
        let mut client = Client::connect(&mock).await;
        let mut texts = Vec::new();
        for _ in 0..4 {
            texts.push(client.ask("a", true).await.text());
        }
        assert_eq!(texts, ["", "one", "two", "two"]);
        assert!(mock.journal().entries().iter().all(|entry| entry.connection == 1));
    }

    #[tokio::test]
    async fn a_wrong_request_is_refused_like_a_strict_provider_does() {
        let mock = plain().await;
        let message = json!([{"role": "user", "content": "x"}]);
        let wrong = [
            (json!({"messages": message}), "model"),
            (json!({"model": "", "messages": message}), "model"),
            (json!({"model": "mock"}), "messages"),
            (json!({"model": "mock", "messages": []}), "messages"),
            (json!({"model": "mock", "messages": [{"content": "x"}]}), "messages"),
            (json!({"model": "mock", "messages": [{"role": "robot"}]}), "messages"),
            (json!({"model": "mock", "messages": message, "stream": "yes"}), "stream"),
            (json!({"model": "mock", "messages": message, "stream_options": {"include_usage": true}}), "stream_options"),
            (json!({"model": "mock", "messages": message, "n": 0}), "n"),
        ];
        let mut client = Client::connect(&mock).await;
        for (body, param) in wrong {
            let answer = client.send(&body).await;
            assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!(param)), "{body}");
        }
        assert_eq!(client.post("/v1/chat/completions", b"{").await.status, 400);
        assert_eq!(client.post("/v1/elsewhere", b"{}").await.status, 404);
    }

    #[tokio::test]
    async fn another_key_is_refused_and_the_right_one_is_taken_from_both_headers() {
        let settings = MockSettings { api_key: Some("sk-right".to_owned()), ..MockSettings::default() };
        let mock = Mock::start(settings).await.expect("a free port");
        let mut client = Client::connect(&mock).await;
        for (header, status) in
            [("", 401), ("authorization: Bearer sk-wrong", 401), ("authorization: Bearer sk-right", 200), ("x-api-key: sk-right", 200)]
        {
            client.header = header;
            assert_eq!(client.ask("mock:words=1", false).await.status, status, "{header}");
        }
    }

    #[tokio::test]
    async fn bytes_that_are_no_http_are_answered_and_the_connection_ends() {
        let mock = plain().await;
        let answer = Client::connect(&mock).await.raw(b"\x16\x03\x01 hello\r\n\r\n").await;
        assert_eq!((answer.status, answer.header("connection")), (400, Some("close")));
    }

    #[tokio::test]
    async fn a_chunked_request_and_one_that_waits_for_a_go_ahead_are_read() {
        let mock = plain().await;
        let body = br#"{"model":"mock:words=1","messages":[{"role":"user","content":"x"}]}"#;
        let (one, two) = body.split_at(20);
        let mut request = b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        for part in [one, two, b""] {
            http::write_piece(&mut request, http::Framing::Chunked, part);
        }
        assert_eq!(Client::connect(&mock).await.raw(&request).await.status, 200);
        assert_eq!(mock.journal().entries()[0].body, body.as_slice());
        let mut request =
            format!("POST /v1/chat/completions HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
        request.extend_from_slice(body);
        assert_eq!(Client::connect(&mock).await.raw(&request).await.status, 100);
    }

    #[tokio::test]
    async fn two_requests_in_one_write_are_answered_in_order() {
        let mock = scripted("a: 5ms 'one' end | 'two' end").await;
        let mut client = Client::connect(&mock).await;
        let request = client.request("/v1/chat/completions", br#"{"model":"a","stream":true,"messages":[{"role":"user"}]}"#);
        let first = client.raw(&[request.clone(), request].concat()).await;
        assert_eq!((first.text(), client.answer().await.text()), ("one".to_owned(), "two".to_owned()));
    }

    #[tokio::test]
    async fn models_lists_the_mock_and_the_targets() {
        let mock = scripted("a: end; b: end").await;
        let ids: Vec<_> = Client::connect(&mock).await.get("/v1/models").await.json()["data"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|model| model["id"].clone())
            .collect();
        assert_eq!(ids, ["mock", "a", "b"]);
    }
}

mod journal {
    use super::*;

    #[tokio::test]
    async fn an_entry_has_what_was_asked_and_what_was_sent() {
        let mock = scripted("a: 'hel' comment 'lo' end").await;
        let mut client = Client::connect(&mock).await;
        client.header = "authorization: Bearer sk-secret";
        let answer = client.ask("a", true).await;
        let entries = mock.journal().wait_until(|entries| entries.iter().all(|entry| entry.finished), SOON).await.expect("finished");
        let entry = &entries[0];
        assert_eq!((entry.n, entry.connection, entry.model.as_str(), entry.status), (1, 1, "a", 200));
        assert!(entry.headers.contains(&("authorization".to_owned(), "Bearer sk-secret".to_owned())));
        assert_eq!(serde_json::from_slice::<Value>(&entry.body).expect("JSON")["model"], "a");
        assert_eq!((entry.events_sent, entry.output_events_sent, entry.peer_left_at), (5, 2, None));
        assert_eq!(entry.bytes_sent, answer.wire_bytes);
        let published = client.get("/mock/journal").await;
        assert!(!String::from_utf8_lossy(&published.body).contains("sk-secret"));
        assert_eq!((&published.json()["open"], &published.json()["entries"][0]["events_sent"]), (&json!(0), &json!(5)));
    }

    #[tokio::test]
    async fn a_peer_that_leaves_is_seen_at_once_in_every_kind_of_silence() {
        // The waits are longer than a test may take: only the end of the connection can end these streams.
        for (script, stream) in
            [("stall", true), ("1h 'hel' end", true), ("'hel' stall", true), ("head 1h end", true), ("'hel' 1h end", false)]
        {
            let mock = scripted(&format!("a: {script}")).await;
            let mut client = Client::connect(&mock).await;
            client.send_only("a", stream).await;
            mock.journal().wait_until(|entries| entries.len() == 1, SOON).await.expect("the request arrived");
            assert_eq!(Client::connect(&mock).await.get("/mock/open").await.json(), json!({"open": 1}), "{script}");
            drop(client);
            let left = Instant::now();
            let entries = mock.journal().wait_until(|entries| entries[0].peer_left_at.is_some(), SOON).await.expect("it left");
            assert!(left.elapsed() < Duration::from_millis(100), "{script}: {:?}", left.elapsed());
            assert!(!entries[0].finished);
            mock.journal().wait_until(|_| mock.journal().open() == 0, SOON).await.expect("nothing is open");
        }
    }

    #[tokio::test]
    async fn a_peer_that_does_not_read_holds_the_stream_back_until_it_leaves() {
        let mock = plain().await;
        let mut client = Client::connect(&mock).await;
        client.send_only("mock:words=4000000000,gap=0s", true).await;
        // It writes until the sockets' buffers are full, and then no more.
        let mut before = 0;
        mock.journal().wait_until(|entries| entries.first().is_some_and(|entry| entry.bytes_sent > 1000), SOON).await.expect("it began");
        loop {
            tokio::time::sleep(Duration::from_millis(30)).await; // The buffers' size is the system's secret.
            let sent = mock.journal().entries()[0].bytes_sent;
            if sent == before {
                break;
            }
            before = sent;
        }
        drop(client);
        let entries = mock.journal().wait_until(|entries| entries[0].peer_left_at.is_some(), SOON).await.expect("it left");
        assert_eq!(entries[0].bytes_sent, before);
    }

    #[tokio::test]
    async fn the_oldest_entries_are_forgotten_beyond_the_bounds() {
        let settings = MockSettings { journal_entries: 2, ..MockSettings::default() };
        let mock = Mock::start(settings).await.expect("a free port");
        let mut client = Client::connect(&mock).await;
        for _ in 0..3 {
            client.ask("mock:words=1", false).await;
        }
        let remembered: Vec<_> = mock.journal().entries().iter().map(|entry| entry.n).collect();
        assert_eq!(remembered, [2, 3]);
        let mock = Mock::start(MockSettings { journal_bytes: 10, ..MockSettings::default() }).await.expect("a free port");
        Client::connect(&mock).await.ask("mock:words=1", false).await;
        assert!(mock.journal().entries().is_empty());
    }

    #[tokio::test]
    async fn a_wait_that_is_not_met_returns_what_there_is() {
        let mock = plain().await;
        Client::connect(&mock).await.ask("mock:words=1", false).await;
        let entries = mock.journal().wait_until(|entries| entries.len() == 2, Duration::from_millis(10)).await;
        assert_eq!(entries.expect_err("there is one only").len(), 1);
    }
}

#[tokio::test]
async fn a_stopped_mock_closes_its_connections_and_its_port() {
    let mock = scripted("a: stall").await;
    let addr = mock.addr();
    assert_eq!(mock.base_url(), format!("http://{addr}/v1"));
    let mut client = Client::connect(&mock).await;
    client.send_only("a", true).await;
    mock.journal().wait_until(|entries| entries.len() == 1, SOON).await.expect("the request arrived");
    mock.stop().await;
    assert_ne!(client.answer().await.end, End::Framed);
    assert!(tokio::net::TcpStream::connect(addr).await.is_err());
}
