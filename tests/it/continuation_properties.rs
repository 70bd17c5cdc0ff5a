//! Presses, breaks, restarts, addresses and forgeries in any order: the person who began a download can
//! finish it, and nobody gets what the rule does not allow.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::support::client::{Client, Partial};
use crate::support::{Node, pattern};

const MIB: usize = 1024 * 1024;
const SIZE: usize = 9 * MIB;
const RESENT: usize = 8 * MIB;
/// This long after the last byte, nothing can be continued.
const LEASE: u64 = 3600;
/// The address of the person who began the download.
const HOME: u8 = 1;

#[derive(Clone, Debug)]
enum Step {
    /// Continues with a continuation, a fresh one or the previous one, from the start or from where it broke
    /// off, and reads `read` bytes.
    Press {
        fresh: bool,
        from_start: bool,
        host: u8,
        read: usize,
    },
    /// Retries with the token itself, from where it broke off.
    Retry {
        host: u8,
        read: usize,
    },
    /// Retries with the token itself and the resume key.
    Keyed {
        host: u8,
        read: usize,
    },
    Forge(usize),
    Restart,
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let read = || prop_oneof![3 => 1..SIZE / 2, 1 => Just(SIZE)];
    let step = prop_oneof![
        6 => (any::<bool>(), prop::bool::weighted(0.2), HOME..4, read())
            .prop_map(|(fresh, from_start, host, read)| Step::Press { fresh, from_start, host, read }),
        3 => (HOME..3, read()).prop_map(|(host, read)| Step::Retry { host, read }),
        1 => (HOME..4, read()).prop_map(|(host, read)| Step::Keyed { host, read }),
        2 => (0usize..4).prop_map(Step::Forge),
        1 => Just(Step::Restart),
        1 => prop_oneof![4 => Just(600), 1 => Just(LEASE + 1)].prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 4..16)
}

/// A link, and how much of the file its person has.
struct World {
    node: Option<Node>,
    stranger: Node,
    content: Vec<u8>,
    jti: oncelink::id::Jti,
    link: String,
    key: Option<String>,
    last_continuation: Option<String>,
    /// The length of the part that arrived, from the start of the file.
    have: usize,
    began: bool,
    /// Whether the node has sent all bytes since its last start, as far as it can know.
    whole: bool,
    /// Whether the node was restarted since the download began.
    restarted: bool,
    idle: u64,
    /// Bytes received without the key, and the length promised to a key or continuation.
    unkeyed: usize,
    promised: usize,
    came: usize,
}

impl World {
    async fn new() -> World {
        let (node, stranger) = (Node::start().await, Node::start().await);
        let content = pattern(SIZE);
        node.put("a.bin", &content);
        node.put("b.bin", &pattern(SIZE));
        let issued = node.issue("a.bin", |order| order.lifetime = Some(Duration::from_secs(7 * 24 * 3600)));
        World {
            stranger,
            content,
            jti: issued.jti,
            link: issued.address,
            node: Some(node),
            key: None,
            last_continuation: None,
            have: 0,
            began: false,
            whole: false,
            restarted: false,
            idle: 0,
            unkeyed: 0,
            promised: 0,
            came: 0,
        }
    }

    fn node(&self) -> &Node {
        self.node.as_ref().unwrap()
    }

    /// Requests the file from `from` on and reads up to `read` bytes; returns the status and the promised
    /// length.
    async fn ask(&mut self, host: u8, link: &str, from: usize, key: bool, read: usize) -> (u16, usize) {
        let mut extra = if from > 0 { format!("Range: bytes={from}-\r\n") } else { String::new() };
        if let Some(key) = self.key.as_ref().filter(|_| key) {
            extra += &format!("If-Match: {key}\r\n");
        }
        let mut answer = Partial::open(host, link, &extra, 0).await;
        let status = answer.status();
        if status != 200 && status != 206 {
            return (status, 0);
        }
        let length: usize = answer.header("content-length").unwrap().parse().unwrap();
        assert_eq!(length, SIZE - from);
        self.key.get_or_insert(answer.header("etag").unwrap().to_owned());
        answer.read_at_most(read.min(length)).await;
        let got = answer.body.len();
        assert!(answer.body == self.content[from..from + got], "the bytes differ from the file's");
        self.have = self.have.max(from + got);
        self.came += got;
        self.idle = 0;
        // A client that has the whole file keeps its connection; one that stops midway closes it.
        self.whole |= from + got == SIZE && (from == 0 || !self.restarted);
        (status, length)
    }

    async fn press(&mut self, fresh: bool, from_start: bool, host: u8, read: usize) {
        let kept = self.last_continuation.clone().filter(|_| !fresh);
        let again = kept.unwrap_or_else(|| {
            self.node().continuation(self.jti, "a.bin", |order| {
                order.lifetime = Some(Duration::from_secs(24 * 3600))
            })
        });
        self.last_continuation = Some(again.clone());
        let from = if from_start || self.have == SIZE { 0 } else { self.have };
        let room = match self.restarted {
            true => (2 * SIZE).saturating_sub(self.promised),
            false => (3 * SIZE + RESENT).saturating_sub(self.promised + self.unkeyed + MIB),
        };
        let (whole, began) = (self.whole, self.began);
        let is_open = began && !whole && self.idle < LEASE;
        let (status, length) = self.ask(host, &again, from, false, read).await;
        self.promised += length;
        if is_open && self.have < SIZE && room >= SIZE - from {
            assert!(status == 200 || status == 206, "the person who began it can finish it: {status}");
        }
        if !began || whole || (status != 200 && status != 206) {
            assert_eq!(status, 410);
        }
    }

    async fn forge(&mut self, how: usize) {
        let again = self.node().continuation(self.jti, "a.bin", |_| {});
        let (_, token) = again.rsplit_once("/d/").unwrap();
        let token = token.split('/').next().unwrap();
        let (claims, signature) = token.rsplit_once('.').unwrap();
        let swapped: String = signature.chars().map(|c| if c == 'A' { 'B' } else { 'A' }).collect();
        let (forged, wanted) = match how {
            0 => (self.node().url(&format!("/d/{claims}.{swapped}")), 403),
            1 => (self.node().url(&format!("/d/{claims}A.{signature}")), 403),
            2 => {
                let foreign = self.stranger.continuation(self.jti, "a.bin", |_| {});
                let (_, path) = foreign.rsplit_once("/d/").unwrap();
                (self.node().url(&format!("/d/{path}")), 403)
            }
            _ => (self.node().continuation(self.jti, "b.bin", |_| {}), 409),
        };
        for host in HOME..4 {
            let answer = Client::at(host).get(&forged).await;
            // Where nothing can be continued, even a continuation for another file learns nothing.
            assert!(answer.status == wanted || (how == 3 && answer.status == 410), "{how}: {answer:?}");
        }
    }

    async fn take(&mut self, step: Step) {
        match step {
            Step::Press { fresh, from_start, host, read } => self.press(fresh, from_start, host, read).await,
            Step::Retry { host, read } => {
                let began = self.began;
                let (link, from) = (self.link.clone(), if self.have == SIZE { 0 } else { self.have });
                // The first address begins the download, wherever it is; here the person comes first.
                let host = if began { host } else { HOME };
                let (status, _) = self.ask(host, &link, from, false, read).await;
                let served = status == 200 || status == 206;
                assert!(served || status == 410, "{status}");
                assert!(!served || host == HOME, "a stranger got the file");
                assert!(
                    !served || !self.restarted || !began,
                    "only the node that redeemed the token knows the address"
                );
                assert!(began || served, "the first request is served: {status}");
                self.began = true;
            }
            Step::Keyed { host, read } if self.key.is_some() => {
                let (link, from) = (self.link.clone(), if self.have == SIZE { 0 } else { self.have });
                let (status, length) = self.ask(host, &link, from, true, read).await;
                self.promised += length;
                assert!([200, 206, 410].contains(&status), "{status}");
            }
            Step::Keyed { .. } => {}
            Step::Forge(how) => self.forge(how).await,
            Step::Restart => {
                let node = self.node.take().unwrap().restart().await;
                self.node = Some(node);
                self.restarted |= self.began;
                self.whole = false;
            }
            Step::Pass(seconds) => {
                self.node().pass(Duration::from_secs(seconds));
                self.idle += seconds;
            }
        }
    }
}

#[test]
fn the_person_who_began_can_finish_and_nobody_gets_more_than_the_rule_allows() {
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let tried = TestRunner::new(config).run(&steps(), |steps| {
        actix_web::rt::System::new().block_on(async {
            let mut world = World::new().await;
            for step in steps {
                let before = world.came;
                let is_unkeyed = matches!(step, Step::Retry { .. });
                world.take(step).await;
                if is_unkeyed {
                    world.unkeyed += world.came - before;
                }
                assert!(world.unkeyed <= SIZE + RESENT, "{} bytes without the key", world.unkeyed);
                assert!(world.came <= 3 * SIZE + RESENT, "{} bytes in all", world.came);
            }
            world.node.take().unwrap().stop().await;
            world.stranger.stop().await;
        });
        Ok(())
    });
    tried.unwrap();
}
