//! What is recorded in the transaction of an effect, so that the same form or request takes effect only once.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::{Any, Transaction};

use crate::clock::Timestamp;
use crate::secret::Digest;
use crate::web::db::QueryError;
use crate::web::db::columns::{digest_to_column, to_column};

/// How long a program's request is remembered.
pub(super) const REQUEST_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Identifies a form from one of our pages: a digest of its content with its one-time id. Only parsing a form
/// creates one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Identifies the form that was sent to `address` with this token and these fields. Returns `None` if its
    /// token has no one-time id, because then it can't be distinguished from others.
    pub(crate) fn new(address: &str, token: &str, fields: &[u8]) -> Option<IdempotencyKey> {
        token.contains('.').then(|| {
            let mut text = format!("{address}\n{token}\n").into_bytes();
            text.extend_from_slice(fields);
            IdempotencyKey(URL_SAFE_NO_PAD.encode(Digest::of(&text).as_bytes()))
        })
    }

    /// The digest.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Identifies a request that was sent with an `Idempotency-Key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestKey {
    digest: String,
    body: String,
}

impl RequestKey {
    /// Identifies the request that `account` sent to `address` with this `Idempotency-Key` and body. Keys of different
    /// accounts and addresses have nothing to do with each other.
    pub(crate) fn new(account: &str, address: &str, key: &str, body: &[u8]) -> RequestKey {
        RequestKey {
            digest: digest_to_column(&Digest::of(format!("{account}\n{address}\n{key}").as_bytes())),
            body: digest_to_column(&Digest::of(body)),
        }
    }

    /// The digest of the account, the address and the key.
    pub(super) fn digest(&self) -> &str {
        &self.digest
    }

    /// The digest of the body.
    pub(super) fn body(&self) -> &str {
        &self.body
    }
}

/// A form or a program's request to record together with its effect.
#[derive(Clone, Copy, Debug)]
pub struct IdempotencyRecord<'a>(Recorded<'a>);

#[derive(Clone, Copy, Debug)]
enum Recorded<'a> {
    /// A form, and the word for the message on the page that it leads to.
    Form(&'a IdempotencyKey, &'static str),
    Request(&'a RequestKey),
}

impl<'a> IdempotencyRecord<'a> {
    /// Returns the record of a form. `note` is the word for the message on the page that it leads to.
    pub(super) const fn of_form(form: &'a IdempotencyKey, note: &'static str) -> IdempotencyRecord<'a> {
        IdempotencyRecord(Recorded::Form(form, note))
    }

    /// Returns the record of a program's request.
    pub(super) const fn of_request(key: &'a RequestKey) -> IdempotencyRecord<'a> {
        IdempotencyRecord(Recorded::Request(key))
    }
}

/// Records a form or request in the transaction of its effect. Returns `false` if it was already recorded: of two
/// identical ones sent at once, in any number of processes, only one takes effect.
///
/// # Errors
/// If the database fails.
pub async fn put(
    transaction: &mut Transaction<'static, Any>,
    record: IdempotencyRecord<'_>,
    location: &str,
    now: Timestamp,
) -> Result<bool, QueryError> {
    let (form, note) = match record.0 {
        Recorded::Form(form, note) => (form, note),
        Recorded::Request(key) => return put_request(transaction, key, location, now).await,
    };
    let new = sqlx::query(
        "INSERT INTO sent_forms (digest, location, note, at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (digest) DO NOTHING",
    )
    .bind(&form.0)
    .bind(location)
    .bind(note)
    .bind(to_column(now))
    .execute(&mut **transaction)
    .await?;
    Ok(new.rows_affected() > 0)
}

/// Records a request in the transaction of its effect. Returns `false` if it was already recorded.
pub(super) async fn put_request(
    transaction: &mut Transaction<'static, Any>,
    key: &RequestKey,
    made: &str,
    now: Timestamp,
) -> Result<bool, QueryError> {
    let new = sqlx::query(
        "INSERT INTO api_requests (digest, body, made, at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (digest) DO UPDATE SET body = excluded.body, made = excluded.made, at = excluded.at \
         WHERE api_requests.at <= $5",
    )
    .bind(&key.digest)
    .bind(&key.body)
    .bind(made)
    .bind(to_column(now))
    .bind(to_column(now.minus(REQUEST_KEPT)))
    .execute(&mut **transaction)
    .await?;
    Ok(new.rows_affected() > 0)
}
