//! The load generator, the same for every server: keep-alive connections, one request at a time on each, no
//! pipelining, as little work per response as possible.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;

/// Maximum number of bytes per read.
const BUFFER: usize = 256 * 1024;
/// Maximum length of a response's head.
const HEAD: usize = 8 * 1024;

/// The result of one round.
pub struct Load {
    /// From the first request to the last byte of the last response.
    pub elapsed: Duration,
    /// From request to last byte, sorted, in nanoseconds.
    pub latencies: Vec<u64>,
}

/// Requests each path once, over `connections` connections, and expects 200 with `len` bytes for each.
///
/// `sample` is called with all connections open, just before the first request and just after the last
/// response.
pub fn run<T>(
    address: SocketAddr,
    paths: &[String],
    connections: usize,
    len: u64,
    sample: impl Fn() -> T,
) -> (Load, T, T) {
    let threads = connections.min(paths.len()).min(2);
    let share = paths.len().div_ceil(threads);
    let gate = Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = paths
            .chunks(share)
            .map(|paths| scope.spawn(|| worker(address, paths, connections / threads, len, &gate)))
            .collect();
        gate.wait();
        let before = sample();
        let begin = Instant::now();
        gate.wait();
        let mut latencies: Vec<u64> =
            workers.into_iter().flat_map(|worker| worker.join().expect("the generator failed")).collect();
        let elapsed = begin.elapsed();
        let after = sample();
        latencies.sort_unstable();
        (Load { elapsed, latencies }, before, after)
    })
}

fn worker(address: SocketAddr, paths: &[String], connections: usize, len: u64, gate: &Barrier) -> Vec<u64> {
    let requests: Vec<Vec<u8>> = paths.iter().map(|path| request(address, path)).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let next = std::cell::Cell::new(0);
    let next: &'static std::cell::Cell<usize> = Box::leak(Box::new(next));
    let requests: &'static [Vec<u8>] = requests.leak();
    LocalSet::new().block_on(&runtime, async move {
        let mut open = Vec::new();
        for _ in 0..connections {
            let stream = TcpStream::connect(address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            open.push(stream);
        }
        gate.wait();
        gate.wait();
        let running: Vec<_> = open
            .into_iter()
            .map(|stream| tokio::task::spawn_local(connection(stream, requests, next, len)))
            .collect();
        let mut latencies = Vec::with_capacity(requests.len());
        for task in running {
            latencies.extend(task.await.unwrap());
        }
        latencies
    })
}

async fn connection(
    mut stream: TcpStream,
    requests: &'static [Vec<u8>],
    next: &'static std::cell::Cell<usize>,
    len: u64,
) -> Vec<u64> {
    let mut buffer = vec![0; BUFFER.min(usize::try_from(len).unwrap() + HEAD)];
    let mut latencies = Vec::new();
    while let Some(request) = requests.get(next.replace(next.get() + 1)) {
        let begin = Instant::now();
        stream.write_all(request).await.unwrap();
        let got = answer(&mut stream, &mut buffer, |_| {}).await;
        assert_eq!(got, len, "the response's length");
        latencies.push(u64::try_from(begin.elapsed().as_nanos()).unwrap());
    }
    latencies
}

/// Reads one response, passes its body on in pieces, and returns the body's length.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8], mut piece: impl FnMut(&[u8])) -> u64 {
    let mut have = 0;
    let (end, len) = loop {
        let count = stream.read(&mut buffer[have..]).await.unwrap();
        assert!(count > 0, "the server hung up: {}", String::from_utf8_lossy(&buffer[..have]));
        have += count;
        if let Some(end) = buffer[..have].windows(4).position(|four| four == b"\r\n\r\n") {
            break (end + 4, body_len(&buffer[..end]));
        }
    };
    piece(&buffer[end..have]);
    let mut left = len.checked_sub((have - end) as u64).expect("more bytes than announced");
    while left > 0 {
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let count = stream.read(&mut buffer[..most]).await.unwrap();
        assert!(count > 0, "the server hung up with {left} of {len} bytes to send");
        piece(&buffer[..count]);
        left -= count as u64;
    }
    len
}

fn body_len(head: &[u8]) -> u64 {
    let text = std::str::from_utf8(head).expect("an answer in ASCII");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    value.expect("a length").parse().unwrap()
}

fn request(address: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: side-by-side\r\nAccept: */*\r\n\r\n")
        .into()
}

/// The whole response to one request, over its own connection.
pub fn fetch(address: SocketAddr, path: &str) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&request(address, path)).await.unwrap();
        let mut body = Vec::new();
        answer(&mut stream, &mut vec![0; BUFFER], |piece| body.extend_from_slice(piece)).await;
        body
    })
}

/// Whether a server responds at all; with `ready`, whether it responds with 200.
pub fn answers(address: SocketAddr, path: &str, ready: bool) -> bool {
    use std::io::{Read, Write};
    let timeout = Duration::from_millis(500);
    let Ok(mut stream) = std::net::TcpStream::connect_timeout(&address, timeout) else { return false };
    let mut head = [0; 64];
    let asked = stream
        .set_read_timeout(Some(timeout))
        .and_then(|()| stream.write_all(&request(address, path)))
        .and_then(|()| stream.read(&mut head));
    match asked {
        Ok(count) if count > 12 => !ready || head.starts_with(b"HTTP/1.1 200"),
        _ => false,
    }
}
