//! A real Postfix for one test, with Debian's default TLS settings: a self-signed certificate. It delivers
//! mail for `example.org` into files, and relays nothing.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use tempfile::TempDir;

use super::smtp::certificate;
use crate::needs;

const PORT: u16 = 18_025;

/// A running Postfix; stops when dropped.
pub(crate) struct Postfix {
    folder: TempDir,
    pub(crate) address: SocketAddr,
}

impl Postfix {
    /// Starts one; `None`, with a printed note, where it is missing or can't be started.
    pub(crate) fn start() -> Option<Postfix> {
        if !needs::has_program("postfix") || !needs::has_program("openssl") {
            return None;
        }
        if !rustix::process::geteuid().is_root() {
            needs::skip("root, for a Postfix of its own");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        // Its daemons run as other users, who must be able to enter their folders.
        open_to_all(root);
        // Its own address, so that no other process uses the port.
        static SERVERS: AtomicU8 = AtomicU8::new(1);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let host = Ipv4Addr::new(127, 192 + SERVERS.fetch_add(1, Ordering::Relaxed) % 32, high, low);
        for name in ["spool", "data", "mail", "config"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        owned_by_postfix(&root.join("data"));
        owned_by_postfix(&root.join("mail"));
        let (cert, key) = certificate(root);
        let shown = root.display();
        let main = format!(
            "compatibility_level = 3.6\nqueue_directory = {shown}/spool\ndata_directory = {shown}/data\n\
             command_directory = /usr/sbin\ndaemon_directory = /usr/lib/postfix/sbin\n\
             mail_owner = postfix\nsetgid_group = postdrop\nmyhostname = mail.example\nmydestination =\n\
             inet_interfaces = loopback-only\ninet_protocols = ipv4\nmynetworks = 127.0.0.0/8\n\
             smtpd_relay_restrictions = reject_unauth_destination\n\
             virtual_mailbox_domains = example.org\nvirtual_mailbox_base = {shown}/mail\n\
             virtual_mailbox_maps = regexp:{shown}/config/mailboxes\nvirtual_minimum_uid = 1\n\
             virtual_uid_maps = static:{}\nvirtual_gid_maps = static:{}\n\
             smtpd_tls_security_level = may\nsmtpd_tls_received_header = yes\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\n\
             maillog_file = {shown}/data/log\nmaillog_file_prefixes = {shown}\n",
            number_of("-u"),
            number_of("-g"),
            cert.display(),
            key.display(),
        );
        fs::write(root.join("config/main.cf"), main).unwrap();
        fs::write(root.join("config/mailboxes"), "/^nobody@/ REJECT\n/^(.*)@example\\.org$/ all/\n").unwrap();
        fs::write(root.join("config/master.cf"), master(host)).unwrap();
        let started = Command::new("postfix")
            .arg("-c")
            .arg(root.join("config"))
            .arg("start")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let postfix = Postfix { folder, address: (host, PORT).into() };
        assert!(started.is_ok_and(|status| status.success()), "{}", postfix.log());
        Some(postfix)
    }

    /// The mails that arrived, in any order.
    pub(crate) fn arrived(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(self.folder.path().join("mail/all/new")) else { return Vec::new() };
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }

    /// Waits until `count` mails arrived, for 60 s at most: Postfix accepts them before it delivers them.
    pub(crate) async fn until(&self, count: usize) -> Vec<String> {
        for _ in 0..1_200 {
            if self.arrived().len() >= count {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        self.arrived()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("data/log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        let config = self.folder.path().join("config");
        let mut stop = Command::new("/usr/sbin/postfix");
        let _stopped =
            stop.arg("-c").arg(config).arg("abort").stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn open_to_all(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn owned_by_postfix(path: &PathBuf) {
    assert!(Command::new("chown").arg("postfix").arg(path).status().unwrap().success());
}

/// The id of Postfix's own user or group.
fn number_of(which: &str) -> String {
    let said = Command::new("id").args([which, "postfix"]).output().unwrap().stdout;
    String::from_utf8(said).unwrap().trim().to_owned()
}

fn master(host: Ipv4Addr) -> String {
    format!(
        "{host}:{PORT} inet n - n - - smtpd\n\
         cleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
         rewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\n\
         trace unix - - n - 0 bounce\nverify unix - - n - 1 verify\nproxymap unix - - n - - proxymap\n\
         error unix - - n - - error\nretry unix - - n - - error\ndiscard unix - - n - - discard\n\
         virtual unix - n n - - virtual\nanvil unix - - n - 1 anvil\nscache unix - - n - 1 scache\n\
         postlog unix-dgram n - n - 1 postlogd\n"
    )
}
