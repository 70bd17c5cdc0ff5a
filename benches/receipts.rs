//! The cost of a download through a link compared with one without a link: both in one process, alternating,
//! over loopback. Prints the medians and their ratio.

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

const ROUNDS: usize = 24;
const PER_ROUND: usize = 192;

fn main() {
    let folder = TempDir::new().unwrap();
    let share = folder.path().join("share");
    std::fs::create_dir(&share).unwrap();
    std::fs::write(share.join("file.bin"), vec![7; 10_000]).unwrap();
    let mut settings = Settings { data_dir: folder.path().join("data"), ..Settings::default() };
    for (listen, url) in [
        (&mut settings.web.listen, &mut settings.web.public_url),
        (&mut settings.download.listen, &mut settings.download.public_url),
    ] {
        *listen = SocketAddr::from(([127, 0, 0, 1], 0));
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
        for clients in [1, 16] {
            let desk = desk.clone();
            let measured = tokio::task::spawn_blocking(move || measure(&desk, address, clients));
            measured.await.unwrap();
        }
        running.stop().await;
    });
}

fn measure(desk: &Services, address: SocketAddr, clients: usize) {
    let id = LinkId::from_store("a-link");
    let (mut plain, mut through_link) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (link, times) in [(None, &mut plain), (Some(&id), &mut through_link)] {
            let paths = paths(desk, link);
            let began = Instant::now();
            std::thread::scope(|scope| {
                for mine in paths.chunks(PER_ROUND / clients) {
                    scope.spawn(|| mine.iter().for_each(|path| download(address, path)));
                }
            });
            times.push(began.elapsed() / PER_ROUND as u32);
        }
    }
    let (plain, through_link) = (median(plain), median(through_link));
    let ratio = through_link.as_secs_f64() / plain.as_secs_f64();
    println!("{clients} at once: plain {plain:?}, through a link {through_link:?} each: {ratio:.2}");
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

fn download(address: SocketAddr, path: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200") && answer.len() > 10_000);
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
