//! The state of the mail with a recipient's link, in words for the link's owner.

use crate::clock::Timestamp;
use crate::human;
use crate::web::links::mailing::Mailing;
use crate::web::mail::verdict::Fault;

/// The state of a mail, beside its recipient.
#[derive(Clone, Debug)]
pub struct MailingPart {
    /// The state of the mail.
    pub mailing: Mailing,
    /// Whether it can be sent again.
    pub can_send_again: bool,
}

impl MailingPart {
    /// Returns the state of the mail, to be followed by its time.
    pub(crate) const fn outcome(&self) -> &'static str {
        match &self.mailing {
            Mailing::Waiting { fault: None, .. } => "Email waiting to be sent",
            Mailing::Waiting { .. } => "Email waiting",
            Mailing::Sent { .. } => "Email sent",
            Mailing::Failed { .. } => "Email could not be delivered",
            Mailing::Bounced { .. } => "Email bounced",
            Mailing::Dropped => "Email not sent",
        }
    }

    /// Returns the reason, or what to do.
    pub(crate) const fn reason(&self) -> &'static str {
        match &self.mailing {
            Mailing::Waiting { fault: None, .. } | Mailing::Sent { .. } => "",
            Mailing::Waiting { fault: Some(Fault::Server | Fault::Operator), .. } => {
                ": our mail server has a problem. We’ll keep trying"
            }
            Mailing::Waiting { .. } => ": the recipient’s mail server asks us to try again later",
            Mailing::Failed { fault, .. } => match fault {
                Some(Fault::Mailbox) => ": there is no such mailbox. Check the address",
                Some(Fault::Refused) => ": the recipient’s mail server refused it",
                Some(Fault::Later) => ": the recipient’s mailbox took no email for two days",
                Some(Fault::Server | Fault::Operator) | None => ": our mail server has had a problem",
            },
            Mailing::Bounced { .. } => ": it was sent, but came back as undeliverable",
            Mailing::Dropped => ": it was canceled before it left",
        }
    }

    /// Returns what the recipient's mail server said.
    pub(crate) fn said(&self) -> Option<&str> {
        match &self.mailing {
            Mailing::Waiting { said, .. } | Mailing::Failed { said, .. } | Mailing::Bounced { said, .. } => {
                said.as_deref()
            }
            Mailing::Sent { .. } | Mailing::Dropped => None,
        }
    }

    /// Returns when it was sent, if it was.
    pub(crate) const fn at(&self) -> Option<Timestamp> {
        match self.mailing {
            Mailing::Sent { at } | Mailing::Bounced { at, .. } => Some(at),
            Mailing::Waiting { .. } | Mailing::Failed { .. } | Mailing::Dropped => None,
        }
    }

    /// Returns whether the recipient has no mail and won't get one.
    pub(crate) const fn is_lost(&self) -> bool {
        matches!(self.mailing, Mailing::Failed { .. } | Mailing::Bounced { .. } | Mailing::Dropped)
    }

    /// Returns the server's words without characters that would reverse the text.
    pub(crate) fn quoted(said: &str) -> String {
        human::name(said).into_owned()
    }

    /// Returns one mail in each state, with what a hostile server might say.
    pub(crate) fn samples() -> Vec<MailingPart> {
        let at = Timestamp::from_secs(1_799_990_000);
        let said = || Some("550 5.1.1 <script>\u{202e} no such user".to_owned());
        let failed = |fault| Mailing::Failed { at, fault: Some(fault), said: None };
        let states = [
            Mailing::Waiting { fault: None, said: None },
            Mailing::Waiting { fault: Some(Fault::Server), said: None },
            Mailing::Waiting { fault: Some(Fault::Later), said: said() },
            Mailing::Sent { at },
            Mailing::Failed { at, fault: Some(Fault::Mailbox), said: said() },
            failed(Fault::Refused),
            failed(Fault::Later),
            failed(Fault::Operator),
            Mailing::Bounced { at, said: said() },
            Mailing::Dropped,
        ];
        let part = |mailing: Mailing| MailingPart {
            can_send_again: !matches!(mailing, Mailing::Waiting { .. }),
            mailing,
        };
        states.map(part).to_vec()
    }
}
