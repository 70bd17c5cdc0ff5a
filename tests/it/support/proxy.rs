//! A connection between client and node that breaks or is slow, and that records the requests.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;

/// The faults of the connection.
#[derive(Clone, Copy, Debug, Default)]
pub struct Line {
    /// The first `cuts` connections that have carried `cut_after` bytes of responses are cut there.
    pub cuts: usize,
    pub cut_after: usize,
    /// Bytes of responses per second on each connection.
    pub speed: Option<u32>,
}

/// The faults in the direction of the requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Uplink {
    /// The first `cuts` connections that have carried `cut_after` bytes of requests are cut there.
    pub cuts: usize,
    pub cut_after: usize,
    /// Bytes of requests per second on each connection, until [`Proxy::remove_speed_limit`].
    pub speed: Option<u32>,
}

/// A TCP proxy at its own address. It ends when dropped.
pub struct Proxy {
    pub address: SocketAddr,
    state: Arc<State>,
    task: tokio::task::JoinHandle<()>,
}

struct State {
    line: Line,
    up: Uplink,
    cuts_left: AtomicUsize,
    cuts_up_left: AtomicUsize,
    hurried: AtomicBool,
    cut: Notify,
    running: AtomicUsize,
    most_running: AtomicUsize,
    carried: AtomicU64,
    requests: Mutex<Vec<String>>,
}

impl Proxy {
    pub async fn start(node: SocketAddr, line: Line) -> Proxy {
        Proxy::start_with(node, line, Uplink::default()).await
    }

    /// The same, with faults in the direction of the requests, too.
    pub async fn start_with(node: SocketAddr, line: Line, up: Uplink) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let state = Arc::new(State {
            line,
            up,
            cuts_left: AtomicUsize::new(line.cuts),
            cuts_up_left: AtomicUsize::new(up.cuts),
            hurried: AtomicBool::new(false),
            cut: Notify::new(),
            running: AtomicUsize::new(0),
            most_running: AtomicUsize::new(0),
            carried: AtomicU64::new(0),
            requests: Mutex::default(),
        });
        let address = listener.local_addr().unwrap();
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, node, shared.clone()));
            }
        });
        Proxy { address, state, task }
    }

    /// The same link, through this proxy.
    pub fn link(&self, link: &str) -> String {
        let (_, path) = link.strip_prefix("http://").unwrap().split_once('/').unwrap();
        format!("http://{}/{path}", self.address)
    }

    /// The heads of all requests so far.
    pub fn requests(&self) -> Vec<String> {
        self.state.requests.lock().unwrap().clone()
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> usize {
        self.state.line.cuts - self.state.cuts_left.load(Ordering::SeqCst)
    }

    /// Removes the speed limit for requests.
    pub fn remove_speed_limit(&self) {
        self.state.hurried.store(true, Ordering::SeqCst);
    }

    /// Cuts all open connections.
    pub fn cut_all(&self) {
        self.state.cut.notify_waiters();
    }

    /// How many connections were cut in the direction of the requests.
    pub fn cuts_up(&self) -> usize {
        self.state.up.cuts - self.state.cuts_up_left.load(Ordering::SeqCst)
    }

    /// The number of bytes of responses from the node, including heads.
    pub fn carried(&self) -> u64 {
        self.state.carried.load(Ordering::SeqCst)
    }

    /// The maximum number of responses at the same time.
    pub fn most_at_once(&self) -> usize {
        self.state.most_running.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(client: TcpStream, node: SocketAddr, state: Arc<State>) {
    let socket = TcpSocket::new_v4().unwrap();
    // A small window, so that the node can't send far ahead of what the client has.
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let Ok(server) = socket.connect(node).await else { return };
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let cut = state.cut.notified();
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // The first side that ends closes both, as on a broken connection.
    tokio::select! {
        () = requests(from_client, to_server, &state) => {}
        () = answers(from_server, to_client, &state) => {}
        () = cut => {}
    }
}

async fn requests(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) {
    let mut chunk = vec![0; 16 * 1024];
    let mut head = Vec::new();
    let (mut carried, mut body) = (0, 0);
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        carried += count;
        if carried >= state.up.cut_after
            && state
                .cuts_up_left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok()
        {
            return;
        }
        if let Some(speed) = state.up.speed
            && !state.hurried.load(Ordering::SeqCst)
        {
            tokio::time::sleep(Duration::from_secs_f64(count as f64 / f64::from(speed))).await;
        }
        head.extend_from_slice(&chunk[..count]);
        loop {
            let skipped = body.min(head.len());
            head.drain(..skipped);
            body -= skipped;
            let Some(end) = head.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { break };
            let one: Vec<u8> = head.drain(..end + 4).collect();
            let one = String::from_utf8_lossy(&one).into_owned();
            body = one.lines().find_map(content_length).unwrap_or(0);
            state.requests.lock().unwrap().push(one);
        }
        if to.write_all(&chunk[..count]).await.is_err() {
            return;
        }
    }
}

fn content_length(line: &str) -> Option<usize> {
    let (name, value) = line.split_once(':')?;
    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
}

async fn answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State) {
    let line = state.line;
    let mut chunk = vec![0; 16 * 1024];
    let (mut carried, mut counted) = (0, false);
    while let Ok(count @ 1..) = from.read(&mut chunk).await {
        state.carried.fetch_add(count as u64, Ordering::SeqCst);
        if !counted {
            counted = true;
            let running = state.running.fetch_add(1, Ordering::SeqCst) + 1;
            state.most_running.fetch_max(running, Ordering::SeqCst);
        }
        let cut = carried + count >= line.cut_after
            && state
                .cuts_left
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1))
                .is_ok();
        let pass = if cut { line.cut_after - carried } else { count };
        if to.write_all(&chunk[..pass]).await.is_err() || cut {
            break;
        }
        carried += count;
        if let Some(speed) = line.speed {
            tokio::time::sleep(Duration::from_secs_f64(count as f64 / f64::from(speed))).await;
        }
    }
    if counted {
        state.running.fetch_sub(1, Ordering::SeqCst);
    }
    let _gone = to.shutdown().await;
}
