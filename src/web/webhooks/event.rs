//! What a webhook can be told, and the messages about it.

use serde_json::{Map, Value, json};

use crate::clock::Timestamp;
use crate::id::{FilePath, Jti, LinkId, RequestId};
use crate::web::identity::AccountId;
use crate::words::words;

words! {
    /// What happened. A released word never changes its meaning.
    #[derive(PartialOrd, Ord)]
    pub enum EventKind {
        /// A link's page or one of its files was viewed. Told at most once a minute for each link.
        LinkViewed = "link.viewed",
        /// The first byte of a file was sent through a link.
        DeliveryStarted = "delivery.started",
        /// All of a file was sent through a link.
        DeliveryCompleted = "delivery.completed",
        /// The last download of a link has begun.
        LinkUsedUp = "link.used_up",
        /// A link expired, or was stopped for good.
        LinkEnded = "link.ended",
        /// A file was uploaded completely.
        UploadCompleted = "upload.completed",
        /// A file arrived for a file request.
        RequestReceived = "request.received",
        /// An account was created. Only administrators are told.
        AccountCreated = "account.created",
        /// The owner of the webhook tries it.
        Test = "webhook.test",
    }
}

impl EventKind {
    /// The events that a webhook can subscribe to.
    pub fn offered(is_administrator: bool) -> impl Iterator<Item = EventKind> {
        EventKind::ALL
            .into_iter()
            .filter(move |kind| *kind != EventKind::Test && (is_administrator || !kind.is_administrative()))
    }

    /// Whether only administrators are told.
    pub const fn is_administrative(self) -> bool {
        matches!(self, EventKind::AccountCreated)
    }

    /// Returns what it means, for a page.
    pub const fn meaning(self) -> &'static str {
        match self {
            EventKind::LinkViewed => "One of your links was viewed (at most once a minute for each link)",
            EventKind::DeliveryStarted => "A download through one of your links began",
            EventKind::DeliveryCompleted => "A download through one of your links is complete",
            EventKind::LinkUsedUp => "The last download of one of your links has begun",
            EventKind::LinkEnded => "One of your links expired or was stopped",
            EventKind::UploadCompleted => "You uploaded a file",
            EventKind::RequestReceived => "Someone sent you a file",
            EventKind::AccountCreated => "Someone has a new account",
            EventKind::Test => "A test",
        }
    }
}

/// Why a link ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkEnd {
    /// Its time is over.
    Expired,
    /// It was stopped for good.
    Stopped,
    /// Its files never arrived.
    Abandoned,
}

impl LinkEnd {
    const fn as_str(self) -> &'static str {
        match self {
            LinkEnd::Expired => "expired",
            LinkEnd::Stopped => "stopped",
            LinkEnd::Abandoned => "abandoned",
        }
    }
}

/// Whose webhooks are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EventOwner {
    /// Those of an account.
    Account(AccountId),
    /// Those of the account that shares this link.
    OfLink(LinkId),
    /// Those of all administrators.
    Administrators,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct WebhookEvent {
    pub(crate) kind: EventKind,
    pub(crate) owner: EventOwner,
    /// Webhooks that were made later aren't told.
    pub(crate) not_made_after: Option<Timestamp>,
    data: Map<String, Value>,
}

impl WebhookEvent {
    /// A link was viewed.
    pub(crate) fn link_viewed(link: &LinkId) -> WebhookEvent {
        WebhookEvent::of_link(EventKind::LinkViewed, link, json!({}))
    }

    /// A delivery through a link began.
    pub(crate) fn delivery_started(link: &LinkId, jti: Jti, size: u64) -> WebhookEvent {
        let data = json!({ "delivery": jti.to_string(), "size": size });
        WebhookEvent::of_link(EventKind::DeliveryStarted, link, data)
    }

    /// A delivery through a link is complete.
    pub(crate) fn delivery_completed(link: &LinkId, jti: Jti, size: u64) -> WebhookEvent {
        let data = json!({ "delivery": jti.to_string(), "size": size });
        WebhookEvent::of_link(EventKind::DeliveryCompleted, link, data)
    }

    /// The last use of a link was used.
    pub(crate) fn link_used_up(link: &LinkId) -> WebhookEvent {
        WebhookEvent::of_link(EventKind::LinkUsedUp, link, json!({}))
    }

    /// A link ended.
    pub(crate) fn link_ended(link: &LinkId, why: LinkEnd) -> WebhookEvent {
        WebhookEvent::of_link(EventKind::LinkEnded, link, json!({ "reason": why.as_str() }))
    }

    /// A file was uploaded.
    pub(crate) fn upload_completed(account: &AccountId, file: &FilePath, size: u64) -> WebhookEvent {
        let data = json!({ "file": file.as_str(), "size": size });
        WebhookEvent::new(EventKind::UploadCompleted, EventOwner::Account(account.clone()), data)
    }

    /// A guest sent a file.
    pub(crate) fn request_received(
        account: &AccountId,
        request: &RequestId,
        file: &FilePath,
        size: u64,
    ) -> WebhookEvent {
        let data = json!({ "request": request.as_str(), "file": file.as_str(), "size": size });
        WebhookEvent::new(EventKind::RequestReceived, EventOwner::Account(account.clone()), data)
    }

    /// An account was created.
    pub(crate) fn account_created(account: &AccountId) -> WebhookEvent {
        let data = json!({ "account": account.as_str() });
        WebhookEvent::new(EventKind::AccountCreated, EventOwner::Administrators, data)
    }

    /// The link that it is about, if it is about one.
    pub(super) fn link(&self) -> Option<&LinkId> {
        match &self.owner {
            EventOwner::OfLink(link) => Some(link),
            EventOwner::Account(_) | EventOwner::Administrators => None,
        }
    }

    /// Returns the message's body, which is sent and signed byte by byte.
    pub(super) fn body(&self, sequence: i64, at: Timestamp) -> String {
        body(self.kind, &self.data, sequence, at)
    }

    fn of_link(kind: EventKind, link: &LinkId, data: Value) -> WebhookEvent {
        let mut event = WebhookEvent::new(kind, EventOwner::OfLink(link.clone()), data);
        event.data.insert("link".to_owned(), link.as_str().into());
        event
    }

    fn new(kind: EventKind, owner: EventOwner, data: Value) -> WebhookEvent {
        let data = if let Value::Object(data) = data { data } else { Map::new() };
        WebhookEvent { kind, owner, not_made_after: None, data }
    }
}

/// Returns the body of a message. The sequence lets a receiver put messages in order, and notice that some are
/// still missing.
pub(super) fn body(kind: EventKind, data: &Map<String, Value>, sequence: i64, at: Timestamp) -> String {
    let mut data = data.clone();
    data.insert("sequence".to_owned(), sequence.into());
    json!({ "type": kind.as_str(), "timestamp": at.to_string(), "data": data }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_type_timestamp_and_data() {
        let event = WebhookEvent::link_ended(&LinkId::from_store("abc"), LinkEnd::Expired);
        let body = event.body(7, Timestamp::from_secs(1_800_000_000));
        let told: Value = serde_json::from_str(&body).unwrap();
        let data = json!({ "link": "abc", "reason": "expired", "sequence": 7 });
        assert_eq!(told, json!({ "type": "link.ended", "timestamp": "2027-01-15T08:00:00Z", "data": data }));
    }

    #[test]
    fn only_administrators_are_offered_what_concerns_others() {
        assert!(EventKind::offered(false).all(|kind| kind != EventKind::AccountCreated));
        assert!(EventKind::offered(true).any(|kind| kind == EventKind::AccountCreated));
        assert!(EventKind::offered(true).all(|kind| kind != EventKind::Test));
    }
}
