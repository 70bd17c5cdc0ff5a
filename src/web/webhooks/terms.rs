//! What a webhook may be like: one check for the form and the API.

use std::collections::BTreeSet;

use crate::http_client::address_rule::AddressRule;
use crate::web::webhooks::address::{InvalidWebhookUrl, WebhookUrl};
use crate::web::webhooks::event::EventKind;

/// Terms that were checked. Only [`NewWebhook::check`] makes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWebhook {
    pub(super) url: WebhookUrl,
    pub(super) events: BTreeSet<EventKind>,
}

/// What is wrong with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewWebhookErrors {
    /// About the address.
    pub url: Option<InvalidWebhookUrl>,
    /// Whether no event is left that its owner may be told of.
    pub no_event: bool,
}

impl NewWebhook {
    /// Checks the address and the events. Events that only administrators are told of are left out for others.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(
        url: &str,
        events: &BTreeSet<EventKind>,
        is_administrator: bool,
        rule: AddressRule,
    ) -> Result<NewWebhook, NewWebhookErrors> {
        let events: BTreeSet<EventKind> =
            EventKind::offered(is_administrator).filter(|kind| events.contains(kind)).collect();
        match WebhookUrl::parse(url, rule) {
            Ok(url) if !events.is_empty() => Ok(NewWebhook { url, events }),
            parsed => Err(NewWebhookErrors { url: parsed.err(), no_event: events.is_empty() }),
        }
    }

    /// Returns the host of the address.
    pub fn host(&self) -> &str {
        self.url.host()
    }
}
