//! The cost of parsing a request's ranges and preconditions, which should be negligible.
//!
//! `cargo bench --bench ranges`. The parser is private to the crate, so its source is compiled in here rather
//! than made public.

#![allow(
    dead_code,
    unused_imports,
    unreachable_pub,
    missing_docs,
    reason = "a module of the crate, compiled in unchanged"
)]

#[path = "../src/download/conditions.rs"]
mod conditions;
#[path = "support/timing.rs"]
mod timing;

use std::hint::black_box;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use oncelink::{clock, secret};

use crate::conditions::{Conditions, parse_range};
use crate::timing::time;

const LEN: u64 = 5 << 30;

fn main() {
    fields();
    requests();
}

fn fields() {
    let many = format!(
        "bytes={}",
        (0..64).map(|at| format!("{}-{}", at * 9, at * 9 + 9)).collect::<Vec<_>>().join(",")
    );
    let too_many = format!("bytes={}", "0-0,".repeat(1000));
    for (name, field) in [
        ("first_last", "bytes=1048576-2097151"),
        ("open_end", "bytes=1048576-"),
        ("suffix", "bytes=-1048576"),
        ("three_that_touch", "bytes=0-99,100-199,200-"),
        ("64_that_touch", &many),
        ("1000_refused", &too_many),
        ("other_unit", "lines=1-2"),
        ("nonsense", "bytes=0x10-0x20"),
    ] {
        time(&format!("range_field/{name}"), || parse_range(black_box(field), black_box(LEN)));
    }
}

fn requests() {
    let key = secret::Secret::presented("c2l4dGVlbiByYW5kb20g");
    let digest = key.digest();
    let modified = clock::Timestamp::from_secs(1_795_000_000);
    let mut first_click = HeaderMap::new();
    for (name, value) in [
        (header::HOST, "127.0.0.1:8081"),
        (header::USER_AGENT, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        (header::ACCEPT, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
        (header::ACCEPT_LANGUAGE, "en-US,en;q=0.5"),
        (header::ACCEPT_ENCODING, "gzip, deflate"),
    ] {
        first_click.insert(name, HeaderValue::from_static(value));
    }
    let mut resumption = first_click.clone();
    resumption.insert(header::RANGE, HeaderValue::from_static("bytes=1048576-"));
    resumption.insert(header::IF_RANGE, HeaderValue::from_static("\"c2l4dGVlbiByYW5kb20g\""));
    for (name, headers) in [("first_click", &first_click), ("resumption", &resumption)] {
        time(&format!("request_fields/{name}"), || {
            let conditions = Conditions::of(black_box(headers));
            let holds = conditions.evaluate(Some(&digest), modified);
            (holds, conditions.part(Some(&digest), modified, LEN))
        });
    }
}
