//! What the process keeps when somebody has asked for much at once.

use std::fs;

use crate::support::process::{Process, wait_for};
use crate::support::web::Browser;
use crate::support::web_process::WebSite;

/// The resident memory in MiB.
fn resident(app: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", app.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

#[actix_web::test]
async fn sixty_wrong_log_ins_at_once_take_the_memory_of_a_few() {
    let site = WebSite::new(None, "trusted_proxies = ['127.0.0.0/8']");
    let app = site.start();
    let base = format!("http://{}", site.address);
    // Makes what every process makes once.
    Browser::at(&base).log_in("nobody@example.org", "wrong").await;
    let before = resident(&app);
    let guesses = (0..60).map(|at| {
        let mut browser = Browser::at(&base);
        browser.headers = vec![("x-forwarded-for", format!("192.0.2.{at}"))];
        async move {
            let answer = browser.log_in(&format!("nobody{at}@example.org"), "wrong").await;
            assert_eq!(answer.status, 403, "{}", answer.body);
        }
    });
    futures_util::future::join_all(guesses).await;
    let after = resident(&app);
    // Each hash takes 19 MiB; at most four run at once, and one of those had its memory before.
    assert!(after < before + 3 * 19 + 30, "{before} MiB before, {after} MiB after");
    wait_for("readiness", || app.readiness() == Some(200));
    app.kill();
}
