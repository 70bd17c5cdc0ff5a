//! A code that is mailed to a recipient before he can take a link: eight digits that count for a
//! quarter of an hour. They are derived when the mail is sent and when they are checked, and stored
//! nowhere.

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

/// How long a code counts, from the moment at which its mail was accepted.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// A code whose mail did not leave for this long is forgotten with it. Nobody knows it until then.
const ON_ITS_WAY: Duration = Duration::from_secs(3 * 24 * 60 * 60);

/// How often a code can be tried before another one is needed.
const TRIES: i64 = 10;

/// What came of trying a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeCheck {
    /// It is the one.
    Right,
    /// It is not.
    Wrong,
    /// None was mailed, its time is over, or it was tried too often.
    Over,
}

/// How it stands with the code that was asked for last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CodeMailStatus {
    /// None was asked for lately, or nothing is known of its mail any more.
    #[default]
    None,
    /// Its mail is to be sent; whether that was tried in vain.
    Waiting {
        /// The mail server has not taken it at the first try.
        is_late: bool,
    },
    /// It was sent and counts.
    Valid {
        /// Until then.
        until: Timestamp,
    },
    /// It was sent, and its time is over.
    Expired,
    /// Its mail could not be delivered.
    Undelivered,
}

impl Links {
    /// How it stands with the code that was asked for last for a recipient.
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

    /// Has a new code mailed, which ends the one before. Nothing happens where there is nobody to mail
    /// to.
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

    /// The mail with that jti was accepted: its code counts from now on, for its lifetime.
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

    /// The digits for the mail with that jti, and until when they count if it leaves now; `None` when a
    /// newer mail has others, or their time is over.
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

    /// Tries a code. Each try counts before it is looked at; the right one can be used until its time
    /// is over, so that several files can be taken.
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

/// A code as it was mailed, however it was typed: with spaces or hyphens in between, as a phone writes
/// digits in another script.
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
    fn a_code_is_the_same_however_its_digits_are_set_apart() {
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
