//! A real nginx: in front of a gateway, or in front of a provider.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::wait::eventually;

/// How nginx is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxying {
    /// As installed: `proxy_pass` and nothing else. HTTP/1.0 to the gateway, buffering on.
    Default,
    /// As docs/proxies.md says, word for word.
    Ours,
    /// Compresses every answer that it may, event streams included.
    Gzip,
}

impl Proxying {
    /// The blocks within `http` for a proxy in front of `upstream` that listens on [`ANYWHERE`].
    fn blocks(self, upstream: SocketAddr) -> Result<String> {
        let settings = match self {
            Self::Default => "",
            Self::Ours => return replaced(&documented()?, "http://127.0.0.1:8080", &format!("http://{upstream}")),
            Self::Gzip => "gzip on; gzip_min_length 0; gzip_proxied any; gzip_types *;",
        };
        Ok(format!("server {{ {ANYWHERE} location / {{ proxy_pass http://{upstream}; {settings} }} }}"))
    }
}

/// What an address to listen on takes the place of.
const ANYWHERE: &str = "listen 80;";

/// The first nginx configuration of docs/proxies.md.
fn documented() -> Result<String> {
    let page = std::fs::read_to_string(crate::root().join("docs/proxies.md"))?;
    let (_, from) = page.split_once("```nginx\n").context("docs/proxies.md has no nginx configuration")?;
    Ok(from.split("```").next().unwrap_or(from).to_owned())
}

fn replaced(text: &str, words: &str, others: &str) -> Result<String> {
    ensure!(text.contains(words), "nginx's configuration does not say `{words}`");
    Ok(text.replace(words, others))
}

/// A running nginx. Dropping it kills it.
pub struct Nginx {
    addr: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl Nginx {
    /// Starts nginx in front of `upstream`.
    ///
    /// # Errors
    ///
    /// nginx is not installed or does not start.
    pub async fn start(proxying: Proxying, upstream: SocketAddr) -> Result<Self> {
        Self::serve(&proxying.blocks(upstream)?).await
    }

    /// Starts nginx in front of `upstream` as docs/proxies.md says, but with `others` where the page says `words`.
    ///
    /// # Errors
    ///
    /// As for [`Nginx::start`], or the page does not say so.
    pub async fn start_but(upstream: SocketAddr, words: &str, others: &str) -> Result<Self> {
        Self::serve(&replaced(&Proxying::Ours.blocks(upstream)?, words, others)?).await
    }

    async fn serve(blocks: &str) -> Result<Self> {
        Self::configured(&[], |addr| configuration(&blocks.replace(ANYWHERE, &format!("listen {addr};")))).await
    }

    /// Starts nginx with these files in its folder and what `server` says of the server at an address.
    ///
    /// # Errors
    ///
    /// nginx is not installed or does not start.
    pub async fn launch(files: &[(&str, String)], server: impl Fn(SocketAddr) -> String) -> Result<Self> {
        Self::configured(files, |addr| configuration(&format!("server {{ {} }}", server(addr)))).await
    }

    /// Starts nginx with these files in its folder and a whole configuration for an address; relative paths in it are below that folder.
    ///
    /// # Errors
    ///
    /// nginx is not installed or does not start.
    pub async fn configured(files: &[(&str, String)], configuration: impl Fn(SocketAddr) -> String) -> Result<Self> {
        let folder = TempDir::new()?;
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text)?;
        }
        // nginx cannot say which port it took, so a free one is looked for; another process may be faster, hence the tries.
        for _ in 0..10 {
            let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let text = format!("daemon off; master_process off;\n{}", configuration(addr));
            std::fs::write(folder.path().join("nginx.conf"), text)?;
            if let Some(child) = running(folder.path(), addr).await? {
                return Ok(Self { addr, child, folder });
            }
        }
        bail!("nginx ends at once: {}", std::fs::read_to_string(folder.path().join("error.log")).unwrap_or_default())
    }

    /// Kills it, which cuts all its connections, and starts it again at the same address.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn restart(&mut self) -> Result<()> {
        self.child.kill().await?;
        self.child = running(self.folder.path(), self.addr).await?.context("nginx does not start again")?;
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The base URL for an SDK.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.addr)
    }
}

/// A process that serves at `addr`, or nothing where it ended at once.
async fn running(folder: &Path, addr: SocketAddr) -> Result<Option<Child>> {
    let mut child = program(folder).spawn().context("nginx does not start; scripts/test installs it")?;
    let up = eventually("nginx", async || match child.try_wait() {
        Ok(None) => TcpStream::connect(addr).await.ok().map(|_| true),
        _ => Some(false),
    });
    Ok(up.await?.then_some(child))
}

fn program(folder: &Path) -> Command {
    let installed = Path::new("/usr/sbin/nginx");
    let mut command = Command::new(if installed.exists() { installed } else { Path::new("nginx") });
    command.arg("-p").arg(folder).args(["-e", "error.log", "-c", "nginx.conf"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

fn configuration(blocks: &str) -> String {
    format!(
        "pid nginx.pid; worker_rlimit_nofile 8192;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; client_body_temp_path body; proxy_temp_path proxy;\n\
         fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n\
         {blocks} }}\n"
    )
}
