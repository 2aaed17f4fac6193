//! nginx as a raw proxy: two workers, no buffering, kept connections to the source, files of its own.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::{Context, Result};

use super::KEPT;

const WORKERS: u32 = 2;

/// Writes the configuration into `folder`.
pub(super) fn configure(folder: &Path, address: SocketAddr, source: SocketAddr) -> Result<()> {
    // Workers of a root master would become another user, who may not write into `folder`.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    // nginx counts them in each worker.
    let kept = KEPT / WORKERS;
    let text = format!(
        "{user}
daemon off;
pid nginx.pid;
worker_processes {WORKERS};
worker_rlimit_nofile 20000;
error_log error.log error;
events {{ worker_connections 20000; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    upstream source {{
        server {source};
        keepalive {kept};
        keepalive_timeout 1h;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address} backlog=4096;
        location = /healthz {{ return 200 \"ok\"; }}
        location / {{
            proxy_pass http://source;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
            proxy_read_timeout 1h;
        }}
    }}
}}
"
    );
    fs::write(folder.join("nginx.conf"), text).context("cannot write nginx' configuration")
}

/// Starts it in the foreground.
pub(super) fn command(folder: &Path) -> Command {
    let mut command = Command::new("nginx");
    command.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "error.log"]);
    command
}

/// The installed version, as `nginx/1.22.1`.
///
/// # Errors
///
/// When nginx is not installed.
pub(crate) fn version() -> Result<String> {
    let output = Command::new("nginx").arg("-v").output().context("nginx is not installed; scripts/bench installs it")?;
    let text = String::from_utf8_lossy(&output.stderr);
    Ok(text.trim().trim_start_matches("nginx version: ").to_owned())
}
