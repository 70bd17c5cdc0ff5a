//! A download is complete when the client's kernel has acknowledged the last byte, no matter how long the
//! connection stays open afterwards.

use oncelink::receipt::DeliveryState;

use crate::support::client::{Client, Partial};
use crate::support::deliveries::BothServices;
use crate::support::pattern;

const MIB: usize = 1024 * 1024;

#[actix_web::test]
async fn a_download_is_complete_while_its_connection_stays_open() {
    let services = BothServices::start().await;
    for size in [0, 4, 800_000, 24 * MIB] {
        services.put("a.bin", &pattern(size));
        for extra in ["", "Connection: close\r\n"] {
            let (jti, link) = services.access.token("a.bin", services.clock.now()).await;
            let mut partial = Partial::open(1, &link, extra, size / 2).await;
            assert_eq!(partial.read_to_end().await, size);
            // The connection is still open, but idle.
            let complete = services.access.until_state(jti, DeliveryState::Complete).await;
            assert_eq!((complete.bytes, complete.percent()), (size as u64, 100));
            assert_eq!(Client::default().get(&link).await.slug(), "used-token");
            drop(partial);
        }
    }
    services.stop().await;
}

#[actix_web::test]
async fn bytes_still_in_transit_are_not_complete_and_not_counted_when_lost() {
    let services = BothServices::start().await;
    let content = pattern(6 * MIB);
    services.put("a.bin", &content);
    for _ in 0..5 {
        let (jti, link) = services.access.token("a.bin", services.clock.now()).await;
        // More than the client's receive window, and less than the server's kernel buffers: the server writes
        // all of it, and most of it is never delivered.
        let partial = Partial::open(1, &link, "", 10_000).await;
        services.access.until(jti, "bytes sent", |seen| seen.bytes > 0).await;
        drop(partial);
        let broken = services.access.until_state(jti, DeliveryState::Interrupted).await;
        assert!(broken.bytes < 2 * MIB as u64, "{broken:?}");
        // So the file can be requested again from the start however often it breaks.
        for _ in 0..4 {
            let again = Partial::open(1, &link, "", 10_000).await;
            assert_eq!(again.status(), 200);
        }
        assert!(Client::default().get(&link).await.body == content);
        services.access.until_state(jti, DeliveryState::Complete).await;
        assert_eq!(Client::default().get(&link).await.slug(), "used-token");
    }
    services.stop().await;
}
