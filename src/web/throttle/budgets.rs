//! Limits what one account or link may cause.

use std::net::IpAddr;
use std::time::Duration;

use crate::client_address::neighbourhood;
use crate::clock::Timestamp;
use crate::id::{LinkId, RequestId};
use crate::web::identity::AccountId;
use crate::web::throttle::counter::{RateLimit, Throttled};
use crate::web::throttle::limits::{Throttle, WIDER, key, networks};

/// Downloads by one account, each of which records a token.
const DOWNLOADS: RateLimit = RateLimit::per_minute(600);
/// Links that one account creates or changes, each of which adds a line to the audit log.
const LINKS: RateLimit = RateLimit::per_hour(600);
/// Everything else that one account does and the audit log records. Whole folders are uploaded, so this is
/// generous.
const ACTS: RateLimit = RateLimit::per_hour(20_000);
/// Uploads that the guests of one file request begin.
const GUEST_UPLOADS: RateLimit = RateLimit::per_hour(20_000);
/// Mails about what arrived for one file request.
const REQUEST_NOTICES: RateLimit = RateLimit::per_hour(20);
/// Logins of devices that are begun from one address.
const DEVICES: RateLimit = RateLimit::per_hour(60);
/// Codes of devices that one account types: five until a login has expired.
const DEVICE_CODES: RateLimit = RateLimit { count: 5, per: Duration::from_secs(10 * 60) };
/// Sessions that one account starts and ends.
const SESSIONS: RateLimit = RateLimit::per_hour(600);

impl Throttle {
    /// Admits a press of a link's button from `address`.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn press(&self, link: &LinkId, address: IpAddr, now: Timestamp) -> Result<(), Throttled> {
        let (link, each) =
            (key("presses", link.as_str()), RateLimit::per_minute(self.0.links.current().presses));
        for (net, times) in networks(neighbourhood(address)).into_iter().zip([1, WIDER]) {
            let allowed = each.times(times);
            self.0.presses.with((link, net), now, |bucket| bucket.take(1, allowed, now))?;
        }
        let all = RateLimit::per_minute(self.0.links.current().presses_per_link);
        self.0.budgets.with(link, now, |bucket| bucket.take(1, all, now))
    }

    /// Admits one more ticket for a guest of a file request.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn ticket(&self, request: &RequestId, address: IpAddr, now: Timestamp) -> Result<(), Throttled> {
        let (request, each) =
            (key("tickets", request.as_str()), RateLimit::per_minute(self.0.links.current().presses));
        for (net, times) in networks(neighbourhood(address)).into_iter().zip([1, WIDER]) {
            let allowed = each.times(times);
            self.0.presses.with((request, net), now, |bucket| bucket.take(1, allowed, now))?;
        }
        let all = RateLimit::per_minute(self.0.links.current().presses_per_link);
        self.0.budgets.with(request, now, |bucket| bucket.take(1, all, now))
    }

    /// Admits one more upload by a guest of a file request.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn guest_upload(&self, request: &RequestId, now: Timestamp) -> Result<(), Throttled> {
        let request = key("guest uploads", request.as_str());
        self.0.budgets.with(request, now, |bucket| bucket.take(1, GUEST_UPLOADS, now))
    }

    /// Admits one more mail about what arrived for a file request.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn request_notice(&self, request: &RequestId, now: Timestamp) -> Result<(), Throttled> {
        let request = key("request notices", request.as_str());
        self.0.budgets.with(request, now, |bucket| bucket.take(1, REQUEST_NOTICES, now))
    }

    /// Admits a download by an account.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn download(&self, account: &AccountId, now: Timestamp) -> Result<(), Throttled> {
        self.budget("downloads", account, DOWNLOADS, now)
    }

    /// Admits one more login of a device, begun from `address`.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn device(&self, address: IpAddr, now: Timestamp) -> Result<(), Throttled> {
        for (net, times) in networks(neighbourhood(address)).into_iter().zip([1, WIDER]) {
            let allowed = DEVICES.times(times);
            self.0.presses.with((key("devices", ""), net), now, |bucket| bucket.take(1, allowed, now))?;
        }
        Ok(())
    }

    /// Counts a code of a device that an account typed and that isn't there.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn device_code(&self, account: &AccountId, now: Timestamp) -> Result<(), Throttled> {
        self.budget("device codes", account, DEVICE_CODES, now)
    }

    /// Admits an account that types the code of a device, unless it has typed too many wrong ones.
    ///
    /// # Errors
    /// How long to wait.
    pub fn may_type_device_code(&self, account: &AccountId, now: Timestamp) -> Result<(), Throttled> {
        let key = key("device codes", account.as_str());
        self.0.budgets.with(key, now, |bucket| {
            bucket.take(1, DEVICE_CODES, now)?;
            bucket.give_back(1, DEVICE_CODES);
            Ok(())
        })
    }

    /// Admits the creation or change of a link.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn link(&self, account: &AccountId, now: Timestamp) -> Result<(), Throttled> {
        self.budget("links", account, LINKS, now)
    }

    /// Admits an action by an account that the audit log records.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn act(&self, account: &AccountId, now: Timestamp) -> Result<(), Throttled> {
        self.budget("acts", account, ACTS, now)
    }

    /// Admits one more session of an account.
    ///
    /// # Errors
    /// How long to wait, if there were too many.
    pub fn session(&self, account: &AccountId, now: Timestamp) -> Result<(), Throttled> {
        self.budget("sessions", account, SESSIONS, now)
    }

    fn budget(
        &self,
        what: &str,
        account: &AccountId,
        allowance: RateLimit,
        now: Timestamp,
    ) -> Result<(), Throttled> {
        self.0.budgets.with(key(what, account.as_str()), now, |bucket| bucket.take(1, allowance, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::throttle::limits::{address, at};

    #[test]
    fn presses_are_limited_per_address_and_per_link() {
        let throttle = Throttle::default();
        let press = |from: &str| throttle.press(&LinkId::from_store("link"), address(from), at(0)).is_ok();
        assert_eq!((0..40).filter(|_| press("192.0.2.1")).count(), 30);
        assert!(
            throttle.press(&LinkId::from_store("other"), address("192.0.2.1"), at(0)).is_ok(),
            "another link"
        );
        let others = (0..1_000).filter(|n| press(&format!("10.0.{}.{}", n / 250, n % 250))).count();
        assert_eq!(others, 570, "600 a minute for the link");
    }
}
