//! A link as its owner sees it: its state, its recipients and its downloads.

use crate::web::http::deliveries_part::DeliveriesPart;
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::link_state::LinkState;
use crate::web::http::links::mailing_page::MailingPart;
use crate::web::http::links::one_link_page::LinkLive;
use crate::web::http::links::recipient_list::{RecipientList, RecipientQuery, RecipientRow};
use crate::web::http::respond::AppData;
use crate::web::links::{Link, LinkStatus, Links, Recipient};

/// Returns the part of a link's page that changes, with the recipients that `query` asks for.
pub(crate) async fn live_of(
    app: &AppData,
    who: &SignedIn,
    link: &Link,
    query: RecipientQuery,
) -> Result<LinkLive, WebError> {
    let services = &app.services;
    let now = services.clock.now();
    let recipients = services.links.recipients(link).await?;
    let state = state_of(app, who, link, &recipients);
    let rows = rows_of(app, link, state, &recipients).await?;
    let deliveries = app.deliveries.of_link(&link.owner, &link.id).await?.unwrap_or_default();
    Ok(LinkLive {
        id: link.id.to_string(),
        state,
        arrival: link.arrival,
        files_deleted_at: link.files_deleted_at,
        uses_per_recipient: link.uses_per_recipient,
        recipients: RecipientList::of(rows, query),
        deliveries: DeliveriesPart { deliveries, now },
        now,
    })
}

/// Returns the recipients of a link in that state, as its page shows them.
async fn rows_of(
    app: &AppData,
    link: &Link,
    state: LinkState,
    recipients: &[Recipient],
) -> Result<Vec<RecipientRow>, WebError> {
    let services = &app.services;
    let now = services.clock.now();
    let mailings = services.links.mailings(link).await?;
    let can_send = |recipient: &Recipient| {
        state == LinkState::Open && Links::may_be_sent(link, recipient, mailings.get(&recipient.id), now)
    };
    let mailing = |recipient: &Recipient| {
        let mailing = mailings.get(&recipient.id)?.clone();
        Some(MailingPart { mailing, can_send_again: can_send(recipient) })
    };
    let row = |recipient: &Recipient| RecipientRow {
        id: recipient.id.to_string(),
        can_send_first: can_send(recipient) && !mailings.contains_key(&recipient.id),
        is_removed: recipient.removed_at.is_some(),
        email: recipient.email.as_ref().map(|email| email.as_str().to_owned()),
        address: services.links.address(&app.public_url, recipient),
        taken: recipient.taken,
        reserved: recipient.reserved,
        views: recipient.views,
        viewed_at: recipient.viewed_at,
        file_views: recipient.file_views,
        file_viewed_at: recipient.file_viewed_at,
        mailing: mailing(recipient),
    };
    Ok(recipients.iter().map(row).collect())
}

/// Returns the state of a link for its owner.
pub(crate) fn state_of(app: &AppData, who: &SignedIn, link: &Link, recipients: &[Recipient]) -> LinkState {
    let readable = |file| app.rights.readable(who.account(), file).is_some();
    let is_used_up =
        |one: &Recipient| one.removed_at.is_some() || one.left(link.uses_per_recipient) == Some(0);
    match link.status(app.services.clock.now()) {
        LinkStatus::Revoked => LinkState::Revoked,
        LinkStatus::Abandoned => LinkState::Abandoned,
        LinkStatus::Uploading if link.files.is_empty() => LinkState::Uploading,
        _ if !link.files.iter().cloned().any(readable) => LinkState::Gone,
        LinkStatus::Ended => LinkState::Ended,
        LinkStatus::Paused => LinkState::Paused,
        LinkStatus::Uploading => LinkState::Uploading,
        LinkStatus::Open if recipients.iter().all(is_used_up) => LinkState::UsedUp,
        LinkStatus::Open => LinkState::Open,
    }
}
