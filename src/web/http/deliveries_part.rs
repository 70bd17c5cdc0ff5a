//! The downloads of a link: a part of its page that changes while its owner watches.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::receipt::DeliveryState;
use crate::web::deliveries::history::{DeliveryHistory, LinkHistory, RecipientHistory};

/// The downloads of a link, and the recipients who only viewed it.
#[derive(Clone, Debug, Default, Template)]
#[template(path = "web/deliveries.html")]
pub struct DeliveriesPart {
    /// What the download services have reported.
    pub deliveries: LinkHistory,
    /// The present moment.
    pub now: Timestamp,
}

impl DeliveriesPart {
    fn is_empty(&self) -> bool {
        self.deliveries.deliveries.is_empty() && self.only_viewed().next().is_none()
    }

    /// Returns the recipients who viewed the link but downloaded nothing.
    fn only_viewed(&self) -> impl Iterator<Item = &RecipientHistory> {
        let taken = |email: &Option<String>| {
            self.deliveries.deliveries.iter().any(|delivery| delivery.email == *email)
        };
        self.deliveries
            .recipients
            .iter()
            .filter(move |recipient| recipient.views > 0 && !taken(&recipient.email))
    }

    fn is_running(&self, delivery: &DeliveryHistory) -> bool {
        delivery.state == DeliveryState::Running
    }

    fn viewed(&self, recipient: &RecipientHistory) -> String {
        let times = match recipient.views {
            1 => "viewed once".to_owned(),
            2 => "viewed twice".to_owned(),
            times => format!("viewed {times} times"),
        };
        format!("{times}, not downloaded")
    }

    fn size(&self, bytes: &u64) -> String {
        human::size(*bytes)
    }

    /// Returns one delivery of each kind, for tests.
    pub fn sample() -> DeliveriesPart {
        let now = Timestamp::from_secs(1_800_000_000);
        let ago = |seconds| now.minus(std::time::Duration::from_secs(seconds));
        let delivered = |state, bytes, resumed, started: bool| DeliveryHistory {
            jti: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            email: Some("bob<b>@example.org".to_owned()),
            file: Some("/books/<script>.pdf".to_owned()),
            zip: resumed == 3,
            files: Some(1_234),
            redeemed_at: ago(600),
            started_at: started.then(|| ago(600)),
            last_at: ago(60),
            size: 1_000_000,
            bytes,
            state,
            resumed,
            address: "192.0.2.0/24".to_owned(),
        };
        let viewed = |email: Option<&str>, views| RecipientHistory {
            email: email.map(str::to_owned),
            views,
            viewed_at: Some(ago(30)),
            taken: 0,
        };
        let deliveries = vec![
            delivered(DeliveryState::Running, 630_000, 2, true),
            DeliveryHistory { size: 4, ..delivered(DeliveryState::Running, 3, 0, true) },
            delivered(DeliveryState::Running, 0, 0, false),
            delivered(DeliveryState::Interrupted, 300_000, 0, true),
            delivered(DeliveryState::Complete, 1_000_000, 1, true),
            delivered(DeliveryState::Ended, 999_999, 3, true),
            delivered(DeliveryState::Ended, 0, 0, false),
        ];
        let recipients = vec![viewed(Some("eve@example.org"), 2), viewed(None, 1)];
        DeliveriesPart { deliveries: LinkHistory { recipients, deliveries }, now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_delivery_is_described_in_words() {
        let html = DeliveriesPart::sample().render().unwrap();
        for words in [
            "downloading, 63 %, resumed twice",
            "<strong>downloading</strong>",
            "about to start",
            "interrupted at 30 %",
            "complete, resumed once",
            "not finished, stopped at 99 %, resumed 3 times",
            "not sent",
            "viewed twice, not downloaded",
            "viewed once, not downloaded",
            "for <bdi>bob&#60;b&#62;@example.org</bdi>, to 192.0.2.0/24",
            "192.0.2.0/24",
        ] {
            assert!(html.contains(words), "{words} is not in {html}");
        }
        assert!(!html.contains("75 %"), "a share of 4 bytes says nothing: {html}");
        assert!(!html.contains("<script>") && !html.contains("<b>"), "{html}");
        assert!(DeliveriesPart::default().render().unwrap().contains("No downloads yet."));
    }
}
