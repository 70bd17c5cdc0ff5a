//! The access log: one line for each request, with what came of it, and never a token.

use serde_json::Value;

use crate::support::pattern;
use crate::support::process::{Download, Site, signal, wait_for};

fn lines(site: &Site) -> Vec<Value> {
    let log = site.log();
    let objects = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    objects.filter(|line| line["target"] == "oncelink::access" && line["route"] != "/readyz").collect()
}

#[test]
fn each_request_is_one_line_that_says_what_came_of_it_and_for_which_token() {
    let site = Site::new();
    site.put("large.bin", &pattern(64 << 20));
    let mut command = site.command(&[]);
    command.env("ONCELINK_LOG__FORMAT", "json");
    let mut process = site.launch(command);
    process.wait_until_ready();
    let ticket = site.ticket("small.bin");
    assert_eq!(site.get(&ticket).unwrap().status, 200);
    assert_eq!(site.get(&ticket).unwrap().slug(), "used-token");
    let forged = ticket.path.replace("/d/e", "/d/f");
    assert_eq!(Download::begin(site.address, &forged, "").unwrap().status(), 403);
    assert_eq!(Download::begin(site.address, "/elsewhere?secret", "").unwrap().status(), 404);
    let large = site.ticket("large.bin");
    let broken = Download::begin(site.address, &large.path, "").unwrap();
    assert_eq!(broken.status(), 200);
    drop(broken);
    wait_for("five lines", || lines(&site).len() >= 5);
    signal(process.id(), rustix::process::Signal::TERM);
    wait_for("the end of the process", || process.ended().is_some());
    let lines = lines(&site);
    assert_eq!(lines.len(), 5, "{lines:#?}");
    let line = |outcome: &str, route: &str| {
        let found = lines.iter().find(|line| line["outcome"] == outcome && line["route"] == route);
        found.unwrap_or_else(|| panic!("{outcome} {route}: {lines:#?}"))
    };
    let jti = ticket.jti.to_string();
    let redeemed =
        lines.iter().find(|line| line["outcome"] == "redeemed" && line["jti"] == jti.as_str()).unwrap();
    assert_eq!(redeemed["status"], 200);
    assert_eq!(redeemed["bytes"], 2000);
    assert_eq!(redeemed["whole"], true);
    assert_eq!(redeemed["method"], "GET");
    assert_eq!(redeemed["service"], "download");
    assert!(redeemed["address"].as_str().unwrap().starts_with("127."));
    assert!(redeemed["seconds"].as_f64().unwrap() > 0.0);
    let replayed = line("used-token", "/d/{token}");
    assert_eq!((&replayed["status"], &replayed["jti"]), (&410.into(), &jti.as_str().into()));
    let refused = line("invalid-token", "/d/{token}");
    assert_eq!((&refused["status"], &refused["jti"]), (&403.into(), &Value::Null));
    assert_eq!(line("refused", "other")["status"], 404);
    let large = large.jti.to_string();
    let cut = lines.iter().find(|line| line["jti"] == large.as_str()).unwrap();
    assert_eq!((&cut["outcome"], &cut["whole"]), (&"redeemed".into(), &false.into()));
    assert!((1..64 << 20).contains(&cut["bytes"].as_u64().unwrap()), "{cut}");
}

#[test]
fn it_can_be_turned_off_by_itself() {
    let site = Site::new();
    let mut command = site.command(&[]);
    command.env("ONCELINK_LOG__FORMAT", "json").env("ONCELINK_LOG__LEVEL", "info,oncelink::access=off");
    let mut process = site.launch(command);
    process.wait_until_ready();
    assert_eq!(site.get(&site.ticket("small.bin")).unwrap().status, 200);
    signal(process.id(), rustix::process::Signal::TERM);
    wait_for("the end of the process", || process.ended().is_some());
    assert!(lines(&site).is_empty());
    assert!(site.log().contains("redeemed"));
}
