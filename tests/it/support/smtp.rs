//! A real mail server (Debian's python3-aiosmtpd) that tests start and make misbehave.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::mail::{Mail, outbox};
use crate::needs;

/// A running mail server; stops when dropped.
pub(crate) struct Smtp {
    child: Child,
    folder: TempDir,
    pub(crate) port: u16,
}

/// The encryption that it offers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    Plain,
    StartTls,
    Wrapped,
}

impl Smtp {
    /// Starts one; `None`, with a printed note, where Python's aiosmtpd or, for TLS, openssl is missing.
    pub(crate) fn start(talk: Talk, password: Option<&str>) -> Option<Smtp> {
        // Debian's Python, even if another one is first in the path.
        let python = "/usr/bin/python3";
        let there = Command::new(python).args(["-c", "import aiosmtpd"]).stderr(Stdio::null()).status();
        if !there.is_ok_and(|status| status.success()) {
            needs::skip("Python's aiosmtpd (Debian package python3-aiosmtpd)");
            return None;
        }
        if talk != Talk::Plain && !needs::has_program("openssl") {
            return None;
        }
        let folder = TempDir::new().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/support/smtp_sink.py");
        let mut command = Command::new(python);
        command.arg(script).arg(folder.path());
        if talk != Talk::Plain {
            let (certificate, key) = certificate(folder.path());
            command.args(["--tls", if talk == Talk::StartTls { "starttls" } else { "wrapped" }]);
            command.arg("--certificate").arg(certificate).arg("--key").arg(key);
        }
        if let Some(password) = password {
            command.args(["--password", password]);
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap_or_else(|_| panic!("the mail server did not start: {line:?}"));
        Some(Smtp { child, folder, port })
    }

    /// The server's certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("certificate.pem")
    }

    /// Changes its behavior: `accept`, `refuse`, `later` or `drop`.
    pub(crate) fn mode(&self, mode: &str) {
        std::fs::write(self.folder.path().join("mode"), mode).unwrap();
    }

    /// The mails that it accepted, oldest first.
    pub(crate) fn mails(&self) -> Vec<Mail> {
        outbox(self.folder.path())
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A self-signed certificate for `localhost`.
pub(crate) fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE"])
        .arg("-keyout")
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stderr(Stdio::null())
        .status()
        .expect("openssl makes the certificate");
    assert!(made.success());
    (certificate, key)
}
