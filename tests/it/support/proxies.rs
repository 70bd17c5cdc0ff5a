//! Popular reverse proxies, each with its configuration in a temporary folder. The files beside this one are
//! what an operator needs.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::process::wait_for;
use super::unused_address;
use crate::needs::has_program;

/// A proxy and its configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    NginxDefaults,
    Nginx,
    NginxGzip,
    /// Passes on the name of its upstream instead of the client's `Host`.
    NginxNoHost,
    Haproxy,
    HaproxyGzip,
    Caddy,
    CaddyGzip,
    Apache,
    ApacheGzip,
}

impl Kind {
    /// Those behind which all downloads must work.
    pub const ALL: [Kind; 5] = [Kind::NginxDefaults, Kind::Nginx, Kind::Haproxy, Kind::Caddy, Kind::Apache];

    /// Those that compress responses.
    pub const COMPRESSING: [Kind; 4] =
        [Kind::NginxGzip, Kind::HaproxyGzip, Kind::CaddyGzip, Kind::ApacheGzip];

    pub const fn program(self) -> &'static str {
        match self {
            Kind::NginxDefaults | Kind::Nginx | Kind::NginxGzip | Kind::NginxNoHost => "nginx",
            Kind::Haproxy | Kind::HaproxyGzip => "haproxy",
            Kind::Caddy | Kind::CaddyGzip => "caddy",
            Kind::Apache | Kind::ApacheGzip => "apache2",
        }
    }

    const fn template(self) -> &'static str {
        match self {
            Kind::NginxDefaults => include_str!("proxies/nginx-defaults.conf"),
            Kind::Nginx => include_str!("proxies/nginx.conf"),
            Kind::NginxNoHost => include_str!("proxies/nginx-no-host.conf"),
            Kind::NginxGzip => include_str!("proxies/nginx-gzip.conf"),
            Kind::Haproxy => include_str!("proxies/haproxy.cfg"),
            Kind::HaproxyGzip => concat!(
                include_str!("proxies/haproxy.cfg"),
                "    filter compression\n    compression algo gzip\n"
            ),
            Kind::Caddy | Kind::CaddyGzip => include_str!("proxies/Caddyfile"),
            Kind::Apache => include_str!("proxies/apache.conf"),
            Kind::ApacheGzip => {
                concat!(include_str!("proxies/apache.conf"), include_str!("proxies/deflate.conf"))
            }
        }
    }

    /// The template's value for compression.
    const fn encoding(self) -> &'static str {
        match self {
            Kind::CaddyGzip => {
                "encode {\n\t\tgzip\n\t\tminimum_length 1\n\t\tmatch {\n\t\t\theader Content-Type *\n\t\t}\n\t}"
            }
            _ => "",
        }
    }

    fn command(self, config: &Path, folder: &Path) -> Command {
        let mut command = Command::new(self.program());
        // Debian installs servers in folders that are only in root's path.
        command
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", folder);
        match self {
            Kind::NginxDefaults | Kind::Nginx | Kind::NginxGzip | Kind::NginxNoHost => {
                command.arg("-p").arg(folder).arg("-c").arg(config);
                // Workers of another user could not enter the temporary folder.
                if rustix::process::getuid().is_root() {
                    command.args(["-g", "user root;"]);
                }
            }
            Kind::Haproxy | Kind::HaproxyGzip => {
                command.arg("-db").arg("-f").arg(config);
            }
            Kind::Caddy | Kind::CaddyGzip => {
                command.args(["run", "--adapter", "caddyfile", "--config"]).arg(config);
            }
            Kind::Apache | Kind::ApacheGzip => {
                command.arg("-DFOREGROUND").arg("-f").arg(config);
            }
        }
        command
    }
}

/// A running proxy. It ends when dropped.
pub struct Front {
    child: Child,
    pub address: SocketAddr,
    folder: TempDir,
}

impl Front {
    /// Starts it in front of `upstream`; `None` where the program is not installed.
    pub fn start(kind: Kind, upstream: SocketAddr) -> Option<Front> {
        Front::start_at(kind, Front::free(), upstream)
    }

    /// An address for [`Front::start_at`], for settings that must contain it before it runs.
    pub fn free() -> SocketAddr {
        unused_address()
    }

    /// The same, at an address from [`Front::free`].
    pub fn start_at(kind: Kind, address: SocketAddr, upstream: SocketAddr) -> Option<Front> {
        Front::start_with(kind, address, |folder| {
            kind.template()
                .replace("@DIR@", &folder.display().to_string())
                .replace("@PORT@", &address.port().to_string())
                .replace("@UPSTREAM@", &upstream.to_string())
                .replace("@ENCODING@", kind.encoding())
        })
    }

    /// Starts it at `address` with a configuration that may use a folder of its own.
    pub fn start_with(
        kind: Kind,
        address: SocketAddr,
        config: impl FnOnce(&Path) -> String,
    ) -> Option<Front> {
        if !has_program(kind.program()) {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("config");
        fs::write(&path, config(folder.path())).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut command = kind.command(&path, folder.path());
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
        Some(Front { child, address, folder })
    }

    /// Everything that it wrote to its folder: its logs.
    pub fn logs(&self) -> String {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        let logs =
            files.filter(|path| path.is_file() && path.file_name().is_some_and(|name| name != "config"));
        logs.map(|path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned()).collect()
    }

    /// Its base address.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The same link, through the proxy.
    pub fn link(&self, link: &str) -> String {
        let (_, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
        format!("http://{}/{path}", self.address)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        // SIGTERM first, so that it ends its workers, too.
        super::process::signal(self.child.id(), rustix::process::Signal::TERM);
        let _ended = self.child.wait();
    }
}
