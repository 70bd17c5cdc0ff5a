//! A log names the jti, and never shows a token or a resume key, at any level.

use crate::support::process::{Download, Site, signal, wait_for};

#[test]
fn no_token_or_resume_key_appears_in_a_log_line() {
    for level in ["info", "trace"] {
        for format in ["text", "json"] {
            let site = Site::new();
            let mut command = site.command(&[]);
            command.env("ONCELINK_LOG__LEVEL", level).env("ONCELINK_LOG__FORMAT", format);
            let mut process = site.launch(command);
            process.wait_until_ready();
            let ticket = site.ticket("small.bin");
            let first = Download::begin(site.address, &ticket.path, "").unwrap();
            let key = first.header("etag").unwrap().trim_matches('"').to_owned();
            assert_eq!(first.finish().unwrap().status, 200);
            assert_eq!(site.get(&ticket).unwrap().slug(), "used-token");
            let resume = format!("If-Range: \"{key}\"\r\nRange: bytes=0-1\r\n");
            assert_eq!(Download::begin(site.address, &ticket.path, &resume).unwrap().status(), 206);
            let token = ticket.path.split('/').nth(2).unwrap();
            let bearer = format!("Authorization: Bearer {token}\r\n");
            assert_eq!(Download::begin(site.address, "/d", &bearer).unwrap().status(), 410);
            let altered = format!("/d/{token}AAAA");
            assert_eq!(Download::begin(site.address, &altered, "").unwrap().status(), 403);
            // On a stop the process writes what is still in its buffer.
            signal(process.id(), rustix::process::Signal::TERM);
            wait_for("the end of the process", || process.ended().is_some());
            let log = site.log();
            assert!(log.contains(&ticket.jti.to_string()), "{level} {format}: the jti is named\n{log}");
            let signature = token.rsplit('.').next().unwrap();
            for secret in [signature, key.as_str()] {
                let line = log.lines().find(|line| line.contains(secret));
                assert_eq!(line, None, "{level} {format}");
            }
        }
    }
}
