//! The cost of a download through a link compared with one without a link: both in one process, alternating,
//! over loopback. Prints the medians of the time and of the services' processor time, and their ratios. The
//! processor time contains the signature (EdDSA), and for links also what the web app does with the receipts.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement that fails must end"
)]
#![allow(clippy::print_stdout, reason = "its result")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use oncelink::clock::Clock;
use oncelink::config::{Settings, ShareSettings};
use oncelink::id::{FilePath, LinkId};
use oncelink::server::{self, Role};
use oncelink::web::services::Services;
use oncelink::web::tokens::issuer::DownloadTokenRequest;
use tempfile::TempDir;

const ROUNDS: usize = 9;
const PER_ROUND: usize = 1_920;
/// The size of the file.
const SIZE: usize = 1_024;
/// The name of the clients' threads.
const CLIENT: &str = "client";

fn main() {
    let folder = TempDir::new().unwrap();
    let share = folder.path().join("share");
    std::fs::create_dir(&share).unwrap();
    std::fs::write(share.join("file.bin"), vec![7; SIZE]).unwrap();
    let mut settings = Settings { data_dir: folder.path().join("data"), ..Settings::default() };
    for (listen, url) in [
        (&mut settings.web.listen, &mut settings.web.public_url),
        (&mut settings.download.listen, &mut settings.download.public_url),
    ] {
        *listen = SocketAddr::from(([127, 0, 0, 1], 0)).into();
        *url = "http://127.0.0.1:0".to_owned();
    }
    settings.download.stop_timeout = Duration::from_secs(1);
    settings.shares = vec![ShareSettings {
        name: "files".to_owned(),
        path: share,
        read: vec!["everyone".to_owned()],
        ..ShareSettings::default()
    }];
    actix_web::rt::System::new().block_on(async move {
        let running = server::start(settings, Role::Both, Clock::wall()).await.unwrap();
        let address = running.download.unwrap();
        let desk = Services::open(&running.settings, Clock::wall()).await.unwrap();
        for clients in [1, 16, 64] {
            let desk = desk.clone();
            let measured = tokio::task::spawn_blocking(move || measure(&desk, address, clients));
            measured.await.unwrap();
        }
        running.stop().await;
    });
}

/// What a download took: time, and processor time of the services.
type Cost = (Duration, Duration);

fn measure(desk: &Services, address: SocketAddr, clients: usize) {
    let id = LinkId::from_store("a-link");
    let (mut plain, mut through_link) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (link, costs) in [(None, &mut plain), (Some(&id), &mut through_link)] {
            let paths = paths(desk, link);
            let (began, used) = (Instant::now(), processor_time());
            std::thread::scope(|scope| {
                for mine in paths.chunks(PER_ROUND / clients) {
                    let download = || {
                        let mut connection = TcpStream::connect(address).unwrap();
                        mine.iter().for_each(|path| download(&mut connection, path));
                    };
                    std::thread::Builder::new()
                        .name(CLIENT.to_owned())
                        .spawn_scoped(scope, download)
                        .unwrap();
                }
            });
            let took = began.elapsed();
            // Until then, everything is recorded and reported.
            std::thread::park_timeout(Duration::from_millis(400));
            let used = processor_time().saturating_sub(used);
            costs.push((took / PER_ROUND as u32, used / PER_ROUND as u32));
        }
    }
    let ratio = |plain: Duration, link: Duration| link.as_secs_f64() / plain.as_secs_f64();
    for (what, part) in [("time", (|cost| cost.0) as fn(&Cost) -> Duration), ("processor", |cost| cost.1)] {
        let (plain, link) =
            (median(plain.iter().map(part).collect()), median(through_link.iter().map(part).collect()));
        println!(
            "{clients} at once, {what}: plain {plain:?}, through a link {link:?} each: {:.2}",
            ratio(plain, link)
        );
    }
}

/// The processor time of all threads except the clients'.
fn processor_time() -> Duration {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().filter_map(Result::ok);
    let used = |task: std::fs::DirEntry| -> Option<u64> {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let times = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
        let used = times.split(' ').next()?.parse().ok()?;
        (name.trim() != CLIENT).then_some(used)
    };
    Duration::from_nanos(tasks.filter_map(used).sum())
}

fn paths(desk: &Services, link: Option<&LinkId>) -> Vec<String> {
    let file: FilePath = "/files/file.bin".parse().unwrap();
    let order = DownloadTokenRequest { link, ..DownloadTokenRequest::new("somebody", &file) };
    let issue = |_| {
        let token = desk.issuer.issue_download(&order, desk.clock.now()).unwrap();
        token.address[desk.issuer.download_url.len()..].to_owned()
    };
    (0..PER_ROUND).map(issue).collect()
}

fn download(connection: &mut TcpStream, path: &str) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.write_all(request.as_bytes()).unwrap();
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    let end = loop {
        let count = connection.read(&mut part).unwrap();
        assert!(count > 0, "the connection stays open");
        answer.extend_from_slice(&part[..count]);
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let mut rest = vec![0; end + SIZE - answer.len()];
    connection.read_exact(&mut rest).unwrap();
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
