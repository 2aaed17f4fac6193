//! A real nginx in front of a gateway.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

use crate::wait::eventually;

/// How nginx is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxying {
    /// As installed: `proxy_pass` and nothing else. HTTP/1.0 to the gateway, buffering on.
    Default,
    /// As Tidegate's documentation says.
    Ours,
    /// Compresses every answer that it may, event streams included.
    Gzip,
}

/// A running nginx. Dropping it kills it.
pub struct Nginx {
    addr: SocketAddr,
    _child: Child,
    _folder: TempDir,
}

impl Nginx {
    /// Starts nginx in front of `upstream`.
    ///
    /// # Errors
    ///
    /// nginx is not installed or does not start.
    pub async fn start(proxying: Proxying, upstream: SocketAddr) -> Result<Self> {
        let folder = TempDir::new()?;
        // nginx cannot say which port it took, so a free one is looked for; another process may be faster, hence the tries.
        for _ in 0..10 {
            let addr = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            std::fs::write(folder.path().join("nginx.conf"), configuration(proxying, addr, upstream, folder.path()))?;
            let mut child = program(folder.path()).spawn().context("nginx does not start; scripts/test installs it")?;
            let up = eventually("nginx", async || match child.try_wait() {
                Ok(None) => TcpStream::connect(addr).await.ok().map(|_| true),
                _ => Some(false),
            });
            if up.await? {
                return Ok(Self { addr, _child: child, _folder: folder });
            }
        }
        bail!("nginx ends at once: {}", std::fs::read_to_string(folder.path().join("error.log")).unwrap_or_default())
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

fn program(folder: &Path) -> Command {
    let installed = Path::new("/usr/sbin/nginx");
    let mut command = Command::new(if installed.exists() { installed } else { Path::new("nginx") });
    command.arg("-p").arg(folder).args(["-e", "error.log", "-c", "nginx.conf"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

fn configuration(proxying: Proxying, addr: SocketAddr, upstream: SocketAddr, folder: &Path) -> String {
    let settings = match proxying {
        Proxying::Default => "",
        Proxying::Ours => {
            "proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_buffering off; proxy_cache off; \
             proxy_connect_timeout 30s; proxy_read_timeout 300s; proxy_send_timeout 300s;"
        }
        Proxying::Gzip => "gzip on; gzip_min_length 0; gzip_proxied any; gzip_types *;",
    };
    let folder = folder.display();
    format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; worker_rlimit_nofile 8192;\n\
         events {{ worker_connections 4096; }}\n\
         http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n\
         fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;\n\
         server {{ listen {addr}; location / {{ proxy_pass http://{upstream}; {settings} }} }} }}\n"
    )
}
