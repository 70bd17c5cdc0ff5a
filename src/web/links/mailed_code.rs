//! The code that recipients must enter before they can download: eight digits that are emailed to them and
//! valid for 15 minutes. The digits are derived when the mail is sent and when they are checked, and are not
//! stored.

use std::time::Duration;

use sqlx::Row;
use unicode_normalization::UnicodeNormalization;

use crate::clock::Timestamp;
use crate::id::{Jti, RecipientId};
use crate::secret::Secret;
use crate::web::db::QueryError;
use crate::web::db::columns::{from_column, to_column};
use crate::web::links::link::{LinkError, Links, Recipient};
use crate::web::mail::queue::MailState;
use crate::web::mail::{MailDetails, MailKind, NewMail};

/// How long a code is valid after the mail server accepted its mail.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How long a code is kept while its mail has not been sent. Nobody knows the code until then.
const ON_ITS_WAY: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// How often a code can be tried before a new one is needed.
const TRIES: i64 = 10;

/// The result of trying a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeCheck {
    /// The code is correct.
    Right,
    /// The code is wrong.
    Wrong,
    /// No code was sent, it has expired, or it was tried too often.
    Over,
}

/// The status of the code that was requested last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CodeMailStatus {
    /// None was requested recently, or its mail is no longer in the queue.
    #[default]
    None,
    /// Its mail is still to be sent.
    Waiting {
        /// Whether an attempt to send it was already begun.
        is_late: bool,
    },
    /// It was sent and is valid.
    Valid {
        /// When it expires.
        until: Timestamp,
    },
    /// It was sent and has expired.
    Expired,
    /// Its mail could not be delivered.
    Undelivered,
}

impl Links {
    /// Returns the status of the code that was requested last for a recipient.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn code_mail(
        &self,
        recipient: &Recipient,
        now: Timestamp,
    ) -> Result<CodeMailStatus, QueryError> {
        let row = sqlx::query(
            "SELECT recipients.mailed_until, mails.state, mails.attempts FROM recipients \
             JOIN mails ON mails.jti = recipients.mailed_jti AND mails.kind = $2 WHERE recipients.id = $1",
        )
        .bind(recipient.id.as_str())
        .bind(MailKind::LinkCode.as_str())
        .fetch_optional(self.db.reader())
        .await?;
        let Some(row) = row else { return Ok(CodeMailStatus::None) };
        let state: String = row.try_get("state")?;
        let until = from_column(row.try_get::<Option<i64>, _>("mailed_until")?.unwrap_or(0));
        let is_late = row.try_get::<i64, _>("attempts")? > 0;
        Ok(match state.parse().ok() {
            Some(MailState::Waiting) => CodeMailStatus::Waiting { is_late },
            Some(MailState::Sent) if now < until => CodeMailStatus::Valid { until },
            Some(MailState::Sent) => CodeMailStatus::Expired,
            Some(MailState::Failed) => CodeMailStatus::Undelivered,
            None => CodeMailStatus::None,
        })
    }

    /// Queues a mail with a new code, which invalidates the previous one. Does nothing if the recipient has
    /// no email address.
    ///
    /// # Errors
    /// See [`LinkError`].
    pub async fn mail_code(&self, recipient: &Recipient, now: Timestamp) -> Result<(), LinkError> {
        let Some(email) = &recipient.email else { return Ok(()) };
        let jti = Jti::random()?;
        let mut transaction = self.db.begin().await?;
        sqlx::query(
            "UPDATE recipients SET mailed_jti = $1, mailed_until = $2, mailed_tries = 0 WHERE id = $3",
        )
        .bind(jti.to_string())
        .bind(to_column(now.plus(ON_ITS_WAY)))
        .bind(recipient.id.as_str())
        .execute(&mut *transaction)
        .await?;
        let details = MailDetails { recipient: Some(recipient.id.clone()), ..MailDetails::default() };
        let mail = NewMail { kind: MailKind::LinkCode, recipient: email.clone(), jti, details };
        self.queue.add(&mut transaction, &mail, now).await?;
        self.db.commit(transaction).await?;
        self.queue.wake();
        Ok(())
    }

    /// Starts the lifetime of the code in the mail with this jti, which the mail server has accepted.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mark_code_sent(
        &self,
        recipient: &RecipientId,
        mail: Jti,
        now: Timestamp,
    ) -> Result<(), QueryError> {
        sqlx::query("UPDATE recipients SET mailed_until = $1 WHERE id = $2 AND mailed_jti = $3")
            .bind(to_column(now.plus(LIFETIME)))
            .bind(recipient.as_str())
            .bind(mail.to_string())
            .execute(self.db.writer())
            .await?;
        Ok(())
    }

    /// Returns the digits for the mail with this jti, and when they expire if it is sent now; `None` if a
    /// newer mail has replaced them, or they have expired.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn mailed_digits(
        &self,
        recipient: &Recipient,
        mail: Jti,
        now: Timestamp,
    ) -> Result<Option<(Secret, Timestamp)>, QueryError> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM recipients WHERE id = $1 AND mailed_jti = $2 AND mailed_until > $3",
        )
        .bind(recipient.id.as_str())
        .bind(mail.to_string())
        .bind(to_column(now))
        .fetch_optional(self.db.reader())
        .await?;
        Ok(found.map(|_| (self.key.digits(&recipient.id, mail), now.plus(LIFETIME))))
    }

    /// Checks a code. Each try is counted before the code is compared. The correct code can be used until it
    /// expires, so that the recipient can download several files.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn try_code(
        &self,
        recipient: &Recipient,
        presented: &str,
        now: Timestamp,
    ) -> Result<CodeCheck, QueryError> {
        let counted = sqlx::query(
            "UPDATE recipients SET mailed_tries = mailed_tries + 1 WHERE id = $1 AND mailed_until > $2 \
             AND mailed_tries < $3",
        )
        .bind(recipient.id.as_str())
        .bind(to_column(now))
        .bind(TRIES)
        .execute(self.db.writer())
        .await?;
        if counted.rows_affected() == 0 {
            return Ok(CodeCheck::Over);
        }
        let jti: Option<String> = sqlx::query_scalar("SELECT mailed_jti FROM recipients WHERE id = $1")
            .bind(recipient.id.as_str())
            .fetch_optional(self.db.writer())
            .await?
            .flatten();
        let Some(jti) = jti.and_then(|jti| jti.parse::<Jti>().ok()) else { return Ok(CodeCheck::Over) };
        let digits = plain_digits(presented);
        if Secret::presented(&digits).digest() != self.key.digits(&recipient.id, jti).digest() {
            return Ok(CodeCheck::Wrong);
        }
        sqlx::query("UPDATE recipients SET mailed_tries = 0 WHERE id = $1 AND mailed_jti = $2")
            .bind(recipient.id.as_str())
            .bind(jti.to_string())
            .execute(self.db.writer())
            .await?;
        Ok(CodeCheck::Right)
    }
}

/// Normalizes a code as it was typed: removes spaces, hyphens and the like, and converts digits of other
/// scripts to ASCII.
fn plain_digits(presented: &str) -> String {
    let plain = |c: char| match u32::from(c) {
        c @ (0x660..=0x669 | 0x6f0..=0x6f9 | 0x966..=0x96f) => {
            char::from_digit((c & 0xf) - if c >= 0x966 { 6 } else { 0 }, 10)
        }
        _ => Some(c).filter(|c| c.is_alphanumeric()),
    };
    presented.nfkc().filter_map(plain).take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_however_its_digits_are_separated() {
        for typed in [
            "12345678",
            " 1234 5678 ",
            "1234-5678",
            "1234\u{2013}5678",
            "1234.5678",
            "12 34 56 78",
            "\u{a0}1234\u{a0}5678",
            "\u{ff11}\u{ff12}\u{ff13}\u{ff14}5678",
        ] {
            assert_eq!(plain_digits(typed), "12345678", "{typed}");
        }
        assert_eq!(plain_digits("\u{660}\u{661}\u{6f2}\u{6f9}\u{966}\u{969}"), "012903");
        assert_ne!(plain_digits("1234x5678"), "12345678");
    }
}
