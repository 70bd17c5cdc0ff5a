//! The page about the keys that sign tokens.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::layout::{Chrome, Section};
use crate::web::tokens::signer::ListedKey;

/// `GET /admin/keys`; posts to `rotate`, and `kid` to `remove`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/keys.html")]
pub struct KeysPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The keys, the one that signs first.
    pub keys: Vec<ListedKey>,
    /// The present moment.
    pub now: Timestamp,
}

impl KeysPage {
    fn age(&self, key: &ListedKey) -> String {
        human::span(self.now.since(key.made_at).as_secs())
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let now = Timestamp::from_secs(1_800_000_000);
    let key = |kid: &str, retired_until| ListedKey {
        kid: kid.to_owned(),
        algorithm: "EdDSA",
        made_at: Timestamp::from_secs(1_790_000_000),
        retired_until,
    };
    let keys =
        vec![key("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", None), key("old\"<script>", Some(now))];
    let page = KeysPage { chrome: Chrome::sample("Signing keys", Section::Admin), keys, now };
    Ok(vec![("admin-keys", page.render()?)])
}
