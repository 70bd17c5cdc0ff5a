//! Behind real proxies: a download that breaks anywhere can be resumed without a key, and its receipt is
//! correct. `ONCELINK_TEST_BREAKS=50` runs more breaks than a usual run has time for.

use oncelink::config::{Network, Settings};
use oncelink::receipt::DeliveryState;

use crate::needs::variable;
use crate::support::client::{Client, Partial};
use crate::support::deliveries::BothServices;
use crate::support::pattern;
use crate::support::process::{Dice, say};
use crate::support::proxies::{Front, Kind};

const MIB: usize = 1024 * 1024;
const SIZE: usize = 64 * MIB;

fn behind_a_proxy(settings: &mut Settings) {
    let proxy: Network = "127.0.0.1".parse().unwrap();
    settings.download.trusted_proxies = vec![proxy];
    settings.web.trusted_proxies = vec![proxy];
}

async fn start(kind: Kind) -> Option<(BothServices, Front)> {
    let services = BothServices::start_with(behind_a_proxy).await;
    let front = Front::start(kind, services.running.as_ref()?.download?)?;
    Some((services, front))
}

/// One break at a random point. Returns what went wrong, if anything.
async fn break_once(
    services: &BothServices,
    front: &Front,
    content: &[u8],
    dice: &mut Dice,
) -> Option<String> {
    let access = &services.access;
    let (jti, link) = access.token("a.bin", services.clock.now()).await;
    let link = front.link(&link);
    let have = MIB + dice.below((SIZE - 4 * MIB) as u64) as usize;
    let mut first = Partial::open(1, &link, "", have).await;
    if dice.below(2) == 0 {
        // A client that reads on a little before it closes.
        first.read(MIB / 2).await;
    }
    let mut got = std::mem::take(&mut first.body);
    drop(first);
    // Near the end, the rest may fit into buffers, and the proxy may have all of it.
    if got.len() < SIZE - 40 * MIB {
        let broken = access.until_state(jti, DeliveryState::Interrupted).await;
        if broken.bytes >= SIZE as u64 {
            return Some(format!("the owner's receipt shows {} bytes", broken.bytes));
        }
    }
    let range = format!("bytes={}-", got.len());
    let rest = Client::default().get_with(&link, &[("range", &range)]).await;
    if rest.status != 206 {
        return Some(format!("{} after {} bytes", rest.status, got.len()));
    }
    got.extend_from_slice(&rest.body);
    assert!(got == content, "the bytes differ from the file's");
    access.until_state(jti, DeliveryState::Complete).await;
    let again = Client::default().get(&link).await.status;
    (again != 410).then(|| format!("{again} for a plain GET after the whole file"))
}

async fn breaks_are_survived(kind: Kind) {
    let Some((services, front)) = start(kind).await else { return };
    let content = pattern(SIZE);
    services.put("a.bin", &content);
    // A fast transfer first: it leaves large windows on the connections that are kept open.
    let (_, link) = services.access.token("a.bin", services.clock.now()).await;
    assert!(Client::default().get(&front.link(&link)).await.body == content);
    let rounds: u64 = variable("ONCELINK_TEST_BREAKS").map_or(5, |count| count.parse().unwrap());
    let mut faults = Vec::new();
    for round in 0..rounds {
        let mut dice = Dice::new(round * 31 + 7);
        faults.extend(break_once(&services, &front, &content, &mut dice).await);
    }
    say(&format!("{kind:?}: {} of {rounds} breaks passed", rounds - faults.len() as u64));
    assert!(faults.len() as u64 * 50 <= rounds, "{kind:?}: {faults:?}");
    services.stop().await;
}

#[actix_web::test]
async fn breaks_behind_nginx_with_its_defaults_are_survived() {
    Box::pin(breaks_are_survived(Kind::NginxDefaults)).await;
}

#[actix_web::test]
async fn breaks_behind_nginx_are_survived() {
    Box::pin(breaks_are_survived(Kind::Nginx)).await;
}

#[actix_web::test]
async fn breaks_behind_haproxy_are_survived() {
    Box::pin(breaks_are_survived(Kind::Haproxy)).await;
}

#[actix_web::test]
async fn breaks_behind_caddy_are_survived() {
    Box::pin(breaks_are_survived(Kind::Caddy)).await;
}

#[actix_web::test]
async fn breaks_behind_apache_are_survived() {
    Box::pin(breaks_are_survived(Kind::Apache)).await;
}

#[actix_web::test]
async fn three_breaks_in_a_row_are_survived_behind_every_proxy() {
    for kind in Kind::ALL {
        let Some((services, front)) = start(kind).await else { continue };
        let content = pattern(SIZE);
        services.put("a.bin", &content);
        let (jti, link) = services.access.token("a.bin", services.clock.now()).await;
        let link = front.link(&link);
        let mut got = Partial::open(1, &link, "", 5 * MIB).await.body;
        for round in 1..=3 {
            let more = Partial::open(1, &link, &format!("Range: bytes={}-\r\n", got.len()), 5 * MIB).await;
            assert_eq!(more.status(), 206, "{kind:?}, break {round}");
            got.extend_from_slice(&more.body);
        }
        let rest = Client::default().get_with(&link, &[("range", &format!("bytes={}-", got.len()))]).await;
        assert_eq!(rest.status, 206, "{kind:?}");
        got.extend_from_slice(&rest.body);
        assert!(got == content);
        services.access.until_state(jti, DeliveryState::Complete).await;
        services.stop().await;
    }
}
