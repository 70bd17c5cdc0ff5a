//! A link as the API shows it to its owner.

use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::Timestamp;
use crate::secret::Digest;
use crate::web::db::columns::digest_to_column;
use crate::web::http::api::time::Time;
use crate::web::http::api::version::tag;
use crate::web::http::link_state::LinkState;
use crate::web::http::state::AppState;
use crate::web::links::Link;
use crate::web::links::summaries::LinkSummary;

/// A link.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LinkView {
    /// Its id.
    #[schema(example = "Fk3X9vYbQ0mU5n1rT7cWzA")]
    id: String,
    /// Its address for anyone who has it; `null` if its recipients are named, who have an address each.
    #[schema(example = "https://files.example.org/l/0a1b2c3d4e5f6g7h8i9j")]
    url: Option<String>,
    /// The title.
    #[schema(example = "The report")]
    title: String,
    /// The message to the recipients.
    note: String,
    /// `open`, `uploading`, `abandoned`, `paused`, `used-up`, `ended` or `revoked`.
    #[schema(example = "open")]
    state: &'static str,
    /// The paths of its files and folders.
    #[schema(example = json!(["/books/report.pdf"]))]
    files: Vec<String>,
    /// How many times each recipient may download; `null` for no limit.
    #[schema(example = 1)]
    uses: Option<u32>,
    /// How many times all recipients together have downloaded, or are downloading.
    used: u32,
    /// How often its page was opened.
    views: u32,
    /// How many recipients it has.
    #[schema(example = 1)]
    recipients: u32,
    /// Whether they are named by their email addresses.
    named: bool,
    /// When it ends; `null` for never.
    ends_at: Option<Time>,
    /// Whether recipients must enter a password.
    has_password: bool,
    /// Whether recipients must enter a code that is emailed to them.
    mailed_code: bool,
    /// Whether hidden files in its folders are shared, too.
    hidden_files: bool,
    /// Whether its files may be viewed in the browser even if the number of downloads is limited.
    viewable: bool,
    /// `never`, `first` or `every`: after which downloads the account gets an email.
    #[schema(example = "never")]
    notify: &'static str,
    /// Whether its files go to the trash when it is over.
    delete_files: bool,
    /// When it was made.
    created_at: Time,
    /// When it was revoked.
    revoked_at: Option<Time>,
}

impl LinkView {
    /// Shows a link.
    pub(crate) fn of(summary: &LinkSummary, app: &AppState, now: Timestamp) -> LinkView {
        let (listed, link) = (&summary.listed, &summary.listed.link);
        let address =
            |recipient| format!("{}/l/{}", app.public_url, app.services.links.key.code(recipient).reveal());
        LinkView {
            id: link.id.to_string(),
            url: summary.anyone.as_ref().map(address),
            title: link.title.clone(),
            note: link.note.clone(),
            state: word(LinkState::of(listed, now)),
            files: link.files.iter().map(|file| file.as_str().to_owned()).collect(),
            uses: link.uses_per_recipient,
            used: listed.taken,
            views: listed.views,
            recipients: listed.recipients,
            named: listed.named,
            ends_at: link.ends_at.map(Time),
            has_password: link.password.is_some(),
            mailed_code: link.mailed_code,
            hidden_files: link.hidden_files,
            viewable: link.viewable,
            notify: link.notify.as_str(),
            delete_files: link.delete_files,
            created_at: link.created_at.into(),
            revoked_at: link.revoked_at.map(Time),
        }
    }
}

/// Returns the word for a state.
pub(crate) const fn word(state: LinkState) -> &'static str {
    match state {
        LinkState::Open => "open",
        LinkState::Uploading => "uploading",
        LinkState::Abandoned => "abandoned",
        LinkState::Paused => "paused",
        LinkState::UsedUp => "used-up",
        LinkState::Ended => "ended",
        LinkState::Revoked | LinkState::Gone => "revoked",
    }
}

/// Returns the entity tag of a link: of everything that its owner sets.
pub(crate) fn link_tag(link: &Link) -> String {
    // The digest tells whether the password was changed, and nothing else.
    let password = link.password.as_ref().map(|password| Digest::of(password.as_str().as_bytes()));
    tag(&(
        (link.id.as_str(), &link.title, &link.note, link.uses_per_recipient, link.ends_at),
        password.map(|digest| digest_to_column(&digest)),
        (link.mailed_code, link.viewable, link.notify.as_str(), link.hidden_files, link.delete_files),
        (link.paused, link.revoked_at),
    ))
}
