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

/// The expected response to each request.
#[derive(Clone, Copy)]
pub enum Expected {
    /// 200 with this many bytes.
    File(u64),
    /// 200, a page of any length.
    Page,
    /// 303, to where the file is.
    Redirect,
}

impl Expected {
    fn check(self, status: &str, len: u64) {
        match self {
            Expected::File(expected) => {
                assert_eq!((status, len), ("200", expected), "the response's status and length");
            }
            Expected::Page => assert_eq!(status, "200", "the response's status"),
            Expected::Redirect => assert_eq!(status, "303", "the response's status"),
        }
    }

    /// How much to read at once.
    fn buffer(self) -> usize {
        match self {
            Expected::File(len) => BUFFER.min(usize::try_from(len).unwrap() + HEAD),
            Expected::Page | Expected::Redirect => BUFFER,
        }
    }
}

/// Sends each request once, over `connections` connections, and checks that each is answered as expected.
///
/// `sample` is called with all connections open, just before the first request and just after the last
/// response.
pub fn run<T>(
    address: SocketAddr,
    requests: &[Vec<u8>],
    connections: usize,
    expected: Expected,
    sample: impl Fn() -> T,
) -> (Load, T, T) {
    let threads = connections.min(requests.len()).min(2);
    let share = requests.len().div_ceil(threads);
    let gate = Barrier::new(threads + 1);
    std::thread::scope(|scope| {
        let workers: Vec<_> = requests
            .chunks(share)
            .map(|mine| scope.spawn(|| worker(address, mine, connections / threads, expected, &gate)))
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

fn worker(
    address: SocketAddr,
    requests: &[Vec<u8>],
    connections: usize,
    expected: Expected,
    gate: &Barrier,
) -> Vec<u64> {
    let requests = requests.to_vec();
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
            .map(|stream| tokio::task::spawn_local(connection(stream, requests, next, expected)))
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
    expected: Expected,
) -> Vec<u64> {
    let mut buffer = vec![0; expected.buffer()];
    let mut latencies = Vec::new();
    while let Some(request) = requests.get(next.replace(next.get() + 1)) {
        let begin = Instant::now();
        stream.write_all(request).await.unwrap();
        let (status, len) = answer(&mut stream, &mut buffer, |_| {}).await;
        expected.check(&status, len);
        latencies.push(u64::try_from(begin.elapsed().as_nanos()).unwrap());
    }
    latencies
}

/// Reads one response, passes its body on in pieces, and returns its status and the body's length.
async fn answer(stream: &mut TcpStream, buffer: &mut [u8], mut piece: impl FnMut(&[u8])) -> (String, u64) {
    let mut have = 0;
    let (end, status, len) = loop {
        let count = stream.read(&mut buffer[have..]).await.unwrap();
        assert!(count > 0, "the server hung up: {}", String::from_utf8_lossy(&buffer[..have]));
        have += count;
        if let Some(end) = buffer[..have].windows(4).position(|four| four == b"\r\n\r\n") {
            let (status, len) = status_and_len(&buffer[..end]);
            break (end + 4, status, len);
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
    (status, len)
}

fn status_and_len(head: &[u8]) -> (String, u64) {
    let text = std::str::from_utf8(head).expect("an answer in ASCII");
    let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).expect("a status").to_owned();
    assert!(matches!(status.as_str(), "200" | "303"), "{text}");
    let value = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    (status, value.expect("a length").parse().unwrap())
}

/// A request for `path`.
pub fn request(address: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: side-by-side\r\nAccept: */*\r\n\r\n")
        .into()
}

/// The whole response to one request, over its own connection.
pub fn fetch(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut body = Vec::new();
        answer(&mut stream, &mut vec![0; BUFFER], |piece| body.extend_from_slice(piece)).await;
        body
    })
}

/// Whether a server responds at all; with `ready`, whether it responds with 200.
pub fn answers(address: SocketAddr, path: &str, ready: bool) -> bool {
    head(address, &request(address, path)).is_some_and(|head| !ready || head.starts_with(b"HTTP/1.1 200"))
}

/// Whether a server responds to `request` with 200.
pub fn accepts(address: SocketAddr, request: &[u8]) -> bool {
    head(address, request).is_some_and(|head| head.starts_with(b"HTTP/1.1 200"))
}

/// The first bytes of the response.
fn head(address: SocketAddr, request: &[u8]) -> Option<[u8; 64]> {
    use std::io::{Read, Write};
    let timeout = Duration::from_millis(500);
    let mut stream = std::net::TcpStream::connect_timeout(&address, timeout).ok()?;
    let mut head = [0; 64];
    stream.set_read_timeout(Some(timeout)).ok()?;
    stream.write_all(request).ok()?;
    let count = stream.read(&mut head).ok()?;
    (count > 12).then_some(head)
}
