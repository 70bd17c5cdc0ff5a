//! Used tokens in a Redis that is killed, away, emptied, full, or changes its settings: downloads are refused
//! meanwhile and spend nothing, no link works twice, and everything works again by itself.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use oncelink::clock::Clock;
use oncelink::used_tokens::redis::RedisUsedTokens;
use oncelink::used_tokens::{Reservation, StoreError, Use, UsedTokens};

use crate::needs::has_program;
use crate::support::client::Client;
use crate::support::deliveries::eventually;
use crate::support::process::PROGRAM;
use crate::support::redis::RedisServer;
use crate::support::shared::SharedServer;
use crate::support::{Node, pattern};
use crate::used_tokens::{NOW, at, jti, redeemed};

/// Settings with which Redis may lose what it confirms.
const UNSAFE: [(&str, &str, &str); 4] = [
    ("appendonly", "no", "yes"),
    ("appendfsync", "everysec", "always"),
    ("maxmemory-policy", "allkeys-lru", "noeviction"),
    ("no-appendfsync-on-rewrite", "yes", "no"),
];

/// A node with a file, and the Redis that keeps its used tokens.
struct Site {
    server: SharedServer,
    node: Node,
}

impl Site {
    async fn start() -> Option<Site> {
        let server = SharedServer::redis().await?;
        let [node] = server.nodes().await;
        node.put("a.bin", &pattern(5_000));
        Some(Site { server, node })
    }

    fn redis(&mut self) -> &mut RedisServer {
        match &mut self.server {
            SharedServer::Redis(server) => server,
            SharedServer::Postgres(_) => panic!("this test is about Redis"),
        }
    }

    /// The path of a new token.
    fn fresh(&self) -> String {
        format!("/d/{}", self.node.issue("a.bin", |_| {}).token)
    }

    async fn status(&self, path: &str) -> u16 {
        Client::default().get(&self.node.url(path)).await.status.as_u16()
    }

    async fn is_ready(&self) -> bool {
        self.status("/readyz").await == 200
    }
}

async fn connect(server: &RedisServer) -> Result<Arc<RedisUsedTokens>, StoreError> {
    RedisUsedTokens::connect(&server.address(), &Clock::manual(NOW), Some(NOW)).await.map(Arc::new)
}

/// The messages of an error and its causes.
fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Runs the program with used tokens at this address.
fn oncelink(command: &str, address: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("team")).unwrap();
    let settings = format!(
        "[web]\nlisten = '127.0.0.1:0'\n[download]\nlisten = '127.0.0.1:0'\nused_tokens = '{address}'\n\
         [[share]]\nname = 'team'\npath = 'team'\n"
    );
    fs::write(folder.path().join("oncelink.toml"), settings).unwrap();
    let mut program = Command::new(PROGRAM);
    let Output { status, stdout, stderr } =
        program.arg(command).current_dir(folder.path()).env_clear().output().unwrap();
    assert!(!status.success(), "{command} accepted it");
    format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr))
}

#[actix_web::test]
async fn a_redis_that_may_lose_what_it_confirms_is_refused_by_a_start_and_by_check() {
    let Some(server) = RedisServer::start().await else { return };
    for (name, wrong, right) in UNSAFE {
        server.set(name, wrong).await;
        for command in ["serve", "check"] {
            let said = oncelink(command, &server.address());
            for words in [&*format!("`{name}` is `{wrong}`"), "set `appendonly yes`"] {
                assert!(said.contains(words), "{command}: {said}");
            }
        }
        let error = connect(&server).await.err().map(|error| chain(&error));
        assert!(error.is_some_and(|error| error.contains(name)));
        server.set(name, right).await;
        connect(&server).await.unwrap().close().await;
    }
}

#[actix_web::test]
async fn a_redis_that_cannot_be_reached_or_asked_is_refused_without_its_password() {
    let Some(server) = RedisServer::start_with(&["--requirepass", "hunter2"]).await else { return };
    let right = server.address();
    for address in [
        right.replace(":hunter2@", ":hunter3@"),
        right.replace(":hunter2@", ""),
        format!("redis://:hunter2@127.0.0.1:{}/0", crate::support::unused_address().port()),
    ] {
        let said = oncelink("serve", &address);
        assert!(said.contains("download.used_tokens") && !said.contains("hunter"), "{said}");
    }
    let store = RedisUsedTokens::connect(&right, &Clock::manual(NOW), Some(NOW)).await.unwrap();
    assert!(matches!(store.claim(redeemed(jti(), at(9_000))).await, Ok(Use::First)));
    store.close().await;
}

#[actix_web::test]
async fn tls_is_accepted_only_from_a_server_whose_certificate_is_trusted() {
    let Some(server) = RedisServer::start_with_tls().await else { return };
    let store = connect(&server).await.unwrap();
    assert!(matches!(store.claim(redeemed(jti(), at(9_000))).await, Ok(Use::First)));
    store.close().await;
    let trusted = server.address();
    let (bare, _) = trusted.split_once('?').unwrap();
    let other_name = trusted.replace("localhost", "127.0.0.1");
    let gone = format!("{bare}?sslrootcert=/nowhere/ca.pem");
    let empty = format!("{bare}?sslrootcert=/dev/null");
    for (address, words) in [
        (bare, "certificate"),
        (&other_name, "certificate"),
        (&gone, "cannot read the certificates in /nowhere/ca.pem"),
        (&empty, "/dev/null contains no certificate"),
        (&bare.replace("rediss", "redis"), "cannot use the shared used-token store"),
    ] {
        let said = oncelink("serve", address);
        assert!(said.contains(words), "{address}: {said}");
    }
}

#[actix_web::test]
async fn while_redis_is_away_downloads_are_refused_unspent_and_then_work_by_themselves() {
    let Some(mut site) = Site::start().await else { return };
    let (used, unused) = (site.fresh(), site.fresh());
    assert_eq!(site.status(&used).await, 200);
    site.redis().kill();
    for path in [&unused, &used, &unused] {
        assert_eq!(site.status(path).await, 503);
    }
    assert_eq!(site.status("/readyz").await, 503);
    site.redis().run().await;
    eventually("the node is ready again", async || site.is_ready().await).await;
    assert_eq!(site.status(&used).await, 410);
    assert_eq!(site.status(&unused).await, 200);
    assert_eq!(site.status(&unused).await, 410);
    site.node.stop().await;
}

#[actix_web::test]
async fn a_redis_that_is_killed_under_load_forgets_nothing_that_was_served() {
    let Some(mut site) = Site::start().await else { return };
    let mut served: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..8 {
        let paths: Vec<String> = (0..64).map(|_| site.fresh()).collect();
        let mut asked: Vec<_> = paths
            .iter()
            .map(|path| {
                let url = site.node.url(path);
                actix_web::rt::spawn(async move { Client::default().get(&url).await.status.as_u16() })
            })
            .collect();
        // Killed after another number of answers each time.
        let waiting = asked.split_off(round * 9);
        let mut answers = join_all(asked).await;
        site.redis().kill();
        answers.extend(join_all(waiting).await);
        site.redis().run().await;
        for (path, status) in paths.iter().zip(answers.into_iter().map(Result::unwrap)) {
            assert!([200, 503].contains(&status), "{status}");
            *served.entry(path.clone()).or_default() += usize::from(status == 200);
        }
        eventually("the node is ready again", async || site.is_ready().await).await;
    }
    for (path, before) in served {
        let again = usize::from(site.status(&path).await == 200);
        assert!(before + again <= 1, "{path} was served {before} times, and then {again}");
    }
    site.node.stop().await;
}

#[actix_web::test]
async fn nothing_is_served_while_redis_may_lose_what_it_confirms() {
    let Some(mut site) = Site::start().await else { return };
    for (name, wrong, right) in UNSAFE {
        site.redis().set(name, wrong).await;
        // Found out at the first claim at the latest; from then on nothing is spent.
        let (first, unused) = (site.fresh(), site.fresh());
        assert_eq!(site.status(&first).await, 503, "{name}");
        assert_eq!(site.status(&unused).await, 503, "{name}");
        assert!(!site.is_ready().await, "{name}");
        site.redis().set(name, right).await;
        eventually("the node is ready again", async || site.is_ready().await).await;
        assert_eq!(site.status(&unused).await, 200, "{name}");
        assert_eq!(site.status(&unused).await, 410, "{name}");
    }
    site.node.stop().await;
}

#[actix_web::test]
async fn a_redis_without_memory_refuses_downloads_unspent_until_it_has_some() {
    let Some(mut site) = Site::start().await else { return };
    let unused = site.fresh();
    site.redis().set("maxmemory", "1").await;
    assert_eq!(site.status(&unused).await, 503);
    assert!(!site.is_ready().await);
    site.redis().set("maxmemory", "0").await;
    eventually("the node is ready again", async || site.is_ready().await).await;
    assert_eq!(site.status(&unused).await, 200);
    assert_eq!(site.status(&unused).await, 410);
    site.node.stop().await;
}

#[actix_web::test]
async fn a_redis_that_lost_everything_lets_nothing_in_twice_and_serves_new_links() {
    let Some(mut site) = Site::start().await else { return };
    for is_flushed in [true, false, true] {
        let (used, unused) = (site.fresh(), site.fresh());
        assert_eq!(site.status(&used).await, 200);
        match is_flushed {
            true => drop(site.redis().command(&["FLUSHALL"]).await),
            false => site.redis().lose_everything().await,
        }
        assert!([410, 503].contains(&site.status(&used).await));
        eventually("the node is ready again", async || site.is_ready().await).await;
        for path in [&used, &unused] {
            assert_eq!(site.status(path).await, 410, "issued before its records were lost");
        }
        eventually("new links work", async || site.status(&site.fresh()).await == 200).await;
    }
    site.node.stop().await;
}

#[actix_web::test]
async fn a_node_notices_that_another_one_opened_an_emptied_redis_first() {
    let Some(server) = RedisServer::start().await else { return };
    let store = connect(&server).await.unwrap();
    let used = redeemed(jti(), at(9_000));
    assert!(matches!(store.claim(used).await, Ok(Use::First)));
    store.standing(NOW).await.unwrap();
    server.command(&["FLUSHALL"]).await;
    let other = connect(&server).await.unwrap();
    for _ in 0..5 {
        assert!(matches!(other.claim(redeemed(jti(), at(9_000))).await, Ok(Use::First)));
        other.standing(NOW).await.unwrap();
    }
    store.standing(NOW).await.unwrap();
    assert_eq!(store.fence(), at(1));
    other.standing(NOW).await.unwrap();
    assert_eq!(other.fence(), at(1));
    let seen = other.standing(NOW).await.unwrap().unwrap();
    let own = store.standing(NOW).await.unwrap().unwrap();
    assert_eq!((&own.id, own.epoch, &own.branch), (&seen.id, seen.epoch, &seen.branch));
    for store in [store, other] {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_64_claims_of_one_token_that_waited_for_redis_exactly_one_is_first() {
    let Some(server) = RedisServer::start().await else { return };
    let store = connect(&server).await.unwrap();
    server.command(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let once = jti();
    let claims: Vec<_> = (0..64)
        .flat_map(|n| [redeemed(once, at(9_000 + n)), redeemed(jti(), at(9_000))])
        .map(|used| {
            let store = store.clone();
            tokio::spawn(async move { (used, store.claim(used).await.unwrap()) })
        })
        .collect();
    server.command(&["CLIENT", "UNPAUSE"]).await;
    let (mut firsts, mut replays) = (Vec::new(), Vec::new());
    for claim in claims {
        match claim.await.unwrap() {
            (used, Use::First) => firsts.push(used),
            (used, Use::Replay(record)) => replays.push((used, record)),
        }
    }
    assert_eq!((firsts.len(), replays.len()), (65, 63));
    let first = firsts.iter().find(|used| used.jti == once).unwrap();
    assert!(replays.iter().all(|(used, record)| used.jti == once && record == first));
    store.close().await;
}

#[actix_web::test]
async fn a_fence_that_rose_fails_claims_and_reservations_and_is_noticed_by_them() {
    let Some(server) = RedisServer::start().await else { return };
    let store = connect(&server).await.unwrap();
    let leased = redeemed(jti(), at(9_000));
    assert!(matches!(store.claim(leased).await, Ok(Use::First)));
    let rise = async || {
        for field in ["epoch", "position", "fence"] {
            server.command(&["HINCRBY", "oncelink:used-tokens", field, "1"]).await;
        }
    };
    rise().await;
    let used = redeemed(jti(), at(9_000));
    assert!(store.claim(used).await.is_err());
    assert_eq!(store.fence(), at(1), "the claim that failed has noticed");
    assert_eq!(store.find(used.jti).await.unwrap(), None);
    assert!(matches!(store.claim(used).await, Ok(Use::First)));
    rise().await;
    assert!(store.reserve(leased.jti, 10, 100, NOW).await.is_err());
    assert_eq!(store.fence(), at(2));
    let granted = store.reserve(leased.jti, 10, 100, NOW).await.unwrap();
    assert_eq!(granted, Reservation::Granted { reserved: 10 });
    store.close().await;
}

#[actix_web::test]
async fn a_damaged_record_is_an_error_and_never_an_unused_token() {
    let Some(server) = RedisServer::start().await else { return };
    let store = connect(&server).await.unwrap();
    let used = redeemed(jti(), at(9_000));
    assert!(matches!(store.claim(used).await, Ok(Use::First)));
    server.command(&["SETRANGE", &format!("oncelink:used-token:{}", used.jti), "20", "x"]).await;
    assert!(store.claim(used).await.is_err());
    assert!(store.find(used.jti).await.is_err());
    assert!(store.reserve(used.jti, 1, 9, NOW).await.is_err());
    store.close().await;
}

/// Redis removes nothing by its own clock, which may be wrong.
#[actix_web::test]
async fn no_record_expires_by_the_clock_of_redis() {
    let Some(server) = RedisServer::start().await else { return };
    let store = connect(&server).await.unwrap();
    let used = redeemed(jti(), at(1));
    assert!(matches!(store.claim(used).await, Ok(Use::First)));
    store.revoke(jti(), NOW, at(1)).await.unwrap();
    let keys: Vec<String> = redis::from_redis_value(server.command(&["KEYS", "oncelink:*"]).await).unwrap();
    assert_eq!(keys.len(), 5, "{keys:?}");
    for key in keys {
        assert_eq!(server.text(&["TTL", &key]).await, "-1", "{key}");
    }
    store.close().await;
}

#[actix_web::test]
async fn redis_answers_a_claim_only_after_its_file_was_synced() {
    let Some(server) = RedisServer::start().await else { return };
    if !has_program("strace") {
        return;
    }
    let store = connect(&server).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace");
    let mut strace = Command::new("strace")
        .args(["-f", "-q", "-s", "64", "-e", "trace=fdatasync,fsync,write,sendto,writev", "-o"])
        .arg(&trace)
        .args(["-p", &server.pid().to_string()])
        .spawn()
        .unwrap();
    let read = || fs::read_to_string(&trace).unwrap_or_default();
    eventually("strace has attached", async || {
        server.command(&["PING"]).await;
        !read().is_empty()
    })
    .await;
    assert!(matches!(store.claim(redeemed(jti(), at(9_000))).await, Ok(Use::First)));
    eventually("the answer is in the trace", async || {
        server.command(&["PING"]).await;
        read().contains("QUEUED")
    })
    .await;
    let _gone_already = strace.kill();
    strace.wait().unwrap();
    let lines: Vec<String> = read().lines().map(str::to_owned).collect();
    let position = |what: &dyn Fn(&str) -> bool| lines.iter().position(|line| what(line));
    let answered = position(&|line| line.contains("QUEUED")).unwrap();
    let appended = position(&|line| line.contains("write(") && line.contains("MULTI"));
    let synced = position(&|line| line.contains("sync(") && line.trim_end().ends_with("= 0"));
    assert!(appended.is_some() && appended < synced && synced < Some(answered), "{lines:#?}");
    store.close().await;
}

#[actix_web::test]
async fn claims_that_wait_too_long_for_redis_fail() {
    let Some(server) = RedisServer::start().await else { return };
    let store = connect(&server).await.unwrap();
    server.command(&["CLIENT", "PAUSE", "60000", "WRITE"]).await;
    let waiting = tokio::time::timeout(Duration::from_secs(60), store.claim(redeemed(jti(), at(9_000))));
    assert!(waiting.await.unwrap().is_err(), "its result is unknown");
    server.command(&["CLIENT", "UNPAUSE"]).await;
    assert!(matches!(store.claim(redeemed(jti(), at(9_000))).await, Ok(Use::First)));
    store.close().await;
}
