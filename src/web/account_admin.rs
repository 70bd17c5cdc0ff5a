//! What administrators do with other people's accounts. Each change is one transaction with its line
//! in the audit log, and ends at once what it takes away.

use std::collections::BTreeSet;

use sqlx::{Any, Transaction};

use crate::clock::Timestamp;
use crate::id::Jti;
use crate::web::account::{Account, AccountId, Email, GroupName, NewAccount};
use crate::web::accounts::{Accounts, Added, end_sessions, insert, other_administrators, to_column};
use crate::web::audit::{self, Actor, Deed};
use crate::web::db::Database;
use crate::web::generation::Generations;
use crate::web::issued::{self, Issued};
use crate::web::mail::queue::Queue;
use crate::web::mail::{Details, Kind, NewMail};
use crate::web::self_service::{Changed, SelfServiceError};

/// Accounts as administrators see them. Cheap to clone.
#[derive(Clone)]
pub struct AccountAdmin {
    /// The database.
    pub db: Database,
    /// Accounts.
    pub accounts: Accounts,
    /// What cached accounts are checked against.
    pub generations: Generations,
    /// Mails that wait.
    pub queue: Queue,
    /// Tokens that may have to be revoked.
    pub issued: Issued,
}

impl AccountAdmin {
    /// Makes an account for somebody and invites him; `Added::EmailTaken` when there is one.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn invite(
        &self,
        new: NewAccount,
        by: &Account,
        actor: &Actor,
        forget_at: Timestamp,
        now: Timestamp,
    ) -> Result<Added, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        let added = insert(&mut transaction, new, now).await?;
        let Added::New(account) = &added else { return Ok(added) };
        sqlx::query("UPDATE accounts SET forget_at = $1 WHERE id = $2")
            .bind(to_column(forget_at))
            .bind(account.id.as_str())
            .execute(&mut *transaction)
            .await?;
        audit::append(&mut transaction, actor, Deed::Invited, account.email.as_str(), now).await?;
        let details = Details { by: Some(by.name.as_str().to_owned()), ..Details::of(&account.id) };
        self.mail(&mut transaction, Kind::Invite, &account.email, details, now).await?;
        transaction.commit().await?;
        self.queue.wake();
        Ok(added)
    }

    /// Sends the link that the owner of an account needs to get into it.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn send_link(
        &self,
        account: &Account,
        by: &Account,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<(), SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        audit::append(&mut transaction, actor, Deed::ResetSent, account.email.as_str(), now).await?;
        let details = Details { by: Some(by.name.as_str().to_owned()), ..Details::of(&account.id) };
        self.mail(&mut transaction, Kind::Forgot, &account.email, details, now).await?;
        transaction.commit().await?;
        self.queue.wake();
        Ok(())
    }

    /// Lets the account log in, or not. Not letting it ends its sessions and revokes its live tokens.
    /// The last administrator can't be disabled.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn set_disabled(
        &self,
        account: &Account,
        disabled: bool,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Changed, SelfServiceError> {
        let deed = if disabled { Deed::Disabled } else { Deed::Enabled };
        let mut transaction = self.db.begin().await?;
        audit::append(&mut transaction, actor, deed, account.email.as_str(), now).await?;
        if disabled && account.admin && other_administrators(&mut transaction, &account.id).await? == 0 {
            return Ok(Changed::LastAdministrator);
        }
        let changed = sqlx::query("UPDATE accounts SET disabled = $1 WHERE id = $2")
            .bind(i64::from(disabled))
            .bind(account.id.as_str())
            .execute(&mut *transaction)
            .await?;
        if changed.rows_affected() == 0 {
            return Ok(Changed::Overtaken);
        }
        if disabled {
            end_sessions(&mut transaction, &account.id).await?;
            issued::mark(&mut transaction, &account.id).await?;
        }
        self.generations.commit(transaction, &account.id).await?;
        self.issued.wake();
        Ok(Changed::Done)
    }

    /// Gives the account these groups, and the administrator's role or not. The last administrator
    /// keeps it.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn set_rights(
        &self,
        account: &Account,
        groups: &BTreeSet<GroupName>,
        admin: bool,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Changed, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        let listed: Vec<&str> = groups.iter().map(GroupName::as_str).collect();
        let role = if admin { "administrator" } else { "no administrator" };
        let subject = format!("{}: {role}, groups: {}", account.email, listed.join(" "));
        audit::append(&mut transaction, actor, Deed::RightsChanged, &subject, now).await?;
        if account.admin && !admin && other_administrators(&mut transaction, &account.id).await? == 0 {
            return Ok(Changed::LastAdministrator);
        }
        let changed = sqlx::query("UPDATE accounts SET admin = $1 WHERE id = $2")
            .bind(i64::from(admin))
            .bind(account.id.as_str())
            .execute(&mut *transaction)
            .await?;
        if changed.rows_affected() == 0 {
            return Ok(Changed::Overtaken);
        }
        sqlx::query("DELETE FROM account_groups WHERE account = $1")
            .bind(account.id.as_str())
            .execute(&mut *transaction)
            .await?;
        for group in listed {
            sqlx::query("INSERT INTO account_groups (account, name) VALUES ($1, $2)")
                .bind(account.id.as_str())
                .bind(group)
                .execute(&mut *transaction)
                .await?;
        }
        self.generations.commit(transaction, &account.id).await?;
        Ok(Changed::Done)
    }

    /// Deletes an account, with its sessions, links and live tokens. The last administrator stays.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn delete(
        &self,
        account: &Account,
        actor: &Actor,
        now: Timestamp,
    ) -> Result<Changed, SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        audit::append(&mut transaction, actor, Deed::AccountDeleted, account.email.as_str(), now).await?;
        if account.admin && other_administrators(&mut transaction, &account.id).await? == 0 {
            return Ok(Changed::LastAdministrator);
        }
        let gone = sqlx::query("DELETE FROM accounts WHERE id = $1")
            .bind(account.id.as_str())
            .execute(&mut *transaction)
            .await?;
        if gone.rows_affected() == 0 {
            return Ok(Changed::Overtaken);
        }
        issued::mark(&mut transaction, &account.id).await?;
        let details = Details { name: Some(account.name.as_str().to_owned()), ..Details::default() };
        self.mail(&mut transaction, Kind::AccountDeleted, &account.email, details, now).await?;
        self.generations.commit(transaction, &account.id).await?;
        self.queue.wake();
        self.issued.wake();
        Ok(Changed::Done)
    }

    /// Writes down what an operator did at the command line to the account with that address.
    ///
    /// # Errors
    /// See [`SelfServiceError`].
    pub async fn note(&self, deed: Deed, email: &Email, now: Timestamp) -> Result<(), SelfServiceError> {
        let mut transaction = self.db.begin().await?;
        audit::append(&mut transaction, &Actor::operator(), deed, email.as_str(), now).await?;
        Ok(transaction.commit().await?)
    }

    /// The account with that id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find(&self, id: &str) -> Result<Option<Account>, SelfServiceError> {
        Ok(self.accounts.by_id(&AccountId::from_store(id)).await?)
    }

    async fn mail(
        &self,
        transaction: &mut Transaction<'static, Any>,
        kind: Kind,
        recipient: &Email,
        details: Details,
        now: Timestamp,
    ) -> Result<(), SelfServiceError> {
        let mail = NewMail { kind, recipient: recipient.clone(), jti: Jti::random()?, details };
        Ok(self.queue.add(transaction, &mail, now).await?)
    }
}
