//! Making a link and changing its terms, for the pages and the API: what both check before the link's own service does
//! its part.

use crate::clock::Timestamp;
use crate::files::FileError;
use crate::human;
use crate::id::{FilePath, LinkId};
use crate::web::audit::Actor;
use crate::web::forms::record::IdempotencyRecord;
use crate::web::http::error::WebError;
use crate::web::http::file_query;
use crate::web::http::respond::{AppData, blocking};
use crate::web::identity::Account;
use crate::web::identity::passwords::Asker;
use crate::web::links::Link;
use crate::web::links::change::{EditBase, EditOutcome, LinkPasswordChange};
use crate::web::links::create::{CreateOutcome, NAMED_PER_DAY, NewLink};
use crate::web::links::terms::{LinkForm, LinkFormErrors};
use crate::web::shares::error::StorageError;
use crate::web::shares::rights::Readable;
use crate::web::throttle::MailsRefused;

/// Why a link can't delete its files afterwards.
pub(crate) const DELETE_OWN_ONLY: &str = "Only files in My files can be deleted afterwards.";

/// The maximum number of recipients that an error message names one by one.
const NAMED_MAX: usize = 20;

/// A link to make.
pub(crate) struct LinkOrder<'a> {
    /// The account that makes it.
    pub(crate) owner: &'a Account,
    /// Its files and folders. Whether the account may read them is checked here.
    pub(crate) files: &'a [FilePath],
    /// Its terms as they were typed.
    pub(crate) typed: &'a LinkForm,
    /// Whether to email the link to its recipients.
    pub(crate) mail: bool,
    /// The idempotency record of the form or request.
    pub(crate) record: Option<IdempotencyRecord<'a>>,
}

/// What came of making a link.
pub(crate) enum LinkMaking {
    /// It was made.
    Made(LinkId),
    /// Something is wrong with the terms.
    Invalid(Box<LinkFormErrors>),
    /// The same form or request has already made one.
    Before,
    /// The account may no longer make links.
    NotAllowed,
}

/// Makes a link.
pub(crate) async fn make_link(
    app: &AppData,
    order: &LinkOrder<'_>,
    actor: &Actor,
    now: Timestamp,
) -> Result<LinkMaking, WebError> {
    let LinkOrder { owner, files, typed, mail, record } = *order;
    let services = &app.services;
    let home = app.rights.home(owner);
    let mut terms = match services.links.check(typed, None, now) {
        Ok(terms) => terms,
        Err(errors) => return Ok(LinkMaking::Invalid(errors)),
    };
    if terms.delete_files && !are_within(home.as_ref(), files) {
        return Ok(invalid(DELETE_OWN_ONLY));
    }
    if readable(app, owner, files.to_vec()).await?.is_none() {
        return Ok(invalid("Some of these files no longer exist, or you may no longer read them."));
    }
    if terms.title.is_empty() {
        terms.title = file_query::title_of(files, home.as_ref());
    }
    app.throttle.link(&owner.id, now)?;
    if mail && let Err(full) = app.throttle.link_mails(&owner.id, &terms.recipients, now) {
        let recipients = too_many_mails(&full);
        return Ok(LinkMaking::Invalid(Box::new(LinkFormErrors { recipients, ..LinkFormErrors::default() })));
    }
    let password = match terms.password.clone() {
        Some(password) => Some(services.passwords.hash(Asker::Account(owner.id.clone()), password).await?),
        None => None,
    };
    let password = password.as_ref();
    let new = NewLink { owner, files, awaits: None, terms: &terms, password, mail, form: record };
    match services.links.create(&new, actor, now).await? {
        CreateOutcome::Link(id) => {
            tracing::info!(account = %owner.id, link = %id, "link made");
            app.archives.wake();
            Ok(LinkMaking::Made(id))
        }
        CreateOutcome::TooMany => {
            let most = human::grouped(NAMED_PER_DAY.unsigned_abs());
            Ok(invalid(&format!(
                "You can name at most {most} recipients within a day. No link was created: try again tomorrow."
            )))
        }
        CreateOutcome::Before => Ok(LinkMaking::Before),
        CreateOutcome::NotAllowed => Ok(LinkMaking::NotAllowed),
    }
}

fn invalid(sentence: &str) -> LinkMaking {
    let form = Some(sentence.to_owned());
    LinkMaking::Invalid(Box::new(LinkFormErrors { form, ..LinkFormErrors::default() }))
}

/// Returns whether all files are in this folder, which is their owner's own, so that a link may delete them afterwards.
pub(crate) fn are_within(home: Option<&FilePath>, files: &[FilePath]) -> bool {
    home.is_some_and(|home| files.iter().all(|file| file != home && file.is_within(home)))
}

/// Returns the files, if all of them exist and this account may read them.
pub(crate) async fn readable(
    app: &AppData,
    account: &Account,
    files: Vec<FilePath>,
) -> Result<Option<Vec<FilePath>>, WebError> {
    let now = app.services.clock.now();
    if files.iter().any(|file| !app.services.issuer.can_issue(file, now)) {
        return Err(StorageError::Unlinkable.into());
    }
    let readable = |file| app.rights.readable(account, file);
    let Some(places) = files.into_iter().map(readable).collect::<Option<Vec<Readable>>>() else {
        return Ok(None);
    };
    let shares = app.shares.clone();
    let all = blocking(move || {
        let mut paths = Vec::new();
        for place in &places {
            match shares.entry(place.path()) {
                Ok(_) => paths.push(place.path().clone()),
                Err(FileError::Missing) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        Ok(Some(paths))
    });
    Ok(all.await??)
}

/// What happened to new terms.
pub(crate) enum TermsChange {
    /// They are valid, and this became of them.
    Done(EditOutcome),
    /// Nothing was changed.
    Invalid(Box<LinkFormErrors>),
}

/// Gives a link new terms. An empty password keeps the one that it has, unless `remove_password` says otherwise.
pub(crate) async fn change_link(
    app: &AppData,
    (account, actor): (&Account, &Actor),
    (link, base): (&Link, EditBase),
    typed: &LinkForm,
    remove_password: bool,
) -> Result<TermsChange, WebError> {
    let services = &app.services;
    let now = services.clock.now();
    app.throttle.link(&account.id, now)?;
    let recipients = services.links.recipients(link).await?;
    // A code can be mailed to anyone who is named; the link for anyone then ends.
    let named = recipients.iter().any(|one| one.removed_at.is_none() && one.email.is_some());
    let own = are_within(app.rights.home(account).as_ref(), &link.files);
    let mut terms = match services.links.check(typed, Some(named), now) {
        Ok(terms) if terms.delete_files && !own => {
            let form = Some(DELETE_OWN_ONLY.to_owned());
            let errors = LinkFormErrors { form, ..LinkFormErrors::default() };
            return Ok(TermsChange::Invalid(Box::new(errors)));
        }
        Ok(terms) => terms,
        Err(errors) => return Ok(TermsChange::Invalid(errors)),
    };
    if terms.title.is_empty() {
        terms.title.clone_from(&link.title);
    }
    let password = match terms.password.clone() {
        Some(password) => LinkPasswordChange::Set(
            services.passwords.hash(Asker::Account(account.id.clone()), password).await?,
        ),
        None if remove_password => LinkPasswordChange::Remove,
        None => LinkPasswordChange::Keep,
    };
    let outcome = services.links.edit((link, base), &terms, password, actor, now).await?;
    services.revoke_now().await;
    Ok(TermsChange::Done(outcome))
}

/// Returns what to say about mails that are not sent.
pub(crate) fn too_many_mails(refused: &MailsRefused<'_>) -> Vec<String> {
    let full = match refused {
        MailsRefused::Mailboxes(full) => full,
        MailsRefused::Day(most) => {
            let links = human::counted(u64::from(*most), "link");
            return vec![format!(
                "You can have at most {links} emailed within a day. Try again later, or make the link without \
                 mails and send it yourself."
            )];
        }
    };
    let named = full.iter().take(NAMED_MAX).map(|email| {
        let sentence = "has already received as many mails from you as are allowed within an hour. Try again \
                        later, or make the link without mails and send it yourself.";
        format!("{email} {sentence}")
    });
    let mut sentences: Vec<String> = named.collect();
    let more = full.len().saturating_sub(NAMED_MAX);
    match more {
        0 => {}
        1 => sentences.push("1 more recipient has received too many mails from you.".to_owned()),
        count => sentences.push(format!("{count} more recipients have received too many mails from you.")),
    }
    sentences
}
