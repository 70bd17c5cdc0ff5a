//! Short codes for action links, used in mails instead of tokens of 500 characters. A code is derived from
//! the token's jti and a key that is not in the database, so that every attempt to send a mail contains the
//! same one. The database has the code's digest and the claims of the token.

use std::time::Duration;

use sqlx::Row;

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::secret::Secret;
use crate::web::db::columns::{digest_to_column, from_column, to_column};
use crate::web::db::{Database, QueryError};
use crate::web::tokens::issuer::ActionClaim;
use crate::web::tokens::link_key::{ACTION_CODE_ALPHABET, ACTION_CODE_LENGTH, LinkKey};

/// How long a code is kept after it expired, so that its page can say so.
const KEEP_ENDED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// The codes. Clones share their state.
#[derive(Clone)]
pub(crate) struct ActionCodes {
    db: Database,
    key: LinkKey,
}

impl ActionCodes {
    pub(crate) const fn new(db: Database, key: LinkKey) -> ActionCodes {
        ActionCodes { db, key }
    }

    /// Adds a token, and returns its code. Adding the same jti again updates the claims and returns the same
    /// code.
    pub(crate) async fn add(&self, claim: &ActionClaim) -> Result<Secret, QueryError> {
        let code = self.key.action_code(claim.jti);
        sqlx::query(
            "INSERT INTO action_codes (digest, subject, purpose, state, jti, issued_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (digest) DO UPDATE SET state = excluded.state, \
             issued_at = excluded.issued_at, expires_at = excluded.expires_at",
        )
        .bind(digest_to_column(&code.digest()))
        .bind(&claim.subject)
        .bind(&claim.purpose)
        .bind(&claim.state)
        .bind(claim.jti.to_string())
        .bind(to_column(claim.issued_at))
        .bind(to_column(claim.expires_at))
        .execute(self.db.writer())
        .await?;
        Ok(code)
    }

    /// Returns the claims of the token that a code stands for; `None` for an unknown code.
    pub(crate) async fn find(&self, code: &str) -> Result<Option<ActionClaim>, QueryError> {
        let row = sqlx::query(
            "SELECT subject, purpose, state, jti, issued_at, expires_at FROM action_codes WHERE digest = $1",
        )
        .bind(digest_to_column(&Secret::presented(code).digest()))
        .fetch_optional(self.db.reader())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let Ok(jti) = row.try_get::<String, _>("jti")?.parse() else { return Ok(None) };
        Ok(Some(ActionClaim {
            subject: row.try_get("subject")?,
            purpose: row.try_get("purpose")?,
            state: row.try_get("state")?,
            jti,
            issued_at: from_column(row.try_get("issued_at")?),
            expires_at: from_column(row.try_get("expires_at")?),
        }))
    }

    /// Returns the purpose of the token with this jti, as its row says.
    pub(crate) async fn purpose_of(&self, jti: Jti) -> Result<Option<String>, QueryError> {
        let digest = digest_to_column(&self.key.action_code(jti).digest());
        let purpose = sqlx::query_scalar("SELECT purpose FROM action_codes WHERE digest = $1");
        Ok(purpose.bind(digest).fetch_optional(self.db.reader()).await?)
    }

    /// Starts the lifetime of the token with this jti at `now`, and sets its end.
    pub(crate) async fn begin(&self, jti: Jti, now: Timestamp, end: Timestamp) -> Result<(), QueryError> {
        sqlx::query("UPDATE action_codes SET issued_at = $1, expires_at = $2 WHERE digest = $3")
            .bind(to_column(now))
            .bind(to_column(end))
            .bind(digest_to_column(&self.key.action_code(jti).digest()))
            .execute(self.db.writer())
            .await?;
        Ok(())
    }

    /// Deletes codes that expired long ago.
    pub(crate) async fn prune(&self, now: Timestamp) -> Result<(), QueryError> {
        sqlx::query("DELETE FROM action_codes WHERE expires_at <= $1")
            .bind(to_column(now.minus(KEEP_ENDED)))
            .execute(self.db.writer())
            .await?;
        Ok(())
    }
}

/// Returns the code in the last component of an address, without anything that mail programs add to the end
/// of a link. Returns `None` if there is none, for example for a complete token.
pub(crate) fn code_in(text: &str) -> Option<String> {
    let code: String = text.chars().take(ACTION_CODE_LENGTH).map(|c| c.to_ascii_lowercase()).collect();
    let is_code = code.len() == ACTION_CODE_LENGTH && code.chars().all(|c| ACTION_CODE_ALPHABET.contains(c));
    let rest = text.get(ACTION_CODE_LENGTH..)?;
    (is_code && !rest.contains(char::is_alphanumeric)).then_some(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_found_whatever_a_mail_program_added_to_the_link() {
        let code = "abcdefghijkmnpqrstuvwxyz23";
        for end in ["", "/", ".", ",", ")", ">", "%20", "\u{200b}"] {
            let end = if end == "%20" { " " } else { end };
            assert_eq!(code_in(&format!("{code}{end}")).as_deref(), Some(code), "{end:?}");
        }
        assert_eq!(code_in(&code.to_uppercase()).as_deref(), Some(code));
        for other in ["", "abc", "a.b.c", &format!("{code}x"), &code.replace('a', "0"), &code[1..]] {
            assert_eq!(code_in(other), None, "{other}");
        }
    }
}
