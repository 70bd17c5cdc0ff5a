//! Composes queued mails when they are sent: by then an account may be active, disabled or deleted, and the
//! person who made the request learned nothing about it. Links are created here, so that their lifetime
//! begins when the mail is sent.

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::human;
use crate::web::accounts::store::Accounts;
use crate::web::deliveries::DeliveryStore;
use crate::web::identity::{Account, AccountId, AccountStage, Email};
use crate::web::links::listing::LinkListings;
use crate::web::links::{LinkStatus, Links};
use crate::web::mail::MailKind;
use crate::web::mail::compose::{AddressedLetter, Compose, ComposeError};
use crate::web::mail::letters::{Letter, LinkListing};
use crate::web::mail::message::MailHeaders;
use crate::web::mail::queue::QueuedMail;
use crate::web::mail::wording::ListedFile;
use crate::web::membership::action_links::{ActionLinks, ActionPurpose};
use crate::web::membership::notices::Notices;
use crate::web::membership::self_service::SelfService;
use crate::web::requests::FileRequests;
use crate::web::webhooks::Webhooks;
use crate::web::webhooks::webhook::WebhookState;

/// Turns queued mails into letters.
pub struct MailComposer {
    /// The accounts.
    pub accounts: Accounts,
    /// Issues action links.
    pub actions: ActionLinks,
    /// Keeps the new addresses that wait for confirmation.
    pub self_service: SelfService,
    /// The recorded deliveries.
    pub deliveries: DeliveryStore,
    /// The links that people create for others.
    pub links: Links,
    /// The file requests.
    pub requests: FileRequests,
    /// Lists the files of links.
    pub listings: LinkListings,
    /// Which notices accounts have turned off.
    pub notices: Notices,
    /// The webhooks.
    pub webhooks: Webhooks,
    /// The public address of the app, without a trailing slash.
    pub public_url: String,
}

#[async_trait]
impl Compose for MailComposer {
    async fn compose(
        &self,
        mail: &QueuedMail,
        now: Timestamp,
    ) -> Result<Option<AddressedLetter>, ComposeError> {
        let page = |path: &str| format!("{}{path}", self.public_url);
        let details = &mail.details;
        let name = details.name.clone().unwrap_or_default();
        let as_queued = |letter| Some(AddressedLetter::new(mail.recipient.clone(), letter));
        Ok(match mail.kind {
            MailKind::SignUp => match self.enabled(&mail.recipient).await? {
                Some(account) if account.stage() == AccountStage::Active => {
                    // It is the same mailbox, so the person who signed up owns the existing account and may
                    // get into it.
                    let reset = self.actions.issue(ActionPurpose::Reset, &account, "", mail.jti, now).await;
                    let reset = reset.map_err(ComposeError::new)?;
                    let name = account.name.as_str().to_owned();
                    let letter = Letter::AlreadyRegistered {
                        name,
                        login: page("/login"),
                        reset: reset.address,
                        until: reset.until,
                        asked: details.asked.clone(),
                    };
                    Some(AddressedLetter::new(account.email, letter))
                }
                account => self.way_in(account, mail, now).await?,
            },
            MailKind::Forgot => self.way_in(self.enabled(&mail.recipient).await?, mail, now).await?,
            MailKind::Invite => {
                let account = self.enabled(&mail.recipient).await?;
                let invited = account.filter(|account| account.stage() == AccountStage::Invited);
                self.way_in(invited, mail, now).await?
            }
            MailKind::ConfirmAddress => self.confirmation(mail, now).await?,
            MailKind::AddressChanged => {
                let new_address = details.email.clone().unwrap_or_default();
                let asked = details.asked.clone();
                as_queued(Letter::AddressChanged { name, new_address, asked })
            }
            MailKind::PasswordChanged => self.of_details(mail).await?.and_then(|account| {
                let name = account.name.as_str().to_owned();
                let asked = details.asked.clone();
                as_queued(Letter::PasswordChanged { name, forgot: page("/forgot"), asked })
            }),
            MailKind::Test => as_queued(Letter::Test),
            MailKind::AccountDeleted => as_queued(Letter::AccountDeleted { name }),
            MailKind::Taken => self.taken(mail).await?,
            MailKind::Received => self.received(mail).await?,
            MailKind::WebhookDisabled => self.webhook_disabled(mail).await?,
            MailKind::Link => self.link(mail, now).await?,
            MailKind::LinkCode => self.link_code(mail, now).await?,
        })
    }

    async fn accepted(&self, mail: &QueuedMail, now: Timestamp) -> Result<(), ComposeError> {
        match (mail.kind, &mail.details.recipient) {
            (MailKind::LinkCode, Some(recipient)) => {
                self.links.mark_code_sent(recipient, mail.jti, now).await.map_err(ComposeError::new)
            }
            (MailKind::SignUp | MailKind::Forgot | MailKind::Invite | MailKind::ConfirmAddress, _) => {
                self.actions.mark_sent(mail.jti, now).await.map_err(ComposeError::new)
            }
            _ => Ok(()),
        }
    }
}

impl MailComposer {
    async fn enabled(&self, email: &Email) -> Result<Option<Account>, ComposeError> {
        let account = self.accounts.by_email(email).await.map_err(ComposeError::new)?;
        Ok(account.filter(|account| !account.disabled))
    }

    async fn of_details(&self, mail: &QueuedMail) -> Result<Option<Account>, ComposeError> {
        let Some(id) = &mail.details.account else { return Ok(None) };
        let account = self.accounts.by_id(&AccountId::from_store(id)).await.map_err(ComposeError::new)?;
        Ok(account.filter(|account| !account.disabled))
    }

    /// Composes the notice about downloads through a link, for the account that still owns the link.
    async fn taken(&self, mail: &QueuedMail) -> Result<Option<AddressedLetter>, ComposeError> {
        let Some(account) = self.of_details(mail).await? else { return Ok(None) };
        if self.notices.are_off(&account.id, mail.kind).await.map_err(ComposeError::new)? {
            return Ok(None);
        }
        let taken = self.deliveries.owner_notice(&account.id, mail.jti).await.map_err(ComposeError::new)?;
        let covered = self.deliveries.batched_downloads(mail.jti).await.map_err(ComposeError::new)?;
        let listed = self.deliveries.noticed_downloads(mail.jti).await.map_err(ComposeError::new)?;
        let headers = MailHeaders {
            thread: taken.as_ref().map(|taken| taken.link.to_string()),
            ..MailHeaders::default()
        };
        let unsubscribe = format!("{}{}", self.public_url, self.notices.path(&account.id, mail.kind));
        let letter = taken.map(|taken| {
            // A mail that was queued by an earlier release covers downloads that can't be listed.
            let downloads = if listed.is_empty() { vec![taken.download] } else { listed };
            Letter::Taken {
                name: account.name.as_str().to_owned(),
                page: format!("{}/links/{}", self.public_url, taken.link),
                title: taken.title,
                more: covered.saturating_sub(downloads.len() as u64),
                downloads,
                unsubscribe: unsubscribe.clone(),
            }
        });
        let headers = MailHeaders { unsubscribe: Some(unsubscribe), ..headers };
        Ok(letter.map(|letter| AddressedLetter { to: account.email, letter, headers }))
    }

    /// Composes the notice that a webhook was disabled, unless it is gone or was turned on again.
    async fn webhook_disabled(&self, mail: &QueuedMail) -> Result<Option<AddressedLetter>, ComposeError> {
        let Some(account) = self.of_details(mail).await? else { return Ok(None) };
        let id = mail.details.webhook.as_deref().unwrap_or_default();
        let webhook = self.webhooks.find(&account.id, id).await.map_err(ComposeError::new)?;
        let disabled = webhook.filter(|webhook| webhook.state == WebhookState::Disabled);
        Ok(disabled.map(|webhook| {
            let letter = Letter::WebhookDisabled {
                name: account.name.as_str().to_owned(),
                host: webhook.host(),
                page: format!("{}/account/webhooks/{}", self.public_url, webhook.id),
            };
            AddressedLetter::new(account.email, letter)
        }))
    }

    /// Composes the notice about files that guests sent, for the account that still owns the request.
    async fn received(&self, mail: &QueuedMail) -> Result<Option<AddressedLetter>, ComposeError> {
        let Some(account) = self.of_details(mail).await? else { return Ok(None) };
        let notice = self.requests.notice(&account.id, mail.jti).await.map_err(ComposeError::new)?;
        let Some(notice) = notice else { return Ok(None) };
        let from = match notice.from.as_slice() {
            [only] => only.clone(),
            several => format!("{} people", several.len()),
        };
        let listed = |(name, size): (String, u64)| ListedFile { name, about: human::size(size) };
        let mut files: Vec<ListedFile> = notice.files.into_iter().map(listed).collect();
        // Those that are not listed by name still count as more.
        let rest = usize::try_from(notice.count).unwrap_or(files.len()).min(100_000);
        files.resize(rest.max(files.len()), ListedFile { name: String::new(), about: String::new() });
        let letter = Letter::Received {
            name: account.name.as_str().to_owned(),
            title: notice.title,
            from,
            files,
            total: format!("{}, {}", human::counted(notice.count, "file"), human::size(notice.bytes)),
            page: format!("{}/requests/{}", self.public_url, notice.request),
        };
        let headers = MailHeaders { thread: Some(notice.request.to_string()), ..MailHeaders::default() };
        Ok(Some(AddressedLetter { to: account.email, letter, headers }))
    }

    /// Composes the mail with the link that the owner needs to get into the account, depending on its stage.
    async fn way_in(
        &self,
        account: Option<Account>,
        mail: &QueuedMail,
        now: Timestamp,
    ) -> Result<Option<AddressedLetter>, ComposeError> {
        let Some(account) = account else { return Ok(None) };
        let purpose = match account.stage() {
            AccountStage::SignedUp => ActionPurpose::Activate,
            AccountStage::Invited => ActionPurpose::Invite,
            AccountStage::Active => ActionPurpose::Reset,
        };
        let link = self.actions.issue(purpose, &account, "", mail.jti, now).await;
        let link = link.map_err(ComposeError::new)?;
        let (name, until) = (account.name.as_str().to_owned(), link.until);
        let letter = match account.stage() {
            // Nobody has proven yet that the mailbox is theirs, so the name that someone entered is not sent
            // to it.
            AccountStage::SignedUp => Letter::Activate { link: link.address, until },
            AccountStage::Invited => {
                let by = mail.details.by.clone().unwrap_or_default();
                Letter::Invite { name, by, link: link.address, until }
            }
            AccountStage::Active => {
                let by = mail.details.by.clone().unwrap_or_default();
                Letter::Reset { name, by, link: link.address, until, asked: mail.details.asked.clone() }
            }
        };
        Ok(Some(AddressedLetter::new(account.email, letter)))
    }

    /// Composes the mail that confirms a new address. Sends nothing if another account has the address: it
    /// could not be confirmed, and the owner of that account did not ask.
    async fn confirmation(
        &self,
        mail: &QueuedMail,
        now: Timestamp,
    ) -> Result<Option<AddressedLetter>, ComposeError> {
        let Some(account) = self.of_details(mail).await? else { return Ok(None) };
        let wanted = self.self_service.requested_address(&account.id).await.map_err(ComposeError::new)?;
        let Some(wanted) = wanted.filter(|wanted| wanted.key() == mail.recipient.key()) else {
            return Ok(None);
        };
        let holder = self.accounts.by_email(&wanted).await.map_err(ComposeError::new)?;
        if holder.is_some_and(|holder| holder.id != account.id) {
            return Ok(None);
        }
        let link =
            self.actions.issue(ActionPurpose::ConfirmAddress, &account, wanted.key(), mail.jti, now).await;
        let link = link.map_err(ComposeError::new)?;
        let letter = Letter::ConfirmAddress { link: link.address, until: link.until };
        Ok(Some(AddressedLetter::new(wanted, letter)))
    }

    /// Composes the mail that brings a link. Sends nothing if the link expired or was revoked in the
    /// meantime.
    async fn link(&self, mail: &QueuedMail, now: Timestamp) -> Result<Option<AddressedLetter>, ComposeError> {
        let Some(id) = &mail.details.recipient else { return Ok(None) };
        let found = self.links.by_recipient(id).await.map_err(ComposeError::new)?;
        let Some((link, recipient)) = found else { return Ok(None) };
        if matches!(link.status(now), LinkStatus::Ended | LinkStatus::Revoked | LinkStatus::Abandoned)
            || recipient.removed_at.is_some()
        {
            return Ok(None);
        }
        let owner = self.accounts.by_id(&link.owner).await.map_err(ComposeError::new)?;
        let Some(owner) = owner.filter(|owner| !owner.disabled) else { return Ok(None) };
        let is_guarded = link.password.is_some() || link.mailed_code;
        let files = match is_guarded {
            true => LinkListing { is_several: link.files.len() > 1, ..LinkListing::default() },
            false => self.listings.of(&link, &owner, now).await,
        };
        let letter = Letter::Link {
            by: owner.name.as_str().to_owned(),
            files,
            address: self.links.address(&self.public_url, &recipient),
            title: link.title,
            note: link.note,
            uses_per_recipient: link.uses_per_recipient,
            until: link.ends_at,
            asks_password: link.password.is_some(),
            asks_code: link.mailed_code,
        };
        Ok(Some(AddressedLetter {
            to: mail.recipient.clone(),
            letter,
            headers: MailHeaders {
                via: Some(owner.name.as_str().to_owned()),
                reply_to: Some(owner.email),
                thread: Some(link.id.to_string()),
                unsubscribe: None,
            },
        }))
    }

    async fn link_code(
        &self,
        mail: &QueuedMail,
        now: Timestamp,
    ) -> Result<Option<AddressedLetter>, ComposeError> {
        let Some(id) = &mail.details.recipient else { return Ok(None) };
        let found = self.links.by_recipient(id).await.map_err(ComposeError::new)?;
        let Some((link, recipient)) = found else { return Ok(None) };
        if recipient.removed_at.is_some() {
            return Ok(None);
        }
        let digits = self.links.mailed_digits(&recipient, mail.jti, now).await.map_err(ComposeError::new)?;
        Ok(digits.map(|(code, until)| AddressedLetter {
            to: mail.recipient.clone(),
            letter: Letter::LinkCode { title: link.title, code: code.reveal().to_owned(), until },
            headers: MailHeaders { thread: Some(link.id.to_string()), ..MailHeaders::default() },
        }))
    }
}
