//! The order of system calls: for each redemption the journal's fdatasync has returned before the first byte
//! of the response is written, and for a token of a link, that of the receipts' outbox, too. Observed from
//! outside, with strace.

use std::collections::HashMap;
use std::fs;

use crate::needs::has_program;
use crate::support::pattern;
use crate::support::process::{Site, Ticket};

const SEQUENTIAL: usize = 20;
const AT_ONCE: usize = 24;

/// A system call: the lines of the trace where it began and returned.
struct Call {
    name: String,
    began: usize,
    returned: usize,
    /// The call's text, with its hexadecimal strings decoded.
    text: Vec<u8>,
    result: String,
}

impl Call {
    fn has(&self, needle: &[u8]) -> bool {
        self.text.windows(needle.len()).any(|window| window == needle)
    }

    fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }
}

/// The bytes of a line in which strace has written strings as `\x68\x69`.
fn decode(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut parts = line.split("\\x");
    bytes.extend_from_slice(parts.next().unwrap().as_bytes());
    for part in parts {
        let (hex, rest) = part.split_at(2);
        bytes.push(u8::from_str_radix(hex, 16).unwrap());
        bytes.extend_from_slice(rest.as_bytes());
    }
    bytes
}

/// Joins calls that strace shows in two parts because another thread came between.
fn calls(trace: &str) -> Vec<Call> {
    let mut unfinished: HashMap<&str, (usize, String)> = HashMap::new();
    let mut calls = Vec::new();
    for (number, line) in trace.lines().enumerate() {
        let Some((thread, text)) = line.split_once(' ') else { continue };
        let text = text.trim_start();
        let (began, whole) = if let Some(start) = text.strip_suffix(" <unfinished ...>") {
            unfinished.insert(thread, (number, start.to_owned()));
            continue;
        } else if let Some((_, end)) =
            text.strip_prefix("<... ").and_then(|rest| rest.split_once(" resumed>"))
        {
            let Some((began, start)) = unfinished.remove(thread) else { continue };
            (began, start + end)
        } else {
            (number, text.to_owned())
        };
        let Some((name, _)) = whole.split_once('(') else { continue };
        let result = whole.rsplit_once(" = ").map_or("", |(_, result)| result).to_owned();
        calls.push(Call { name: name.to_owned(), began, returned: number, text: decode(&whole), result });
    }
    calls
}

#[test]
fn the_journals_fsync_has_returned_before_the_first_byte_is_written() {
    if !has_program("strace") {
        return;
    }
    let site = Site::new();
    // The store is created before tracing begins: that alone takes thousands of calls.
    site.start().kill();
    let trace = site.path().join("trace");
    let wrapper = [
        "strace",
        "-f",
        "-y",
        "-xx",
        "-s",
        "8192",
        "-o",
        trace.to_str().unwrap(),
        "-e",
        "trace=pwrite64,pwritev,pwritev2,fsync,fdatasync,write,writev,sendto,sendmsg,sendfile,splice",
    ];
    let mut node = site.launch(site.command(&wrapper));
    node.wait_until_ready();
    // Each token gets a file of its own, so that the name identifies its response.
    let tickets: Vec<(String, Ticket)> = (0..SEQUENTIAL + AT_ONCE)
        .map(|number| {
            let name = format!("file-{number}.bin");
            site.put(&name, &pattern(1000 + number));
            // Every second token is from a link.
            let ticket = match number % 2 {
                0 => site.ticket(&name),
                _ => site.ticket_of_link(&name, "link"),
            };
            (name, ticket)
        })
        .collect();
    let (one_by_one, at_once) = tickets.split_at(SEQUENTIAL);
    for (_, ticket) in one_by_one {
        assert_eq!(site.get(ticket).unwrap().status, 200);
    }
    std::thread::scope(|scope| {
        for (_, ticket) in at_once {
            scope.spawn(|| assert_eq!(site.get(ticket).unwrap().status, 200));
        }
    });
    node.kill();

    let calls = calls(&fs::read_to_string(trace).unwrap());
    for (number, (name, ticket)) in tickets.iter().enumerate() {
        assert_order(&calls, name, "/used-tokens/journal.", ticket.jti.as_bytes());
        if number % 2 == 1 {
            assert_order(&calls, name, "/receipts.sqlite-wal", ticket.jti.to_string().as_bytes());
        }
    }
}

/// Checks that the record of `jti` was written to `file` and synced before the response began.
fn assert_order(calls: &[Call], name: &str, file: &str, jti: &[u8]) {
    let in_file = |call: &&Call| call.has(file.as_bytes());
    let mut syncs = calls.iter().filter(|call| call.is(&["fsync", "fdatasync"])).filter(in_file);
    {
        let written = calls
            .iter()
            .filter(|call| call.is(&["pwrite64"]))
            .filter(in_file)
            .find(|call| call.has(jti))
            .unwrap_or_else(|| panic!("{name} is not in {file}"));
        let answered = calls
            .iter()
            .filter(|call| call.is(&["write", "writev", "sendto", "sendmsg"]))
            .find(|call| call.has(b"HTTP/1.1 200") && call.has(format!("\"{name}\"").as_bytes()))
            .unwrap_or_else(|| panic!("{name} was not answered"));
        let durable = |sync: &Call| {
            sync.began > written.returned && sync.returned < answered.began && sync.result.trim() == "0"
        };
        assert!(
            syncs.any(durable),
            "{name}: written in line {}, answered in line {}, and no fsync of {file} between",
            written.returned,
            answered.began
        );
    }
}
