//! `GET /metrics` on a listener of its own: what both services count, in a form that Prometheus accepts, and
//! without anything that opens a link.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use hyper::Method;

use crate::needs::has_program;
use crate::support::both::{ADA, Both};
use crate::support::pattern;
use crate::support::web::Browser;

/// The value of a metric with these labels.
fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
    line.map(|line| line.rsplit_once(' ').unwrap().1.parse().unwrap())
}

/// Presses Download, and returns the path of the token's address.
async fn press(both: &Both, ada: &mut Browser) -> String {
    let answer = ada.fill("/files/open", "/download", &[("file", "/open/report.bin")]).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.header("location").strip_prefix(&both.download).unwrap().to_owned()
}

#[actix_web::test]
async fn the_metrics_say_what_both_services_did() {
    let both = Both::start_with_metrics().await;
    both.put("report.bin", pattern(2000));
    assert_eq!(both.stranger().log_in(ADA, "a password that is wrong").await.status, 403);
    let mut ada = both.ada().await;
    let mut downloader = Browser::at(&both.download);
    let token = press(&both, &mut ada).await;
    assert_eq!(downloader.get(&token).await.status, 200);
    assert_eq!(downloader.get(&token).await.status, 410);
    let mut stranger = both.stranger();
    assert_eq!(stranger.get("/no/such/page").await.status, 404);
    let metrics = both.metrics().await;
    for (series, expected) in [
        ("oncelink_download_requests_total{outcome=\"redeemed\"}", 1.0),
        ("oncelink_download_requests_total{outcome=\"used-token\"}", 1.0),
        ("oncelink_download_bytes_total", 2000.0),
        ("oncelink_claim_seconds_count", 1.0),
        ("oncelink_deliveries{state=\"running\"}", 0.0),
        ("oncelink_used_tokens", 1.0),
        ("oncelink_verification_keys", 1.0),
        ("oncelink_receipts_waiting", 0.0),
        ("oncelink_download_ready", 1.0),
        ("oncelink_log_ins_total{outcome=\"refused\"}", 1.0),
        ("oncelink_log_ins_total{outcome=\"logged-in\"}", 1.0),
        ("oncelink_mails{state=\"waiting\"}", 0.0),
        ("oncelink_uploads", 0.0),
        ("oncelink_web_ready", 1.0),
        (
            "oncelink_http_requests_total{service=\"download\",route=\"/d/{token}\",method=\"GET\",status=\"200\"}",
            1.0,
        ),
        (
            "oncelink_http_requests_total{service=\"web\",route=\"/download\",method=\"POST\",status=\"303\"}",
            1.0,
        ),
        ("oncelink_http_requests_total{service=\"web\",route=\"other\",method=\"GET\",status=\"404\"}", 1.0),
    ] {
        assert_eq!(value(&metrics, series), Some(expected), "{series}\n{metrics}");
    }
    for series in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds"] {
        assert!(value(&metrics, series).unwrap() > 0.0, "{series}\n{metrics}");
    }
    // The time is recorded, too.
    assert!(value(&metrics, "oncelink_flush_seconds_count").unwrap() >= 1.0);
    assert!(value(&metrics, "oncelink_signing_key_made_timestamp_seconds").unwrap() > 1e9);
    for secret in ["eyJ", "report", ADA] {
        assert!(!metrics.contains(secret), "{secret}: {metrics}");
    }
    both.stop().await;
}

#[actix_web::test]
async fn only_metrics_are_at_that_address_and_only_if_an_operator_turns_them_on() {
    let both = Both::start_with_metrics().await;
    let mut reader = both.reader_of_metrics();
    assert_eq!(reader.get("/").await.status, 404);
    assert_eq!(reader.get("/readyz").await.status, 404);
    assert_eq!(reader.send(Method::POST, "/metrics", None).await.status, 405);
    let head = reader.send(Method::HEAD, "/metrics", None).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    both.stop().await;
    let both = Both::start().await;
    assert!(!both.has_metrics());
    assert_eq!(both.stranger().get("/metrics").await.status, 404);
    both.stop().await;
}

#[actix_web::test]
async fn every_metric_is_documented_and_the_alerts_and_the_dashboard_name_no_other() {
    let both = Both::start_with_metrics().await;
    both.put("report.bin", pattern(2000));
    let mut ada = both.ada().await;
    let token = press(&both, &mut ada).await;
    assert_eq!(Browser::at(&both.download).get(&token).await.status, 200);
    let metrics = both.metrics().await;
    both.stop().await;
    let published: Vec<&str> = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .map(|line| line.split_once(' ').unwrap().0)
        .collect();
    let documented = fs::read_to_string("docs/metrics.md").unwrap();
    for name in &published {
        let written = documented.contains(&format!("`{name}`")) || documented.contains(&format!("`{name}{{"));
        assert!(written, "{name} is not in docs/metrics.md");
    }
    for file in ["deploy/prometheus/oncelink.rules.yml", "deploy/grafana/oncelink.json"] {
        let text = fs::read_to_string(file).unwrap();
        let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: Vec<&str> = words
            .filter(|word| word.starts_with("oncelink_") || word.starts_with("process_"))
            .map(|word| word.strip_suffix("_bucket").unwrap_or(word))
            .collect();
        assert!(named.len() > 10, "{file}");
        for name in named {
            assert!(published.contains(&name), "{file} names {name}, which is not published");
        }
    }
}

#[actix_web::test]
async fn promtool_accepts_the_metrics_and_the_alerts() {
    if !has_program("promtool") {
        return;
    }
    let both = Both::start_with_metrics().await;
    both.put("report.bin", pattern(2000));
    let mut ada = both.ada().await;
    let token = press(&both, &mut ada).await;
    assert_eq!(Browser::at(&both.download).get(&token).await.status, 200);
    let metrics = both.metrics().await;
    both.stop().await;
    let mut checking = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    checking.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let checked = checking.wait_with_output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&checked.stdout), String::from_utf8_lossy(&checked.stderr));
    assert!(checked.status.success() && said.is_empty(), "{said}\n{metrics}");
    let rules = Command::new("promtool")
        .args(["check", "rules", "--lint=all", "--lint-fatal", "deploy/prometheus/oncelink.rules.yml"])
        .output()
        .unwrap();
    assert!(rules.status.success(), "{}", String::from_utf8_lossy(&rules.stderr));
}
