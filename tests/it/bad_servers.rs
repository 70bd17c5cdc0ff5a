//! Servers that can't be used are reported with what to do, before anything is created there: an old
//! PostgreSQL, and files with certificates that can't be read.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Output};

use crate::support::process::PROGRAM;

/// A server that begins as PostgreSQL of this version does, and answers no query. Returns its address.
fn server_of_version(version: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("postgres://ada:hunter2@{}/accounts", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            // The client may be gone.
            let _ended = greet(client, version);
        }
    });
    address
}

fn greet(mut client: TcpStream, version: &str) -> std::io::Result<()> {
    loop {
        let (mut head, mut rest) = ([0; 8], Vec::new());
        client.read_exact(&mut head)?;
        let length = u32::from_be_bytes(*head.first_chunk().unwrap());
        Read::take(&mut client, u64::from(length) - 8).read_to_end(&mut rest)?;
        if head[4..] != 80_877_103_u32.to_be_bytes() {
            break;
        }
        // It asks for TLS.
        client.write_all(b"N")?;
    }
    let mut answer = Vec::new();
    let mut message = |kind: u8, body: &[u8]| {
        answer.push(kind);
        answer.extend_from_slice(&u32::try_from(body.len() + 4).unwrap().to_be_bytes());
        answer.extend_from_slice(body);
    };
    message(b'R', &[0; 4]);
    message(b'S', format!("server_version\0{version}\0").as_bytes());
    message(b'K', &[0, 0, 0, 1, 0, 0, 0, 2]);
    message(b'Z', b"I");
    client.write_all(&answer)?;
    // Until the client goes, or asks something.
    client.read_exact(&mut [0])
}

/// What a start and a check say with these settings, in an empty folder.
fn said(key: &str, address: &str) -> [String; 2] {
    ["serve", "check"].map(|command| {
        let folder = tempfile::tempdir().unwrap();
        let Output { status, stdout, stderr } = Command::new(PROGRAM)
            .arg(command)
            .current_dir(folder.path())
            .env_clear()
            .envs([("ONCELINK_WEB__LISTEN", "127.0.0.1:0"), ("ONCELINK_DOWNLOAD__LISTEN", "127.0.0.1:0")])
            .env(key, address)
            .output()
            .unwrap();
        assert!(!status.success(), "{command} accepted it");
        let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
        assert!(!said.contains("hunter2"), "{command}: {said}");
        said
    })
}

const KEYS: [&str; 2] = ["ONCELINK_WEB__DATABASE", "ONCELINK_DOWNLOAD__USED_TOKENS"];

#[test]
fn an_old_postgresql_is_refused_with_the_version_that_is_needed() {
    for (version, shown) in [("9.4.26", "9.4"), ("12.22 (Debian 12.22-1)", "12.22")] {
        let address = server_of_version(version);
        for key in KEYS {
            for said in said(key, &address) {
                let words = format!("the PostgreSQL server has version {shown}");
                assert!(said.contains(&words) && said.contains("use version 13 or later"), "{key}: {said}");
            }
        }
    }
}

#[test]
fn certificates_that_cannot_be_read_are_named() {
    let address = server_of_version("15.4");
    for key in KEYS {
        let address = format!("{address}?sslmode=verify-full&sslrootcert=/nowhere/ca.pem");
        for said in said(key, &address) {
            assert!(said.contains("cannot read the certificates in /nowhere/ca.pem"), "{key}: {said}");
        }
    }
}
