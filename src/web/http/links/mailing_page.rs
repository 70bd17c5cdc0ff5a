//! The state of the mail with a recipient's link, in words for the link's owner.

use crate::clock::Timestamp;
use crate::human;
use crate::web::links::mailing::LinkMailStatus;
use crate::web::mail::verdict::MailFault;

/// The state of a mail, beside its recipient.
#[derive(Clone, Debug)]
pub struct MailingPart {
    /// The state of the mail.
    pub mailing: LinkMailStatus,
    /// Whether it can be sent again.
    pub can_send_again: bool,
}

impl MailingPart {
    /// Returns the state of the mail, to be followed by its time.
    pub(crate) const fn outcome(&self) -> &'static str {
        match &self.mailing {
            LinkMailStatus::Waiting { fault: None, .. } => "Email waiting to be sent",
            LinkMailStatus::Waiting { .. } => "Email waiting",
            LinkMailStatus::Sent { .. } => "Email sent",
            LinkMailStatus::Failed { .. } => "Email could not be delivered",
            LinkMailStatus::Bounced { .. } => "Email bounced",
            LinkMailStatus::Dropped => "Email not sent",
        }
    }

    /// Returns the reason, or what to do.
    pub(crate) const fn reason(&self) -> &'static str {
        match &self.mailing {
            LinkMailStatus::Waiting { fault: None, .. } | LinkMailStatus::Sent { .. } => "",
            LinkMailStatus::Waiting { fault: Some(MailFault::Server | MailFault::Operator), .. } => {
                ": our mail server has a problem. We’ll keep trying"
            }
            LinkMailStatus::Waiting { .. } => ": the recipient’s mail server asks us to try again later",
            LinkMailStatus::Failed { fault, .. } => match fault {
                Some(MailFault::Mailbox) => ": there is no such mailbox. Check the address",
                Some(MailFault::Refused) => ": the recipient’s mail server refused it",
                Some(MailFault::Later) => ": the recipient’s mailbox took no email for two days",
                Some(MailFault::Server | MailFault::Operator) | None => ": our mail server has had a problem",
            },
            LinkMailStatus::Bounced { .. } => ": it was sent, but came back as undeliverable",
            LinkMailStatus::Dropped => ": it was canceled before it left",
        }
    }

    /// Returns what the recipient's mail server said.
    pub(crate) fn said(&self) -> Option<&str> {
        match &self.mailing {
            LinkMailStatus::Waiting { said, .. }
            | LinkMailStatus::Failed { said, .. }
            | LinkMailStatus::Bounced { said, .. } => said.as_deref(),
            LinkMailStatus::Sent { .. } | LinkMailStatus::Dropped => None,
        }
    }

    /// Returns when it was sent, if it was.
    pub(crate) const fn at(&self) -> Option<Timestamp> {
        match self.mailing {
            LinkMailStatus::Sent { at } | LinkMailStatus::Bounced { at, .. } => Some(at),
            LinkMailStatus::Waiting { .. } | LinkMailStatus::Failed { .. } | LinkMailStatus::Dropped => None,
        }
    }

    /// Returns whether the recipient has no mail and won't get one.
    pub(crate) const fn is_lost(&self) -> bool {
        matches!(
            self.mailing,
            LinkMailStatus::Failed { .. } | LinkMailStatus::Bounced { .. } | LinkMailStatus::Dropped
        )
    }

    /// Returns the server's words without characters that would reverse the text.
    pub(crate) fn quoted(said: &str) -> String {
        human::name(said).into_owned()
    }

    /// Returns one mail in each state, with what a hostile server might say.
    pub(crate) fn samples() -> Vec<MailingPart> {
        let at = Timestamp::from_secs(1_799_990_000);
        let said = || Some("550 5.1.1 <script>\u{202e} no such user".to_owned());
        let failed = |fault| LinkMailStatus::Failed { at, fault: Some(fault), said: None };
        let states = [
            LinkMailStatus::Waiting { fault: None, said: None },
            LinkMailStatus::Waiting { fault: Some(MailFault::Server), said: None },
            LinkMailStatus::Waiting { fault: Some(MailFault::Later), said: said() },
            LinkMailStatus::Sent { at },
            LinkMailStatus::Failed { at, fault: Some(MailFault::Mailbox), said: said() },
            failed(MailFault::Refused),
            failed(MailFault::Later),
            failed(MailFault::Operator),
            LinkMailStatus::Bounced { at, said: said() },
            LinkMailStatus::Dropped,
        ];
        let part = |mailing: LinkMailStatus| MailingPart {
            can_send_again: !matches!(mailing, LinkMailStatus::Waiting { .. }),
            mailing,
        };
        states.map(part).to_vec()
    }
}
