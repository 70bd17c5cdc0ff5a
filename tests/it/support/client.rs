//! HTTP clients: a plain one that reads whole responses, and one on a raw socket that can break off.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// A response, read to its end.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} and {} bytes", self.status, self.headers, self.body.len())
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn etag(&self) -> String {
        self.header("etag").unwrap().to_owned()
    }

    /// The slug of a problem.
    pub fn slug(&self) -> String {
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let problem: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(problem["status"], self.status.as_u16());
        problem["type"].as_str().unwrap().to_owned()
    }
}

/// A client for plain HTTP that uses no proxy and follows no redirects.
#[derive(Clone)]
pub struct Client(legacy::Client<HttpConnector, Whole>);

impl Default for Client {
    fn default() -> Client {
        Client::at(1)
    }
}

impl Client {
    /// A client with the address 127.0.0.`host`.
    pub fn at(host: u8) -> Client {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_local_address(Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host))));
        Client(builder().build(connector))
    }

    /// A client that keeps no connections, for servers that are killed.
    pub fn without_keep_alive() -> Client {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Client(builder().pool_max_idle_per_host(0).build(connector))
    }

    pub async fn get(&self, url: &str) -> Reply {
        self.request(Method::GET, url, &[]).await
    }

    pub async fn get_with(&self, url: &str, headers: &[(&str, &str)]) -> Reply {
        self.request(Method::GET, url, headers).await
    }

    pub async fn head(&self, url: &str) -> Reply {
        self.request(Method::HEAD, url, &[]).await
    }

    pub async fn request(&self, method: Method, url: &str, headers: &[(&str, &str)]) -> Reply {
        self.send(method, url, headers, Vec::new()).await
    }

    /// Sends a request with a body.
    pub async fn send(&self, method: Method, url: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
        // Escapes the address as a browser does.
        let url = url::Url::parse(url).unwrap();
        let mut request = Request::builder().method(method).uri(url.as_str());
        let takes_all = headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("accept"));
        for (name, value) in takes_all.then_some(&("accept", "*/*")).into_iter().chain(headers) {
            request = request.header(*name, *value);
        }
        self.exchange(request.body(Whole::from(body)).unwrap()).await.unwrap()
    }

    /// Sends a request unchanged.
    pub async fn exchange(&self, request: Request<Whole>) -> Result<Reply, Box<dyn Error + Send + Sync>> {
        let (head, mut incoming) = self.0.request(request).await?.into_parts();
        let mut body = Vec::new();
        while let Some(frame) = poll_fn(|context| Pin::new(&mut incoming).poll_frame(context)).await {
            body.extend(frame?.into_data().unwrap_or_default());
        }
        Ok(Reply { status: head.status, headers: head.headers, body })
    }
}

fn builder() -> legacy::Builder {
    legacy::Client::builder(TokioExecutor::new())
}

/// A complete body, if any.
pub struct Whole(Option<Bytes>);

impl From<Vec<u8>> for Whole {
    fn from(body: Vec<u8>) -> Whole {
        Whole((!body.is_empty()).then(|| body.into()))
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|body| Ok(Frame::data(body))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |body| body.len() as u64))
    }
}

/// A download on a raw socket that reads only as much as the test wants.
pub struct Partial {
    stream: TcpStream,
    pub head: String,
    pub body: Vec<u8>,
}

impl Partial {
    /// Sends a GET from 127.0.0.`host` with extra header lines, and reads the head and `count` bytes of the
    /// body.
    pub async fn open(host: u8, url: &str, extra: &str, count: usize) -> Partial {
        let (authority, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let server: SocketAddr = authority.parse().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        // A small window, so that the node can't send far ahead of what is read.
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, host], 0))).unwrap();
        let mut stream = socket.connect(server).await.unwrap();
        let request = format!("GET /{path} HTTP/1.1\r\nHost: {authority}\r\n{extra}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let mut partial = Partial { stream, head: String::from_utf8(head).unwrap(), body: Vec::new() };
        partial.read(count).await;
        partial
    }

    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v)
    }

    /// Returns how many bytes have arrived that weren't read.
    pub fn arrived(&self) -> u64 {
        rustix::io::ioctl_fionread(&self.stream).unwrap()
    }

    /// Reads `count` more bytes.
    pub async fn read(&mut self, count: usize) {
        let have = self.body.len();
        self.body.resize(have + count, 0);
        self.stream.read_exact(&mut self.body[have..]).await.unwrap();
    }

    /// Reads to the end of the body or of the connection and keeps nothing; returns the number of bytes.
    pub async fn count_to_end(&mut self) -> u64 {
        let expected: u64 = self.header("content-length").unwrap().parse().unwrap();
        let (mut count, mut chunk) = (self.body.len() as u64, vec![0; 64 * 1024]);
        while count < expected {
            match self.stream.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(more) => count += more as u64,
            }
        }
        count
    }

    /// Reads until `count` bytes of the body have arrived, or to the end of the body or of the connection.
    pub async fn read_at_most(&mut self, count: usize) {
        let mut chunk = vec![0; 64 * 1024];
        while self.body.len() < count {
            let wanted = chunk.len().min(count - self.body.len());
            match self.stream.read(&mut chunk[..wanted]).await {
                Ok(0) | Err(_) => break,
                Ok(more) => self.body.extend_from_slice(&chunk[..more]),
            }
        }
    }

    /// Reads to the end of the body or of the connection, at most `pace` bytes per second, and keeps nothing;
    /// passes each piece to `seen` with its offset. Returns the total number of bytes.
    pub async fn read_through(&mut self, pace: Option<u64>, mut seen: impl FnMut(u64, &[u8])) -> u64 {
        let expected: u64 = self.header("content-length").unwrap().parse().unwrap();
        seen(0, &self.body);
        let (mut count, mut chunk) = (self.body.len() as u64, vec![0; 256 * 1024]);
        while count < expected {
            let Ok(more @ 1..) = self.stream.read(&mut chunk).await else { break };
            seen(count, &chunk[..more]);
            count += more as u64;
            if let Some(pace) = pace {
                tokio::time::sleep(Duration::from_secs_f64(more as f64 / pace as f64)).await;
            }
        }
        count
    }

    /// Reads to the end of the body or of the connection; returns the total number of bytes.
    pub async fn read_to_end(&mut self) -> usize {
        let expected: usize = self.header("content-length").unwrap().parse().unwrap();
        let mut chunk = vec![0; 64 * 1024];
        while self.body.len() < expected {
            match self.stream.read(&mut chunk).await {
                Ok(0) | Err(_) => break,
                Ok(count) => self.body.extend_from_slice(&chunk[..count]),
            }
        }
        self.body.len()
    }
}
