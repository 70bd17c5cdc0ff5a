//! Where a request to change an account came from, in terms that the account's owner recognizes: time,
//! browser and network.

use serde::{Deserialize, Serialize};

use crate::client_address::network_of;
use crate::clock::Timestamp;
use crate::web::identity::client_info::ClientInfo;
use crate::web::identity::device;

/// The origin of a request. Contains no text that the client chose: the browser is one of a few known
/// descriptions, because anyone can put anything into `User-Agent`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestOrigin {
    /// When the request was made.
    pub at: Timestamp,
    /// The browser, such as `Firefox on Windows`.
    pub browser: String,
    /// The network, an IPv4 /24 or an IPv6 /48, because the owner who reads this may not be the person who
    /// asked.
    pub network: String,
}

impl RequestOrigin {
    /// Creates the origin of a request that was made at `now` from `place`.
    pub fn new(place: &ClientInfo, now: Timestamp) -> RequestOrigin {
        RequestOrigin { at: now, browser: device::describe(&place.agent), network: network_of(place.address) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_client_writes_is_passed_on() {
        let place = ClientInfo {
            address: "2001:db8:1:2:3:4:5:6".parse().unwrap(),
            agent: "<b>Call +1 555 0100</b> Windows http://evil.example".to_owned(),
        };
        let asked = RequestOrigin::new(&place, Timestamp::EPOCH);
        assert_eq!(
            (asked.browser.as_str(), asked.network.as_str()),
            ("Unknown browser on Windows", "2001:db8:1::/48")
        );
    }
}
