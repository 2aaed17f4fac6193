//! Sessions as real clients use them: Python's `websockets`, Node's `ws`, and a page in Chromium. Their programs stand in `clients/`.

use std::net::TcpListener;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tidegate_e2e::{Chat, Line, Program, World, WorldBuilder, client_file, eventually, run_program};

/// The model of prompts that name none.
const MODEL: &str = "[sessions]\nmodel = \"m\"\n";
const LIBRARIES: [&str; 2] = ["python/session.py", "node/session.mjs"];

fn world(scenario: &str) -> WorldBuilder {
    World::of(scenario).more(MODEL)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_knows_five_messages_works_on_both_paths_and_needs_no_other() -> Result<()> {
    let (world, key) = world("m: 500ms 'hel' 'lo' end | 'hal' cut | 'hello again' end").start_with_key().await?;
    for path in ["/", "/v1/sessions"] {
        let url = format!("ws://{}{path}", world.gateway.addr());
        let output = run_program("python/simple.py", &[&url, &key, "Say hello.", "Say it again.", "Once more."]).await?;
        let (printed, aside) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
        ensure!(output.status.success(), "{printed}{aside}");
        let depths = printed.lines().filter_map(|line| line.strip_prefix("[task_")?.split_once(": "));
        assert_eq!(depths.map(|(_, depth)| depth).collect::<Vec<_>>(), ["0 in the queue]", "1 in the queue]", "2 in the queue]"]);
        let answers = printed.lines().filter(|line| !line.starts_with("[task_")).collect::<Vec<_>>();
        let cut = "[error: the provider's stream ended before the answer was complete]";
        // Of the mock's three scripts, the last one repeats.
        let all = ["hello", "[complete]", "hal", cut, "hello again", "[complete]"];
        let expected = if path == "/" { all.to_vec() } else { ["hello again", "[complete]"].repeat(3) };
        assert_eq!(answers, expected, "{path}");
        let unknown = aside.lines().collect::<Vec<_>>();
        assert!(unknown.iter().all(|line| *line == "(left alone: NOTICE)"), "only what a task is told, and no SESSION: {unknown:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_goes_on_after_a_cut_in_each_library_without_a_gap() -> Result<()> {
    for library in LIBRARIES {
        let (world, key) = world("m: words 100 every 10ms end | 'again' end; whole: words 100 end").start_with_key().await?;
        let line = Line::to(world.gateway.addr()).await?;
        let mut client = Program::start(library, &[&format!("ws://{}/v1/sessions", line.addr()), &key])?;
        client.tell("Say a hundred words.").await?;
        client.hear("the fifth piece", |message| message["type"] == "TOKEN" && message["seq"] == 6).await?;
        line.cut();
        client.tell("Say it again.").await?;
        // The answer ends while nobody reads it.
        world.journal("m", |entry| entry.finished).await?;
        line.mend();
        let said = client.finish().await?;

        let connections: Vec<_> = said.iter().filter(|message| message["client"] == "connected").collect();
        assert!(connections.len() == 2, "{library}: {connections:?}");
        let declined = |connection: &&Value| connection["subprotocol"] == "tidegate.v1" && connection["extensions"] == 0;
        assert!(connections.iter().all(declined), "{library} offers permessage-deflate, which is declined: {connections:?}");
        let sessions: Vec<_> = said.iter().filter(|message| message["type"] == "SESSION").map(|message| &message["resumed"]).collect();
        assert_eq!(sessions, [false, true], "{library}");
        let numbers = said.iter().filter_map(|message| message["seq"].as_u64());
        assert!(numbers.eq(1..=106), "{library}: {said:#?}");
        let whole = world.chat(&Chat::new("whole").key(&key)).await?.text;
        assert_eq!(text(&said), format!("{whole}again"), "{library}");
        assert_eq!(said.iter().filter(|message| message["type"] == "COMPLETE").count(), 2, "{library}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_library_stops_a_task_and_its_session_goes_on() -> Result<()> {
    for library in LIBRARIES {
        let world = world("m: 'hel' stall | 'hello' end").start().await?;
        let mut client = Program::start(library, &[&format!("ws://{}/v1/sessions", world.gateway.addr())])?;
        client.tell("Say hello.").await?;
        let token = client.hear("a piece", |message| message["type"] == "TOKEN").await?;
        client.tell(json!({"type": "CANCEL", "taskId": token["taskId"]})).await?;
        let error = client.hear("its end", |message| message["type"] == "ERROR").await?;
        assert!(error["code"] == "cancelled" && error["partial"] == true, "{library}: {error}");
        client.tell("Say hello.").await?;
        let said = client.finish().await?;
        assert_eq!(text(&said), "helhello", "{library}");
        assert_eq!(said.last().map(|message| &message["type"]), Some(&json!("COMPLETE")), "{library}");
    }
    Ok(())
}

fn text(said: &[Value]) -> String {
    said.iter().filter_map(|message| message["data"].as_str()).collect()
}

/// A page of an application with a server of its own, in a browser, and the line between that and the gateway.
struct Page {
    world: World,
    key: String,
    line: Line,
    port: u16,
    browser: Program,
    _application: Program,
}

impl Page {
    async fn of(scenario: &str) -> Result<Self> {
        // A browser learns of the application's port before the application has it: its origin stands in the gateway's configuration.
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let origin = format!("{MODEL}allowed_origins = [\"http://127.0.0.1:{port}\"]\n");
        let (world, key) = World::of(scenario).more(&origin).start_with_key().await?;
        let line = Line::to(world.gateway.addr()).await?;
        let (gateway, file) = (format!("http://{}", world.gateway.addr()), client_file("browser/session.html"));
        let file = file.to_str().context("a path is text")?;
        let mut application = Program::start("node/app.mjs", &[&port.to_string(), &gateway, &key, file])?;
        application.hear("where it listens", |said| said["listening"].is_string()).await?;
        let browser = Program::start("node/browser.mjs", &[])?;
        Ok(Self { world, key, line, port, browser, _application: application })
    }

    /// Opens the page, which the application has under two names: `127.0.0.1` is the one that the gateway knows.
    async fn open(&mut self, host: &str, more: &str) -> Result<()> {
        let url = format!("http://{host}:{}/?gateway=ws://{}{more}", self.port, self.line.addr());
        self.obey(json!({"open": url})).await.map(drop)
    }

    async fn ask(&mut self) -> Result<()> {
        self.obey(json!({"fill": "#prompt", "with": "Say hello."})).await?;
        self.obey(json!({"click": "#ask button"})).await.map(drop)
    }

    /// What an element says as soon as it holds `text`.
    async fn see(&mut self, element: &str, text: &str) -> Result<String> {
        self.obey(json!({"see": element, "text": text})).await
    }

    async fn obey(&mut self, order: Value) -> Result<String> {
        self.browser.tell(&order).await?;
        let done = self.browser.hear(&order.to_string(), |_| true).await?;
        Ok(done["text"].as_str().unwrap_or_default().to_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_connects_by_ticket_or_key_and_shows_an_answer_as_it_comes() -> Result<()> {
    let mut page = Page::of("m: 'hel' stall | 'hello' end").await?;
    let by_key = format!("&key={}", page.key);
    for credentials in ["", &by_key] {
        page.open("127.0.0.1", credentials).await?;
        page.see("#link", "open").await?;
        page.ask().await?;
        if credentials.is_empty() {
            // The provider says no more: what is seen came piece by piece.
            assert_eq!(page.see("#answer", "hel").await?, "hel");
            page.obey(json!({"click": "#stop"})).await?;
            page.see("#end", "cancelled").await?;
            page.ask().await?;
        }
        page.see("#end", "complete").await?;
        assert_eq!(page.see("#answer", "").await?, "hello");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_goes_on_with_its_answer_after_a_cut() -> Result<()> {
    let mut page = Page::of("m: words 100 every 10ms end; whole: words 100 end").await?;
    page.open("127.0.0.1", "").await?;
    page.see("#link", "open").await?;
    page.ask().await?;
    page.see("#answer", " ").await?;
    page.line.cut();
    page.see("#link", "lost").await?;
    page.world.journal("m", |entry| entry.finished).await?;
    page.line.mend();
    page.see("#end", "complete").await?;
    page.see("#link", "resumed").await?;
    let whole = page.world.chat(&Chat::new("whole").key(&page.key)).await?.text;
    assert_eq!(page.see("#answer", "").await?, whole);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_is_refused() -> Result<()> {
    let mut page = Page::of("m: 'hello' end").await?;
    page.open("localhost", "").await?;
    page.see("#link", "lost").await?;
    let refused = "tidegate_refusals_total{code=\"invalid_request\"}";
    eventually("a refusal", async || page.world.gateway.metric(refused).await.ok().filter(|count| *count > 0.0)).await?;
    assert_eq!(page.see("#link", "").await?, "lost");
    Ok(())
}
