//! What `deploy/` ships: its configuration runs, its proxy makes two gateways one, and everything that it names exists.

mod files;
mod topology;

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use files::Files;
use rustix::process::Signal;
use tempfile::TempDir;
use tidegate_e2e::chat::request;
use tidegate_e2e::world::{PROVIDER_KEY, make_key};
use tidegate_e2e::{Answer, Chat, Gateway, Nginx, Process, View, eventually};
use tidegate_scenario::{Mock, MockSettings};
use tokio::process::Command;

/// Two gateways as `compose.yaml` starts them, behind its nginx.
struct Deployed {
    mock: Mock,
    gateways: [Gateway; 2],
    nginx: Nginx,
    key: String,
    folders: [TempDir; 2],
}

impl Deployed {
    async fn start(scenario: &str) -> Result<Self> {
        let mock = Mock::start(MockSettings { script: Some(scenario.parse()?), ..MockSettings::default() }).await?;
        let folders = [TempDir::new()?, TempDir::new()?];
        let key = make_key(folders[0].path()).await?;
        std::fs::copy(folders[0].path().join("tidegate.db"), folders[1].path().join("tidegate.db"))?;
        let gateways = [gateway(&folders[0], &mock).await?, gateway(&folders[1], &mock).await?];
        let deployed = files::read("nginx.conf")?;
        let nginx = Nginx::configured(&[], |addr| {
            let text = deployed.replace("listen 8080;", &format!("listen {addr};")).replace("/tmp/", "");
            let places = [("gateway-1:8080", gateways[0].addr()), ("gateway-2:8080", gateways[1].addr())];
            places.iter().fold(text, |text, (name, addr)| text.replace(name, &addr.to_string()))
        });
        Ok(Self { nginx: nginx.await?, mock, gateways, key, folders })
    }

    async fn send(&self, model: &str) -> Result<Answer> {
        Answer::to(self.nginx.addr(), &Chat::new(model).key(&self.key).bytes()).await
    }

    async fn chat(&self, model: &str) -> Result<View> {
        self.send(model).await?.view().await
    }

    /// The status of a resource at the proxy or at one of the gateways.
    async fn status(&self, addr: SocketAddr, path: &str) -> Result<u16> {
        let key = [("authorization".to_owned(), format!("Bearer {}", self.key))];
        Ok(Answer::to(addr, &request("GET", path, &key, b"")).await?.status)
    }
}

/// A gateway with the deployed configuration; only its address and its provider's are this test's.
async fn gateway(folder: &TempDir, mock: &Mock) -> Result<Gateway> {
    let config = files::path("tidegate.toml");
    let environment = [
        ("TIDEGATE__SERVER__LISTEN", "127.0.0.1:0"),
        ("TIDEGATE__PROVIDERS__OPENAI__BASE_URL", &mock.base_url()),
        ("OPENAI_API_KEY", PROVIDER_KEY),
        ("TIDEGATE_CONFIG", config.to_str().context("the repository's path is text")?),
    ];
    Gateway::start(folder.path(), &[], &environment).await
}

#[tokio::test(flavor = "multi_thread")]
async fn words_come_one_by_one_through_the_deployed_proxy_and_one_key_opens_both_gateways() -> Result<()> {
    let deployed = Deployed::start("m: words 20 every 50ms end").await?;
    for _ in 0..4 {
        let view = deployed.chat("m").await?;
        assert!(view.completed() && view.output_events == 20, "{view:?}");
        let spread = view.events[19].at - view.events[0].at;
        assert!(spread.as_millis() > 800, "a second of words came within {spread:?}");
        // Whichever gateway is asked for the record, the one that has it answers.
        for _ in 0..2 {
            let path = format!("/v1/streams/{}", view.stream_id());
            assert_eq!(deployed.status(deployed.nginx.addr(), &path).await?, 200);
        }
    }
    for gateway in &deployed.gateways {
        assert!(gateway.metric("tidegate_streams_opened_total").await? > 0.0, "one gateway got everything");
    }
    assert_eq!(deployed.mock.journal().entries().len(), 4);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_opens_a_session_through_the_deployed_proxy_and_another_gateway_opens_them_while_the_first_is_away() -> Result<()> {
    let mut deployed = Deployed::start("m: 'hello' end").await?;
    let proxy = deployed.nginx.addr();
    for _ in 0..3 {
        let key = [("authorization".to_owned(), format!("Bearer {}", deployed.key))];
        let made = Answer::to(proxy, &request("POST", "/v1/sessions/tickets", &key, b"")).await?.view().await?;
        let ticket = made.body.as_ref().and_then(|body| body["ticket"].as_str()).with_context(|| format!("{made:?}"))?;
        assert_eq!(handshake(proxy, &format!("/v1/sessions?ticket={ticket}"), None).await?, 101);
    }
    for path in ["/v1/sessions", "/"] {
        assert_eq!(handshake(proxy, path, Some(&deployed.key)).await?, 101, "{path}");
    }
    deployed.gateways[0].signal(Signal::KILL)?;
    deployed.gateways[0].ended().await?;
    assert_eq!(handshake(proxy, "/v1/sessions", Some(&deployed.key)).await?, 101);
    Ok(())
}

/// The status of the answer to a WebSocket's handshake.
async fn handshake(addr: SocketAddr, path: &str, key: Option<&str>) -> Result<u16> {
    let words = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")];
    let nonce = [("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")];
    let mut headers: Vec<(String, String)> = words.iter().chain(&nonce).map(|(name, value)| ((*name).into(), (*value).into())).collect();
    headers.extend(key.map(|key| ("x-api-key".to_owned(), key.to_owned())));
    Ok(Answer::to(addr, &request("GET", path, &headers, b"")).await?.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_readiness_are_not_reached_through_the_proxy() -> Result<()> {
    let deployed = Deployed::start("m: 'hello' end").await?;
    for path in ["/metrics", "/readyz", "/healthz", "/"] {
        assert_eq!(deployed.status(deployed.nginx.addr(), path).await?, 404, "{path}");
    }
    assert_eq!(deployed.status(deployed.nginx.addr(), "/v1/models").await?, 200);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn while_one_gateway_drains_the_other_takes_every_new_stream_and_no_running_one_is_lost() -> Result<()> {
    let mut deployed = Deployed::start("long: words 30 every 100ms end; m: 'hello' end").await?;
    let mut running = vec![deployed.send("long").await?, deployed.send("long").await?];
    for answer in &mut running {
        answer.event().await?;
    }
    deployed.gateways[0].signal(Signal::TERM)?;
    let unready = async || deployed.gateways[0].get("/readyz").await.ok().filter(|view| view.status == 503);
    eventually("readiness flips", unready).await?;
    for _ in 0..6 {
        let view = deployed.chat("m").await?;
        assert!(view.completed(), "{view:?}");
    }
    for answer in running {
        let view = answer.view().await?;
        assert!(view.completed(), "{view:?}");
    }
    assert_eq!(deployed.gateways[0].ended().await?.code(), Some(0));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_killed_before_its_answer_began_is_replaced_unseen() -> Result<()> {
    let mut deployed = Deployed::start("slow: 1s 'hello' end; m: 'hello' end").await?;
    let kill = async {
        eventually("both wait for the provider", async || (deployed.mock.journal().entries().len() == 2).then_some(())).await?;
        deployed.gateways[0].signal(Signal::KILL)
    };
    let (first, second, killed) = tokio::join!(deployed.send("slow"), deployed.send("slow"), kill);
    killed?;
    for answer in [first?, second?] {
        let view = answer.view().await?;
        assert!(view.completed(), "{view:?}");
    }
    deployed.gateways[0].ended().await?;
    for _ in 0..4 {
        assert!(deployed.chat("m").await?.completed());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_made_later_is_brought_to_a_running_gateway_and_so_is_its_end() -> Result<()> {
    let deployed = Deployed::start("m: 'hello' end").await?;
    let made = TempDir::new()?;
    let key = make_key(made.path()).await?;
    std::fs::rename(made.path().join("tidegate.db"), made.path().join("keys.db"))?;
    let ledger = deployed.folders[1].path().join("tidegate.db");
    let answers = async |status| {
        share_keys(made.path(), &ledger).await?;
        let gateway = &deployed.gateways[1];
        let look = async || gateway.get_with_key("/v1/models", Some(&key)).await.ok().filter(|view| view.status == status);
        eventually(status, look).await
    };
    answers(200).await?;

    std::fs::rename(made.path().join("keys.db"), made.path().join("tidegate.db"))?;
    tidegate_e2e::run(made.path(), &["keys", "revoke", &key[..7]]).await?;
    std::fs::rename(made.path().join("tidegate.db"), made.path().join("keys.db"))?;
    answers(401).await?;
    Ok(())
}

/// Runs the deployed statements in `folder` on a ledger, as `sqlite3` would; Python has it inside.
async fn share_keys(folder: &Path, ledger: &Path) -> Result<()> {
    let script = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=10).executescript(open(sys.argv[2]).read())";
    let mut python = Command::new("python3");
    let status = python.arg("-c").arg(script).arg(ledger).arg(files::path("share-keys.sql")).current_dir(folder).status().await?;
    ensure!(status.success(), "share-keys.sql fails");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_images_health_check_tells_a_gateway_that_lives_from_one_that_is_gone() -> Result<()> {
    let mut deployed = Deployed::start("m: 'hello' end").await?;
    let image = files::read("Containerfile")?;
    let (_, check) = image.split_once("    CMD ").context("the image has a health check")?;
    let check: Vec<String> = serde_json::from_str(check.lines().next().unwrap_or_default())?;
    let port = deployed.gateways[0].addr().port().to_string();
    let healthy = async || -> Result<bool> {
        let arguments = check[1..].iter().map(|argument| argument.replace("8080", &port));
        Ok(Command::new(&check[0]).args(arguments).stderr(Stdio::null()).status().await?.success())
    };
    assert!(healthy().await?);
    deployed.gateways[0].signal(Signal::KILL)?;
    deployed.gateways[0].ended().await?;
    assert!(!healthy().await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_setting_that_a_deployment_sets_is_accepted() -> Result<()> {
    let folder = TempDir::new()?;
    std::fs::write(folder.path().join("tidegate.toml"), files::read("tidegate.toml")?)?;
    for file in Files::all().iter() {
        let mut environment = file.settings();
        environment.push(("OPENAI_API_KEY", PROVIDER_KEY));
        let mut check = Process::spawn(folder.path(), &["config", "check"], &environment)?;
        assert!(check.ended().await?.success(), "{}: {}", file.name, check.printed());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_command_and_flag_that_a_deployment_names_exists() -> Result<()> {
    let folder = TempDir::new()?;
    let mut commands = 0;
    for file in Files::with_page().iter() {
        for command in file.commands() {
            let help = tidegate_e2e::run(folder.path(), &[&command.words[..], &["--help"]].concat()).await?;
            let help = String::from_utf8_lossy(&help.stdout).into_owned();
            assert!(help.contains(&format!("Usage: tidegate {}", command.words.join(" "))), "{}: {command:?}\n{help}", file.name);
            for flag in &command.flags {
                assert!(help.contains(flag), "{}: {command:?} has no {flag}\n{help}", file.name);
            }
            commands += 1;
        }
    }
    assert!(commands >= 5, "only {commands} commands were found");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_and_path_that_a_deployment_names_exists() -> Result<()> {
    let deployed = Deployed::start("m: 'hello' end").await?;
    let gateway = &deployed.gateways[0];
    // A family without a member is not shown: one answer and one refusal have to be there.
    gateway.chat(&Chat::new("m").key(&deployed.key)).await?;
    gateway.chat(&Chat::new("m")).await?;
    let metrics = gateway.text("/metrics").await?;
    for file in Files::with_page().iter() {
        for metric in file.metrics() {
            assert!(metrics.contains(&format!("# TYPE {metric} ")), "{}: no metric {metric}", file.name);
        }
        for path in file.paths() {
            assert_eq!(deployed.status(gateway.addr(), path).await?, 200, "{}: {path}", file.name);
        }
    }
    Ok(())
}

#[test]
fn every_grace_period_is_longer_than_the_drain_with_all_that_comes_before_and_after_it() -> Result<()> {
    // Two seconds for last words and ten for last rows, as `serve` has it, and some to spare.
    const AFTER: u64 = 15;
    let drain = files::number("tidegate.toml", "drain = \"")?;
    let sleep = files::number("kubernetes/gateway.yaml", "[\"sleep\", \"")?;
    for (name, label, before) in [
        ("compose.yaml", "stop_grace_period: ", 0),
        ("kubernetes/gateway.yaml", "terminationGracePeriodSeconds: ", sleep),
        ("systemd/tidegate.service", "TimeoutStopSec=", 0),
        ("workers/worker.yaml", "terminationGracePeriodSeconds: ", 0),
    ] {
        let grace = files::number(name, label)?;
        assert!(grace >= before + drain + AFTER, "{name}: {grace} s");
    }
    Ok(())
}

#[test]
fn every_deployment_agrees_on_the_port() -> Result<()> {
    for (name, expected) in [
        ("Containerfile", &["EXPOSE 8080", "LISTEN=0.0.0.0:8080", "/dev/tcp/127.0.0.1/8080"][..]),
        ("nginx.conf", &["gateway-1:8080", "gateway-2:8080"]),
        ("kubernetes/gateway.yaml", &["containerPort: 8080", "prometheus.io/port: \"8080\""]),
        ("workers/worker.yaml", &["--listen, \"0.0.0.0:8080\"", "containerPort: 8080", "prometheus.io/port: \"8080\""]),
        ("compose.yaml", &["\"worker\", \"--listen\", \"0.0.0.0:8080\"", "\"127.0.0.1:8080:8080\""]),
    ] {
        let text = files::read(name)?;
        for expected in expected {
            assert!(text.contains(expected), "{name} does not say {expected}");
        }
    }
    Ok(())
}
