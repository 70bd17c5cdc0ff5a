//! Creates a link: the link, its files, its recipients, their mails and the entry in the audit log, all
//! in one transaction.

use std::time::Duration;

use sqlx::{Any, AssertSqlSafe, Transaction};

use crate::clock::Timestamp;
use crate::id::{FilePath, LinkId, RecipientId};
use crate::web::archives::queue_files;
use crate::web::arrivals;
use crate::web::audit::{self, Actor, AuditEvent};
use crate::web::db::columns::{digest_to_column, to_column};
use crate::web::forms::record;
use crate::web::forms::record::IdempotencyRecord;
use crate::web::identity::passwords::StoredPassword;
use crate::web::identity::{Account, AccountId, Email};
use crate::web::links::link::{LinkError, Links};
use crate::web::links::terms::LinkTerms;

/// Maximum number of named recipients that one account may add per day; more is a mailing list, or abuse.
pub const NAMED_PER_DAY: i64 = 2_000;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The result of creating a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// The link was created, with this id.
    Link(LinkId),
    /// The account has reached its daily limit of named recipients.
    TooMany,
    /// The same form has already created a link.
    Before,
    /// The account may no longer create links.
    NotAllowed,
}

/// The files that are uploaded for a new link. Until all have arrived, it gives nothing, and its recipients get
/// no mail.
#[derive(Clone, Copy, Debug)]
pub struct AwaitedFiles {
    /// How many there are.
    pub count: u32,
    /// The link ends at this time, unless uploads for it have begun.
    pub until: Timestamp,
}

/// The parameters of a link to create.
#[derive(Clone, Copy, Debug)]
pub struct NewLink<'a> {
    /// The account that creates it.
    pub owner: &'a Account,
    /// Its files and folders; the caller has checked that the owner may read them.
    pub files: &'a [FilePath],
    /// How many files are still to be uploaded for it, if any.
    pub awaits: Option<AwaitedFiles>,
    /// Its terms.
    pub terms: &'a LinkTerms,
    /// The password from the terms, hashed.
    pub password: Option<&'a StoredPassword>,
    /// Whether to email the link to its recipients.
    pub mail: bool,
    /// The idempotency record of the form: a form creates one link, even if it is submitted several times.
    pub form: Option<IdempotencyRecord<'a>>,
}

impl Links {
    /// Creates a link.
    ///
    /// # Errors
    /// See [`LinkError`]; nothing is created then.
    pub async fn create(
        &self,
        new: &NewLink<'_>,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<CreateOutcome, LinkError> {
        let NewLink { owner, files, awaits, terms, password, mail, form } = *new;
        let id = LinkId::random()?;
        let mut transaction = self.db.begin().await?;
        if !self.db.lock_account(&mut transaction, owner.id.as_str()).await? {
            return Ok(CreateOutcome::NotAllowed);
        }
        if let Some(form) = form {
            let location = format!("/links/{id}");
            if !record::put(&mut transaction, form, &location, now).await? {
                return Ok(CreateOutcome::Before);
            }
        }
        if !named_within_a_day(&mut transaction, &owner.id, terms.recipients.len(), now).await? {
            return Ok(CreateOutcome::TooMany);
        }
        sqlx::query(
            "INSERT INTO links (id, account, title, note, uses, ends_at, password, mailed_code, notify, \
             paused, created_at, mails_wait, delete_files, hidden_files, viewable) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11, $12, $13, $14)",
        )
        .bind(id.as_str())
        .bind(owner.id.as_str())
        .bind(&terms.title)
        .bind(&terms.note)
        .bind(terms.uses_per_recipient.map(i64::from))
        .bind(terms.ends_at.map(to_column))
        .bind(password.map(StoredPassword::as_str))
        .bind(i64::from(terms.mailed_code))
        .bind(terms.notify.as_str())
        .bind(to_column(now))
        .bind(i64::from(mail && awaits.is_some()))
        .bind(i64::from(terms.delete_files))
        .bind(i64::from(terms.hidden_files))
        .bind(i64::from(terms.viewable))
        .execute(&mut *transaction)
        .await?;
        if let Some(AwaitedFiles { count, until }) = awaits {
            arrivals::expect(&mut transaction, &id, count, until).await?;
        }
        for (position, file) in (0_i64..).zip(files) {
            sqlx::query("INSERT INTO link_files (link, position, path) VALUES ($1, $2, $3)")
                .bind(id.as_str())
                .bind(position)
                .bind(file.as_str())
                .execute(&mut *transaction)
                .await?;
        }
        // Recipients can have the files as one archive, which needs their checksums.
        queue_files(&mut transaction, files, now).await?;
        if terms.recipients.is_empty() {
            self.add_recipient(&mut transaction, &id, None, 0, None).await?;
        }
        for (position, email) in (0_i64..).zip(&terms.recipients) {
            let recipient = self.add_recipient(&mut transaction, &id, Some(email), position, None).await?;
            if mail && awaits.is_none() {
                self.queue_mail(&mut transaction, &recipient, email, now).await?;
            }
        }
        let subject = about(&id, &terms.title, files, terms.recipients.len());
        audit::append(&mut transaction, actor, AuditEvent::LinkMade, &subject, now).await?;
        self.db.commit(transaction).await?;
        self.queue.wake();
        Ok(CreateOutcome::Link(id))
    }

    /// Adds a recipient with an address of their own. `added_at` is when they were added to an existing link.
    pub(super) async fn add_recipient(
        &self,
        transaction: &mut Transaction<'static, Any>,
        link: &LinkId,
        email: Option<&Email>,
        position: i64,
        added_at: Option<Timestamp>,
    ) -> Result<RecipientId, LinkError> {
        let id = RecipientId::random()?;
        sqlx::query(
            "INSERT INTO recipients (id, link, email, code_digest, taken, looks, position, added_at) \
             VALUES ($1, $2, $3, $4, 0, 0, $5, $6)",
        )
        .bind(id.as_str())
        .bind(link.as_str())
        .bind(email.map(Email::as_str))
        .bind(digest_to_column(&self.key.code(&id).digest()))
        .bind(position)
        .bind(added_at.map(to_column))
        .execute(&mut **transaction)
        .await?;
        Ok(id)
    }
}

/// Returns whether this account may name `more` recipients now. The caller has locked the account.
pub(super) async fn named_within_a_day(
    transaction: &mut Transaction<'static, Any>,
    owner: &AccountId,
    more: usize,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    if more == 0 {
        return Ok(true);
    }
    let mut named = 0_i64;
    for since in ["recipients.added_at IS NULL AND links.created_at", "recipients.added_at"] {
        let query = format!(
            "SELECT COUNT(*) FROM recipients JOIN links ON links.id = recipients.link \
             WHERE links.account = $1 AND {since} > $2 AND recipients.email IS NOT NULL"
        );
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(query))
            .bind(owner.as_str())
            .bind(to_column(now.minus(DAY)))
            .fetch_one(&mut **transaction)
            .await?;
        named = named.saturating_add(count);
    }
    Ok(named.saturating_add(i64::try_from(more).unwrap_or(i64::MAX)) <= NAMED_PER_DAY)
}

/// Returns the description of a new link for the audit log, which stays readable after the link is deleted.
fn about(id: &LinkId, title: &str, files: &[FilePath], recipients: usize) -> String {
    let first = files.first().map(FilePath::as_str).unwrap_or_default();
    let more = match files.len() {
        0 | 1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let whom = match recipients {
        0 => "anyone who has it".to_owned(),
        count => format!("{count} named"),
    };
    format!("{title} (link {id}) on {first}{more}, for {whom}")
}
