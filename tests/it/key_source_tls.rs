//! Keys over HTTPS: accepted only from a server whose certificate this machine trusts.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::needs;
use crate::support::smtp::certificate;

/// A TLS server for the files in a folder.
struct Server(Child);

impl Server {
    /// Starts one, and returns its port.
    fn start(folder: &Path, certificate: &Path, key: &Path) -> (Server, String) {
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-WWW", "-cert"])
            .arg(certificate)
            .arg("-key")
            .arg(key)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.by_ref().find_map(|line| {
            line.unwrap().strip_prefix("ACCEPT ").and_then(|at| Some(at.rsplit_once(':')?.1.to_owned()))
        });
        // Keep reading, so that its output never blocks it.
        std::thread::spawn(move || lines.for_each(drop));
        (Server(child), port.unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone_already = self.0.kill();
        let _status = self.0.wait();
    }
}

#[test]
fn keys_come_over_https_only_from_a_server_that_is_trusted() {
    if !needs::has_program("openssl") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = certificate(folder.path());
    fs::write(folder.path().join("jwks.json"), "{\"keys\":[]}").unwrap();
    let (_server, port) = Server::start(folder.path(), &certificate, &key);
    let verify = |host: &str, trusted: Option<&Path>| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_oncelink"));
        command.args(["token", "verify", "x"]).current_dir(folder.path());
        command.env_clear().env("ONCELINK_DOWNLOAD__KEYS", format!("https://{host}:{port}/jwks.json"));
        if let Some(trusted) = trusted {
            command.env("SSL_CERT_FILE", trusted);
        }
        String::from_utf8(command.output().unwrap().stderr).unwrap()
    };
    let said = verify("localhost", Some(&certificate));
    assert!(said.contains("the key set has no keys"), "the key set was fetched: {said}");
    for (host, trusted) in [("localhost", None), ("127.0.0.1", Some(certificate.as_path()))] {
        let said = verify(host, trusted);
        assert!(said.contains("certificate") && !said.contains("the key set"), "{said}");
    }
}
