//! With what terms a person's next link begins. They are changed only when the person says so, and never
//! include a password, a recipient or a text.

use sqlx::Row;

use crate::clock::Timestamp;
use crate::web::db::QueryError;
use crate::web::identity::AccountId;
use crate::web::links::lifetime::Lifetime;
use crate::web::links::limits::LinkLimits;
use crate::web::links::link::{Links, Notify};
use crate::web::links::moment;
use crate::web::links::terms::LinkForm;

/// The terms with which a person's next link begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkDefaults {
    /// How many uses each recipient has; `None` for no limit.
    pub uses_per_recipient: Option<u32>,
    /// How long it lasts.
    pub lifetime: Lifetime,
    /// When its owner gets an email about downloads.
    pub notify: Notify,
    /// Whether its files go to the trash when it is over, if they are the person's own.
    pub delete_files: bool,
}

impl Default for LinkDefaults {
    fn default() -> LinkDefaults {
        LinkDefaults {
            uses_per_recipient: Some(1),
            lifetime: Lifetime::default(),
            notify: Notify::default(),
            delete_files: false,
        }
    }
}

impl LinkDefaults {
    /// Returns a form with these terms, or the nearest ones within `limits`. `own` says whether the files are the
    /// person's own, which can be deleted afterwards.
    pub fn form(&self, own: bool, limits: &LinkLimits, now: Timestamp) -> LinkForm {
        let uses = limits.clamp_uses(self.uses_per_recipient);
        let lifetime = limits.clamp_lifetime(self.lifetime);
        LinkForm {
            uses_per_recipient: uses.map(|uses| uses.to_string()).unwrap_or_default(),
            expires: lifetime.map_or("date", Lifetime::as_str).to_owned(),
            // For a person who chooses a date instead.
            ends: limits.clamp_end(Some(moment::in_a_week(now)), now).map(moment::field).unwrap_or_default(),
            notify: self.notify.as_str().to_owned(),
            delete_files: own && self.delete_files,
            ..LinkForm::default()
        }
    }

    /// Returns these defaults with the terms of a form that was valid. A date is nothing that a later link could
    /// have, so it leaves the lifetime as it was.
    pub fn with(self, form: &LinkForm, own: bool) -> LinkDefaults {
        LinkDefaults {
            uses_per_recipient: form.uses_per_recipient.trim().parse().ok(),
            lifetime: form.expires.trim().parse().unwrap_or(self.lifetime),
            notify: form.notify.parse().unwrap_or(self.notify),
            delete_files: if own { form.delete_files } else { self.delete_files },
        }
    }
}

impl Links {
    /// Returns the terms with which this person's next link begins.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn defaults(&self, account: &AccountId) -> Result<LinkDefaults, QueryError> {
        let row = sqlx::query("SELECT * FROM link_defaults WHERE account = $1")
            .bind(account.as_str())
            .fetch_optional(self.db.reader())
            .await?;
        let Some(row) = row else { return Ok(LinkDefaults::default()) };
        let (lifetime, notify): (String, String) = (row.try_get("expires")?, row.try_get("notify")?);
        Ok(LinkDefaults {
            uses_per_recipient: row
                .try_get::<Option<i64>, _>("uses")?
                .map(|uses| u32::try_from(uses).unwrap_or(1)),
            lifetime: lifetime.parse().unwrap_or_default(),
            notify: notify.parse().unwrap_or_default(),
            delete_files: row.try_get::<i64, _>("delete_files")? != 0,
        })
    }

    /// Sets the terms with which this person's next link begins.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn set_defaults(&self, account: &AccountId, terms: &LinkDefaults) -> Result<(), QueryError> {
        sqlx::query(
            "INSERT INTO link_defaults (account, uses, expires, notify, delete_files) \
             VALUES ($1, $2, $3, $4, $5) ON CONFLICT (account) DO UPDATE SET uses = excluded.uses, \
             expires = excluded.expires, notify = excluded.notify, delete_files = excluded.delete_files",
        )
        .bind(account.as_str())
        .bind(terms.uses_per_recipient.map(i64::from))
        .bind(terms.lifetime.as_str())
        .bind(terms.notify.as_str())
        .bind(i64::from(terms.delete_files))
        .execute(self.db.writer())
        .await?;
        Ok(())
    }
}
