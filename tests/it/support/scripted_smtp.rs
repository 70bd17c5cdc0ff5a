//! A mail server that replies as a test tells it to, step by step, for each recipient.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};

/// The step of the dialog at which the server replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    Greeting,
    Ehlo,
    Mail,
    Rcpt,
    Data,
    Content,
}

/// The server's reply.
#[derive(Clone, Debug)]
pub enum Does {
    /// Sends this.
    Says(String),
    /// Sends this byte by byte, each in its own packet.
    SaysInPieces(String),
    /// Sends these bytes, which need not be text, and goes on.
    SaysBytes(&'static [u8]),
    /// Sends nothing, and keeps the connection open.
    Hangs,
    /// Closes the connection.
    Closes,
    /// Sends this and closes the connection.
    SaysAndCloses(String),
    /// Sends this once the test allows it, or the client has closed the connection.
    SaysWhen(Arc<Notify>, String),
    /// Sends this after a delay.
    SaysAfter(Duration, String),
}

impl Does {
    pub fn says(text: &str) -> Does {
        Does::Says(text.to_owned())
    }
}

type Script = dyn Fn(At, &str) -> Option<Does> + Send + Sync;

/// What happened so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Recipients of mails that the server accepted, in order.
    pub taken: Vec<String>,
    /// The accepted mails.
    pub mails: Vec<String>,
    /// Recipients named in a `RCPT`, in order.
    pub asked: Vec<String>,
    /// Connections so far, and how many of them were closed.
    pub connections: usize,
    pub closed: usize,
}

/// A running server; its tasks end with the test's runtime.
pub struct ScriptedSmtp {
    pub port: u16,
    script: Arc<Mutex<Arc<Script>>>,
    seen: watch::Receiver<Seen>,
}

impl ScriptedSmtp {
    /// Starts one that replies as `script` says for a step and a recipient (empty before `RCPT`), and accepts
    /// everything where `script` returns `None`.
    pub async fn start(script: impl Fn(At, &str) -> Option<Does> + Send + Sync + 'static) -> ScriptedSmtp {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let script: Arc<Mutex<Arc<Script>>> = Arc::new(Mutex::new(Arc::new(script)));
        let (tell, seen) = watch::channel(Seen::default());
        let (tell, scripts) = (Arc::new(tell), script.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (tell, scripts) = (tell.clone(), scripts.clone());
                tell.send_modify(|seen| seen.connections += 1);
                tokio::spawn(async move {
                    let _closed = talk(stream, &scripts, &tell).await;
                    tell.send_modify(|seen| seen.closed += 1);
                });
            }
        });
        ScriptedSmtp { port, script, seen }
    }

    /// Replaces the script.
    pub fn follow(&self, script: impl Fn(At, &str) -> Option<Does> + Send + Sync + 'static) {
        *self.script.lock().unwrap() = Arc::new(script);
    }

    pub fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// Waits until `is_so` returns true, for 30 s at most.
    pub async fn until(&self, what: &str, is_so: impl FnMut(&Seen) -> bool) -> Seen {
        let mut seen = self.seen.clone();
        let waited = tokio::time::timeout(Duration::from_secs(30), seen.wait_for(is_so)).await;
        match waited {
            Ok(seen) => seen.unwrap().clone(),
            Err(_) => panic!("{what}: {:?}", self.seen()),
        }
    }
}

async fn talk(
    stream: TcpStream,
    scripts: &Mutex<Arc<Script>>,
    tell: &watch::Sender<Seen>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut recipient = String::new();
    let does = |at: At, recipient: &str, usual: &str| {
        let script = scripts.lock().unwrap().clone();
        script(at, recipient).unwrap_or_else(|| Does::says(usual))
    };
    answer(&mut stream, does(At::Greeting, "", "220 script ready")).await?;
    loop {
        let mut line = Vec::new();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let word = line.get(..4).unwrap_or_default().to_ascii_uppercase();
        let reply = match word.as_str() {
            "EHLO" => does(At::Ehlo, "", "250-script\r\n250 8BITMIME"),
            "MAIL" => does(At::Mail, "", "250 2.1.0 fine"),
            "RCPT" => {
                let (_, rest) = line.split_once('<').unwrap_or_default();
                recipient = rest.split('>').next().unwrap_or_default().to_owned();
                tell.send_modify(|seen| seen.asked.push(recipient.clone()));
                does(At::Rcpt, &recipient, "250 2.1.5 fine")
            }
            "DATA" => does(At::Data, &recipient, "354 go on"),
            "RSET" | "NOOP" => Does::says("250 fine"),
            "QUIT" => Does::SaysAndCloses("221 bye".to_owned()),
            _ => Does::says("502 unknown"),
        };
        let goes_on =
            matches!(&reply, Does::Says(text) | Does::SaysInPieces(text) if text.starts_with("354"));
        answer(&mut stream, reply).await?;
        if word == "DATA" && goes_on {
            let mut mail = String::new();
            while !mail.ends_with("\r\n.\r\n") {
                if stream.read_line(&mut mail).await? == 0 {
                    return Ok(());
                }
            }
            let reply = does(At::Content, &recipient, "250 2.0.0 queued as S1");
            let takes = match &reply {
                Does::Says(text)
                | Does::SaysInPieces(text)
                | Does::SaysAndCloses(text)
                | Does::SaysAfter(_, text) => text.starts_with('2'),
                _ => false,
            };
            if takes {
                tell.send_modify(|seen| {
                    seen.taken.push(recipient.clone());
                    seen.mails.push(mail.clone());
                });
            }
            answer(&mut stream, reply).await?;
        }
    }
}

async fn answer(stream: &mut BufReader<TcpStream>, does: Does) -> std::io::Result<()> {
    let closed = || std::io::Error::from(std::io::ErrorKind::ConnectionAborted);
    match does {
        Does::Says(text) => stream.write_all(format!("{text}\r\n").as_bytes()).await,
        Does::SaysBytes(bytes) => stream.write_all(bytes).await,
        Does::SaysInPieces(text) => {
            for byte in format!("{text}\r\n").into_bytes() {
                stream.write_all(&[byte]).await?;
                stream.flush().await?;
                tokio::task::yield_now().await;
            }
            Ok(())
        }
        Does::Hangs => {
            // Until the client closes the connection.
            let mut rest = Vec::new();
            tokio::io::AsyncReadExt::read_to_end(stream, &mut rest).await?;
            Err(closed())
        }
        Does::Closes => Err(closed()),
        Does::SaysAndCloses(text) => {
            stream.write_all(format!("{text}\r\n").as_bytes()).await?;
            Err(closed())
        }
        Does::SaysWhen(allowed, text) => {
            allowed.notified().await;
            stream.write_all(format!("{text}\r\n").as_bytes()).await
        }
        Does::SaysAfter(pause, text) => {
            tokio::time::sleep(pause).await;
            stream.write_all(format!("{text}\r\n").as_bytes()).await
        }
    }
}
