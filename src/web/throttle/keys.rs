//! Limits guesses at API keys, and the requests of each key.

use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::client_address::neighbourhood;
use crate::clock::Timestamp;
use crate::web::throttle::counter::{RateLimit, Throttled};
use crate::web::throttle::limits::{Throttle, WIDER, key, networks};

/// Keys that have to be looked up in the database and don't exist. Nobody guesses one of 256 bits, but each costs a
/// query. A network with keys that work uses up none of this.
const UNKNOWN_KEYS: RateLimit = RateLimit::per_minute(30);

/// A key that is about to be looked up. It counts as wrong unless [`Throttle::known_key`] is called.
#[derive(Debug)]
pub struct KeyLookUp(IpAddr);

/// What a key may still do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestQuota {
    /// How many requests it may send in a minute.
    pub limit: u32,
    /// How many of them are left now.
    pub left: u32,
    /// When all of them will be available again, if it sends none until then.
    pub full_in: Duration,
}

impl Throttle {
    /// Sets how many requests each key may send in a minute; 0 = no limit.
    pub fn set_api_requests(&self, per_minute: u32) {
        self.0.api_requests.store(per_minute, Ordering::Relaxed);
    }

    /// Admits looking up a key that isn't known to this process.
    ///
    /// # Errors
    /// How long to wait, if there were too many that don't exist.
    pub fn look_up_key(&self, address: IpAddr, now: Timestamp) -> Result<KeyLookUp, Throttled> {
        let address = neighbourhood(address);
        for (net, times) in networks(address).into_iter().zip([1, WIDER]) {
            let allowed = UNKNOWN_KEYS.times(times);
            self.0.unknown_keys.with(net, now, |bucket| bucket.take(1, allowed, now))?;
        }
        Ok(KeyLookUp(address))
    }

    /// Records that a key exists: looking it up doesn't count.
    pub fn known_key(&self, look_up: KeyLookUp) {
        for (net, times) in networks(look_up.0).into_iter().zip([1, WIDER]) {
            self.0.unknown_keys.change(&net, |bucket| bucket.give_back(1, UNKNOWN_KEYS.times(times)));
        }
    }

    /// Admits a request of the key with this id, and returns what is left of its limit; `None` if there is no limit.
    ///
    /// # Errors
    /// How long to wait, if there were too many, and the limit.
    pub fn api_request(
        &self,
        id: &str,
        now: Timestamp,
    ) -> Result<Option<RequestQuota>, (Throttled, RequestQuota)> {
        let limit = self.0.api_requests.load(Ordering::Relaxed);
        if limit == 0 {
            return Ok(None);
        }
        let allowed = RateLimit::per_minute(limit);
        self.0.api.with(key("api", id), now, |bucket| {
            let taken = bucket.take(1, allowed, now);
            let (left, full_in) = bucket.left(allowed, now);
            let quota = RequestQuota { limit, left, full_in };
            taken.map(|()| Some(quota)).map_err(|early| (early, quota))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::throttle::limits::{address, at};

    #[test]
    fn keys_that_exist_use_up_no_guesses() {
        let throttle = Throttle::default();
        for _ in 0..1_000 {
            let look_up = throttle.look_up_key(address("192.0.2.1"), at(0)).unwrap();
            throttle.known_key(look_up);
        }
        let guesses = (0..100).filter(|_| throttle.look_up_key(address("192.0.2.1"), at(0)).is_ok());
        assert_eq!(guesses.count(), 30);
        assert!(throttle.look_up_key(address("192.0.2.2"), at(0)).is_ok(), "another address");
        assert!(throttle.look_up_key(address("192.0.2.1"), at(2)).is_ok(), "one more every two seconds");
    }

    #[test]
    fn each_key_has_its_own_limit_and_knows_what_is_left() {
        let throttle = Throttle::default();
        let first = throttle.api_request("a", at(0)).unwrap().unwrap();
        assert_eq!((first.limit, first.left, first.full_in.as_secs()), (600, 599, 1));
        for _ in 1..600 {
            throttle.api_request("a", at(0)).unwrap();
        }
        let (early, quota) = throttle.api_request("a", at(0)).unwrap_err();
        assert_eq!((early.wait.as_secs(), quota.left, quota.full_in.as_secs()), (1, 0, 60));
        assert!(throttle.api_request("b", at(0)).is_ok());
        assert_eq!(throttle.api_request("a", at(30)).unwrap().unwrap().left, 299);
        throttle.set_api_requests(0);
        assert_eq!(throttle.api_request("a", at(0)).unwrap(), None);
    }
}
