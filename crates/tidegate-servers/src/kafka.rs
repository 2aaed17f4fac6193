//! A real Kafka broker.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use tempfile::TempDir;

/// How long a broker may take to start; generous, because two cores run many tests at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// Small, quick to start, and done when the test is: throughput is not asked of it.
const JVM: [&str; 5] = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xlog:disable", "-Dlog4j2.level=OFF"];

/// The broker's classes as they are once loaded, beside the jars. They halve what a start costs, and a suite starts some dozens.
const CLASSES: &str = "classes.jsa";

/// Runs the broker until whoever started it is gone, however that one ended: the pipe at the standard input closes then. So a broker in a
/// static, or of a test that was killed, does not stay behind, nor does its folder. Two lines in the pipe, after the broker's end, say that
/// another leash takes the folder over: the first may still reach whoever was to kill the broker.
const LEASH: &str = r#"
    exec 3<&0
    "$@" </dev/null & broker=$!
    { read -r line <&3 || kill -9 $broker; } & watch=$!
    echo $broker
    wait $broker
    kill $watch 2>/dev/null
    read -r line <&3 || rm -rf "$FOLDER"
"#;

/// A running broker, which is its own controller too. Dropping it kills it.
///
/// It starts in two to four seconds and takes 350 MB, so one serves all tests of a program: each has topics of its own. All is blocking.
pub struct Kafka {
    address: SocketAddr,
    folder: PathBuf,
    leash: Child,
    broker: u32,
    /// What java is told about [`CLASSES`].
    classes: String,
}

impl Kafka {
    /// Which version is installed, such as `4.3.1`.
    ///
    /// # Errors
    ///
    /// Java or the broker is not installed.
    pub fn version() -> Result<String> {
        let output = java("-Xshare:auto")?.args(["kafka.Kafka", "--version"]).output().context(NO_JAVA)?;
        ensure!(output.status.success(), "the broker does not say its version: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    }

    /// Starts a broker without topics.
    ///
    /// # Errors
    ///
    /// Java or the broker is not installed, or the broker does not start.
    pub fn start() -> Result<Self> {
        let classes = jars()?.join(CLASSES);
        if !classes.exists() {
            // Several may come to this at once; the last one's stays.
            let new = classes.with_extension(std::process::id().to_string());
            Self::start_with(&format!("-XX:ArchiveClassesAtExit={}", new.display()))?.stop()?;
            fs::rename(new, &classes)?;
        }
        Self::start_with(&format!("-XX:SharedArchiveFile={}", classes.display()))
    }

    fn start_with(classes: &str) -> Result<Self> {
        // The broker cannot say which port it took, so free ones are looked for; another process may be faster, hence the tries.
        let mut said = String::new();
        for _ in 0..3 {
            let folder = TempDir::new()?.keep();
            let (address, controller) = (free_address()?, free_address()?);
            fs::write(folder.join("server.properties"), properties(&folder, address, controller))?;
            format_data(&folder)?;
            let (leash, broker) = spawn(&folder, classes)?;
            let mut kafka = Self { address, folder, leash, broker, classes: classes.to_owned() };
            if kafka.answers_in_time()? {
                return Ok(kafka);
            }
            said = fs::read_to_string(kafka.folder.join("broker.log")).unwrap_or_default();
        }
        bail!("the broker ends at once: {said}")
    }

    /// Where clients find it, as `KAFKA_BROKERS` has it.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Its process' id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.broker
    }

    /// Kills it, as a power cut would. What it has is on its disk.
    ///
    /// # Errors
    ///
    /// It was killed before.
    pub fn kill(&mut self) -> Result<()> {
        self.signal("-KILL")?;
        eventually("the broker's end", || Ok(!self.runs()))
    }

    /// Asks it to end, and waits for that.
    fn stop(self) -> Result<()> {
        self.signal("-TERM")?;
        eventually("the broker's end", || Ok(!self.runs()))
    }

    /// Starts it again, after [`Kafka::kill`], at the same address and on the same data.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub fn restart(&mut self) -> Result<()> {
        let pipe = self.leash.stdin.as_mut().context("the input is piped")?;
        pipe.write_all(b"another leash\nanother leash\n")?;
        self.leash.wait()?;
        (self.leash, self.broker) = spawn(&self.folder, &self.classes)?;
        ensure!(self.answers_in_time()?, "the broker does not start again");
        Ok(())
    }

    /// Whether it came to answer requests; not, if it ended first.
    fn answers_in_time(&mut self) -> Result<bool> {
        let mut ended = false;
        eventually("the broker", || {
            ended = !self.runs();
            Ok(ended || answers(self.address).is_ok())
        })?;
        Ok(!ended)
    }

    /// Stops it where it is: it keeps its sockets, and answers nothing.
    ///
    /// # Errors
    ///
    /// It runs no more.
    pub fn freeze(&self) -> Result<()> {
        self.signal("-STOP")
    }

    /// Lets it go on after [`Kafka::freeze`].
    ///
    /// # Errors
    ///
    /// It runs no more.
    pub fn thaw(&self) -> Result<()> {
        self.signal("-CONT")
    }

    fn signal(&self, signal: &str) -> Result<()> {
        let sent = Command::new("kill").args([signal, &self.broker.to_string()]).stderr(Stdio::null()).status()?;
        ensure!(sent.success(), "the broker runs no more");
        Ok(())
    }

    fn runs(&self) -> bool {
        Path::new("/proc").join(self.broker.to_string()).exists()
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        drop(self.leash.stdin.take());
        // It has nobody to tell if that fails, and the test is over.
        let _ = self.leash.wait();
    }
}

fn properties(folder: &Path, address: SocketAddr, controller: SocketAddr) -> String {
    let data = folder.join("data");
    let settings = [
        ("process.roles", "broker,controller".to_owned()),
        ("node.id", "1".to_owned()),
        ("controller.quorum.voters", format!("1@{controller}")),
        ("controller.listener.names", "CONTROLLER".to_owned()),
        ("listeners", format!("PLAINTEXT://{address},CONTROLLER://{controller}")),
        ("log.dirs", data.display().to_string()),
        ("auto.create.topics.enable", "false".to_owned()),
        ("offsets.topic.replication.factor", "1".to_owned()),
        ("offsets.topic.num.partitions", "1".to_owned()),
        // One that was killed is believed to live for so long, and until then takes itself for somebody else; by default nine seconds.
        ("broker.session.timeout.ms", "2000".to_owned()),
        ("broker.heartbeat.interval.ms", "200".to_owned()),
        // Groups are ready at once.
        ("group.initial.rebalance.delay.ms", "0".to_owned()),
    ];
    settings.iter().map(|(name, value)| format!("{name}={value}\n")).collect()
}

fn format_data(folder: &Path) -> Result<()> {
    // As an argument of its own, one that begins with a dash would be taken for an option.
    let cluster = format!("--cluster-id={}", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>()));
    let output =
        java("-Xshare:auto")?.args(["kafka.tools.StorageTool", "format", &cluster, "-c", "server.properties"]).current_dir(folder).output();
    let output = output.context(NO_JAVA)?;
    ensure!(output.status.success(), "the broker's folder cannot be formatted: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// The leash, and the broker's process id.
fn spawn(folder: &Path, classes: &str) -> Result<(Child, u32)> {
    let java = java(classes)?;
    let log = fs::File::create(folder.join("broker.log"))?;
    let mut command = Command::new("sh");
    command.args(["-c", LEASH, "leash"]).arg(java.get_program()).args(java.get_args()).args(["kafka.Kafka", "server.properties"]);
    command.current_dir(folder).env("FOLDER", folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
    let mut leash = command.spawn()?;
    let mut output = leash.stdout.take().context("the output is piped")?;
    let mut broker = Vec::new();
    let mut byte = [0];
    while output.read(&mut byte)? == 1 && byte != *b"\n" {
        broker.extend(byte);
    }
    Ok((leash, String::from_utf8(broker)?.parse().context("the leash does not name the broker's process")?))
}

const NO_JAVA: &str = "java does not start; scripts/test installs it";

fn java(classes: &str) -> Result<Command> {
    let mut class_path = OsString::from(jars()?);
    class_path.push("/*");
    let mut command = Command::new("java");
    command.args(JVM).arg(classes).arg("-cp").arg(class_path);
    Ok(command)
}

fn jars() -> Result<PathBuf> {
    let jars = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/kafka").canonicalize();
    jars.context("the broker is not there; scripts/test installs it into .cache/kafka")
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Asks it which requests it knows. A port that is open proves little: the broker opens it before it listens to anybody.
fn answers(address: SocketAddr) -> Result<()> {
    /// Length, request 18 (ApiVersions) in version 0, correlation 1, no client's name.
    const API_VERSIONS: [u8; 14] = [0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff];
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&API_VERSIONS)?;
    Ok(stream.read_exact(&mut [0; 10])?)
}

#[expect(clippy::disallowed_methods, reason = "another process is being watched: there is nothing to be woken by, and no stream to delay")]
fn eventually(what: &str, mut look: impl FnMut() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !look()? {
        ensure!(began.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
