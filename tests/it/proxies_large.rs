//! Files larger than what a proxy buffers on disk: with its defaults, nginx stops reading ahead at 1 GiB.
//! `ONCELINK_TEST_PACE=16` reads them completely, behind every proxy, at that many MiB per second.

use std::fs::File;
use std::os::unix::fs::FileExt;

use oncelink::receipt::DeliveryState;

use crate::needs::variable;
use crate::support::client::Partial;
use crate::support::deliveries::BothServices;
use crate::support::proxies::{Front, Kind};

const MIB: u64 = 1024 * 1024;
const SIZE: u64 = 1100 * MIB;
/// The file is sparse, with one mark in each stretch of this length.
const STRETCH: u64 = 4 * MIB;
const MARK_AT: u64 = 54_321;

/// The mark of a stretch: two bytes that aren't zero, unlike all others.
fn mark(stretch: u64) -> [u8; 2] {
    [stretch % 200, stretch / 200].map(|part| u8::try_from(part).unwrap() + 1)
}

fn put(services: &BothServices) {
    let file = File::create(services.put("large.bin", b"")).unwrap();
    file.set_len(SIZE).unwrap();
    for stretch in 0..SIZE / STRETCH {
        file.write_all_at(&mark(stretch), stretch * STRETCH + MARK_AT).unwrap();
    }
}

/// Compares the received bytes with the file.
#[derive(Default)]
struct Seen {
    stretch: u64,
    /// The part of the mark that has arrived.
    mark: Vec<u8>,
    others: u64,
}

impl Seen {
    fn piece(&mut self, at: u64, bytes: &[u8]) {
        let mut at = at;
        for part in bytes.chunk_by(|a, b| (*a == 0) == (*b == 0)) {
            if (MARK_AT..MARK_AT + 2).contains(&(at % STRETCH)) && part[0] != 0 {
                self.mark.extend_from_slice(part);
                if self.mark == mark(at / STRETCH) {
                    self.stretch += 1;
                    self.mark.clear();
                }
            } else if part[0] != 0 {
                self.others += 1;
            }
            at += part.len() as u64;
        }
    }

    fn assert_whole(&self) {
        assert_eq!((self.stretch, self.others), (SIZE / STRETCH, 0), "marks, and unexpected bytes");
    }
}

async fn start(kind: Kind) -> Option<(BothServices, Front)> {
    let services = BothServices::start_with(|settings| {
        settings.download.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    })
    .await;
    let front = Front::start(kind, services.running.as_ref()?.download?)?;
    put(&services);
    Some((services, front))
}

#[actix_web::test]
async fn more_than_a_gibibyte_breaks_and_resumes_behind_nginx_with_its_defaults() {
    let Some((services, front)) = start(Kind::NginxDefaults).await else { return };
    let access = &services.access;
    let (jti, link) = access.token("large.bin", services.clock.now()).await;
    let link = front.link(&link);
    let mut seen = Seen::default();
    let first = Partial::open(1, &link, "", 8 * MIB as usize).await;
    seen.piece(0, &first.body);
    drop(first);
    let broken = access.until_state(jti, DeliveryState::Interrupted).await;
    assert!(broken.bytes < 64 * MIB, "nginx read {} bytes ahead", broken.bytes);
    let from = 8 * MIB;
    let mut rest = Partial::open(1, &link, &format!("Range: bytes={from}-\r\n"), 0).await;
    assert_eq!(rest.status(), 206);
    let came = rest.read_through(None, |at, bytes| seen.piece(from + at, bytes)).await;
    assert_eq!(from + came, SIZE);
    seen.assert_whole();
    access.until_state(jti, DeliveryState::Complete).await;
    services.stop().await;
}

#[actix_web::test]
async fn more_than_a_gibibyte_that_is_read_slowly_arrives_whole_behind_every_proxy() {
    // Without a pace, a tenth of it shows that each proxy passes on what is read and no more.
    let pace = variable("ONCELINK_TEST_PACE").map(|pace| pace.parse::<u64>().unwrap() * MIB);
    for kind in Kind::ALL {
        let Some((services, front)) = start(kind).await else { continue };
        let (jti, link) = services.access.token("large.bin", services.clock.now()).await;
        let link = front.link(&link);
        let Some(pace) = pace else {
            drop(Partial::open(1, &link, "", SIZE as usize / 10).await);
            let broken = services.access.until_state(jti, DeliveryState::Interrupted).await;
            assert!(broken.bytes < SIZE / 4, "{kind:?} took {} bytes", broken.bytes);
            services.stop().await;
            continue;
        };
        let mut seen = Seen::default();
        let mut whole = Partial::open(1, &link, "", 0).await;
        assert_eq!(whole.status(), 200, "{kind:?}");
        assert_eq!(whole.read_through(Some(pace), |at, bytes| seen.piece(at, bytes)).await, SIZE, "{kind:?}");
        seen.assert_whole();
        services.access.until_state(jti, DeliveryState::Complete).await;
        services.stop().await;
    }
}
