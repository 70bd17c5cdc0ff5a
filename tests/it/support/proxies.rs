//! The proxies that people put in front, each with a configuration of its own in a temporary folder.
//! The files beside this one are what an operator needs.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::process::wait_for;
use crate::needs::has_program;

/// A proxy and how it is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    NginxDefaults,
    Nginx,
    NginxGzip,
    Haproxy,
    Caddy,
    Apache,
}

impl Kind {
    /// Those that downloads should go well behind.
    pub const ALL: [Kind; 5] = [Kind::NginxDefaults, Kind::Nginx, Kind::Haproxy, Kind::Caddy, Kind::Apache];

    const fn program(self) -> &'static str {
        match self {
            Kind::NginxDefaults | Kind::Nginx | Kind::NginxGzip => "nginx",
            Kind::Haproxy => "haproxy",
            Kind::Caddy => "caddy",
            Kind::Apache => "apache2",
        }
    }

    const fn template(self) -> &'static str {
        match self {
            Kind::NginxDefaults => include_str!("proxies/nginx-defaults.conf"),
            Kind::Nginx => include_str!("proxies/nginx.conf"),
            Kind::NginxGzip => include_str!("proxies/nginx-gzip.conf"),
            Kind::Haproxy => include_str!("proxies/haproxy.cfg"),
            Kind::Caddy => include_str!("proxies/Caddyfile"),
            Kind::Apache => include_str!("proxies/apache.conf"),
        }
    }

    fn command(self, config: &Path, folder: &Path) -> Command {
        let mut command = Command::new(self.program());
        // Debian keeps servers where only root's path leads.
        command
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", folder);
        match self {
            Kind::NginxDefaults | Kind::Nginx | Kind::NginxGzip => {
                command.arg("-p").arg(folder).arg("-c").arg(config);
                // Workers of another user could not enter the temporary folder.
                if rustix::process::getuid().is_root() {
                    command.args(["-g", "user root;"]);
                }
            }
            Kind::Haproxy => {
                command.arg("-db").arg("-f").arg(config);
            }
            Kind::Caddy => {
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
            }
            Kind::Apache => {
                command.arg("-DFOREGROUND").arg("-f").arg(config);
            }
        }
        command
    }
}

/// A proxy that runs. Ends when dropped.
pub struct Front {
    child: Child,
    pub address: SocketAddr,
    _folder: TempDir,
}

impl Front {
    /// Starts it in front of `upstream`; `None` where this machine has no such program.
    pub fn start(kind: Kind, upstream: SocketAddr) -> Option<Front> {
        if !has_program(kind.program()) {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = folder.path().join("config");
        let text = kind
            .template()
            .replace("@DIR@", &folder.path().display().to_string())
            .replace("@PORT@", &address.port().to_string())
            .replace("@UPSTREAM@", &upstream.to_string());
        fs::write(&config, text).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = kind.command(&config, folder.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.spawn().unwrap();
        wait_for("the proxy", || {
            if let Some(status) = child.try_wait().unwrap() {
                let said = fs::read_to_string(folder.path().join("log")).unwrap();
                let log = fs::read_to_string(folder.path().join("error.log")).unwrap_or_default();
                panic!("{kind:?} ended with {status}: {said}{log}");
            }
            TcpStream::connect(address).is_ok()
        });
        Some(Front { child, address, _folder: folder })
    }

    /// The same address, by way of the proxy.
    pub fn link(&self, link: &str) -> String {
        let (_, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
        format!("http://{}/{path}", self.address)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // Asked first, so that it ends its workers, too.
        super::process::signal(self.child.id(), rustix::process::Signal::TERM);
        let _ended = self.child.wait();
    }
}
