//! A real Exim for one test. It delivers mail for `example.org` into files, and relays after a login.
//! Debian's packages of Exim and Postfix conflict, so `.ci/run` only unpacks this one under `target/`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use tempfile::TempDir;

use super::process::wait_for;
use crate::needs;

const PORT: u16 = 18_026;
const TLS_PORT: u16 = 18_466;

/// The only user and password.
pub(crate) const CREDENTIALS: &str = "sender\na secret\n";

/// A running Exim; stops when dropped.
pub(crate) struct Exim {
    folder: TempDir,
    child: Child,
    /// The port with STARTTLS.
    pub(crate) address: SocketAddr,
    /// The port with TLS from the first byte.
    pub(crate) tls_address: SocketAddr,
}

/// The login mechanism that it offers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogIn {
    Plain,
    Login,
}

impl Exim {
    /// Starts one; `None`, with a printed note, where it is missing or can't be started.
    pub(crate) fn start(log_in: LogIn) -> Option<Exim> {
        let unpacked = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/exim/usr/sbin/exim4");
        let programs = [unpacked, PathBuf::from("/usr/sbin/exim4")];
        let Some(program) = programs.into_iter().find(|program| program.exists()) else {
            needs::skip("Exim (Debian package exim4-daemon-light), under target/exim or installed");
            return None;
        };
        if !rustix::process::geteuid().is_root() {
            needs::skip("root, for an Exim of its own");
            return None;
        }
        if !needs::has_program("openssl") {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let root = folder.path();
        // Its own address, so that no other process uses the port.
        static SERVERS: AtomicU8 = AtomicU8::new(0);
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let host = Ipv4Addr::new(127, 224 + SERVERS.fetch_add(1, Ordering::Relaxed) % 28, high, low);
        for name in ["spool", "log", "mail"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        certificates(root, host);
        let config = root.join("exim.conf");
        fs::write(&config, configuration(&program, root, host, log_in)).unwrap();
        // It works as a user of its own, who must be able to enter its folders.
        let owner = ["-R", "Debian-exim:Debian-exim"].map(str::to_owned);
        let folders =
            ["", "spool", "log", "mail", "key.pem"].map(|name| root.join(name).display().to_string());
        assert!(Command::new("chown").args(owner).args(folders).status().unwrap().success());
        // Exim refuses a configuration that another user could have written.
        assert!(Command::new("chown").arg("root:root").arg(&config).status().unwrap().success());
        let child = Command::new(&program)
            .arg("-C")
            .arg(&config)
            .args(["-bdf", "-q1m"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (address, tls_address) = ((host, PORT).into(), (host, TLS_PORT).into());
        let exim = Exim { folder, child, address, tls_address };
        wait_for("Exim", || TcpStream::connect(tls_address).is_ok());
        Some(exim)
    }

    /// The certificate of the authority that signed the server's.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Makes it relay for everybody, as after a fix by its operator.
    pub(crate) fn relay(&self) {
        fs::write(self.folder.path().join("relays"), "").unwrap();
    }

    /// The mails that arrived, in any order.
    pub(crate) fn arrived(&self) -> Vec<String> {
        let Ok(files) = fs::read_dir(self.folder.path().join("mail/new")) else { return Vec::new() };
        files.map(|file| fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }

    /// Waits until `count` mails arrived: Exim accepts them before it delivers them.
    pub(crate) fn until(&self, count: usize) -> Vec<String> {
        wait_for("Exim to deliver", || self.arrived().len() >= count);
        self.arrived()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log/mainlog")).unwrap_or_default()
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("openssl");
    let made = command.args(arguments.split(' ')).current_dir(folder).stderr(Stdio::null()).status();
    assert!(made.expect("openssl makes the certificate").success(), "{arguments}");
}

/// Creates a private authority, and a certificate from it for `host`.
fn certificates(folder: &Path, host: Ipv4Addr) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(
        folder,
        &format!("req -x509 {key} -days 2 -subj /CN=authority -keyout authority.key -out authority.pem"),
    );
    openssl(folder, &format!("req {key} -subj /CN=mail.example -keyout key.pem -out request.pem"));
    fs::write(folder.join("extensions"), format!("subjectAltName=IP:{host}\nbasicConstraints=CA:FALSE\n"))
        .unwrap();
    openssl(
        folder,
        "x509 -req -in request.pem -CA authority.pem -CAkey authority.key -days 2 -extfile extensions -out cert.pem",
    );
}

fn configuration(program: &Path, root: &Path, host: Ipv4Addr, log_in: LogIn) -> String {
    let (program, root) = (program.display(), root.display());
    let (name, prompts, user, password) = match log_in {
        LogIn::Plain => ("PLAIN", ":", 2, 3),
        LogIn::Login => ("LOGIN", "<| Username: | Password:", 1, 2),
    };
    format!(
        "exim_path = {program}\nspool_directory = {root}/spool\nlog_file_path = {root}/log/%slog\n\
         pid_file_path = {root}/spool/pid\nprimary_hostname = mail.example\nkeep_environment =\n\
         local_interfaces = {host}.{PORT} : {host}.{TLS_PORT}\ntls_on_connect_ports = {TLS_PORT}\n\
         tls_certificate = {root}/cert.pem\ntls_privatekey = {root}/key.pem\ntls_advertise_hosts = *\n\
         host_lookup =\nrfc1413_hosts =\nsmtp_accept_queue_per_connection = 0\nacl_smtp_rcpt = recipients\n\
         domainlist here = example.org\n\
         begin acl\nrecipients:\n\
         deny message = no such mailbox\n domains = +here\n local_parts = nobody\n\
         accept domains = +here\naccept authenticated = *\naccept condition = ${{if exists{{{root}/relays}}}}\n\
         deny message = relay not permitted\n\
         begin routers\nall:\n driver = accept\n transport = files\n\
         begin transports\nfiles:\n driver = appendfile\n directory = {root}/mail\n maildir_format\n\
         create_directory\n user = Debian-exim\n envelope_to_add\n\
         begin authenticators\nonly:\n driver = plaintext\n public_name = {name}\n server_prompts = {prompts}\n\
         server_condition = ${{if and{{{{eq{{$auth{user}}}{{sender}}}}{{eq{{$auth{password}}}{{a secret}}}}}}}}\n\
         server_set_id = $auth{user}\n server_advertise_condition = ${{if def:tls_in_cipher}}\n"
    )
}
