//! How mails are built and sent: what a reload of the settings replaces.

use std::time::Duration;

use crate::web::mail::message::MessageComposer;
use crate::web::mail::transport::MailTransport;

/// How mails are built and sent.
pub struct MailWay {
    /// Builds the messages.
    pub(super) envelope: MessageComposer,
    /// Sends them.
    pub(super) transport: MailTransport,
    /// Minimum time between the starts of two attempts; zero for no limit.
    pub(super) pace: Duration,
}

impl MailWay {
    /// Builds messages with `envelope` and sends at most `per_second` of them a second; 0 for no limit.
    pub fn new(envelope: MessageComposer, transport: MailTransport, per_second: u32) -> MailWay {
        let pace = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        MailWay { envelope, transport, pace }
    }
}
