//! The pages about accounts for administrators.

use askama::Template;

use crate::clock::Timestamp;
use crate::human;
use crate::web::http::admin::group_fields::GroupFields;
use crate::web::http::admin::pager::Pager;
use crate::web::http::fields::FieldErrors;
use crate::web::http::layout::{Chrome, Section};
use crate::web::http::session_row::SessionRow;

/// One account in the list.
#[derive(Clone, Debug)]
pub struct AccountRow {
    /// Its id, which is part of the address of its page.
    pub id: String,
    /// Its email address.
    pub email: String,
    /// Its owner's name.
    pub name: String,
    /// Its state: active, invited …
    pub state: &'static str,
    /// Whether its owner is an administrator.
    pub admin: bool,
    /// Its groups.
    pub groups: Vec<String>,
    /// When somebody last logged in.
    pub last_login: Option<Timestamp>,
}

impl AccountRow {
    pub(crate) fn sample() -> AccountRow {
        AccountRow {
            id: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
            email: "lin@example.org\"><script>".to_owned(),
            name: "Lin <b>Mei</b>".to_owned(),
            state: "active",
            admin: true,
            groups: vec!["staff".to_owned(), "<i>readers</i>".to_owned()],
            last_login: Some(Timestamp::from_secs(1_790_000_000)),
        }
    }
}

/// `GET /admin/accounts`
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/accounts.html")]
pub struct AccountsPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The search.
    pub query: String,
    /// The number of accounts found.
    pub count: u64,
    /// The accounts of this page.
    pub rows: Vec<AccountRow>,
    /// The links to the other pages.
    pub pager: Pager,
    /// The present moment.
    pub now: Timestamp,
}

impl AccountsPage {
    fn counted(&self) -> String {
        human::counted(self.count, "account")
    }
}

/// `GET /admin/accounts/{id}`
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/account.html")]
pub struct AccountPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The account.
    pub row: AccountRow,
    /// Whether it is disabled.
    pub disabled: bool,
    /// Whether its owner has a password.
    pub active: bool,
    /// When it was created.
    pub created: Timestamp,
    /// The groups in the form.
    pub groups: String,
    /// The groups that the shares name.
    pub known_groups: Vec<String>,
    /// Whether the box for administrators is ticked.
    pub admin: bool,
    /// Whether it has a second factor.
    pub has_factor: bool,
    /// Its sessions.
    pub sessions: Vec<SessionRow>,
    /// The errors in the forms.
    pub errors: FieldErrors,
    /// The present moment.
    pub now: Timestamp,
}

impl AccountPage {
    fn group_fields(&self) -> GroupFields {
        GroupFields::new(&self.groups, self.known_groups.clone())
    }

    /// Returns the account's groups that give access to no share.
    fn idle_groups(&self) -> Option<String> {
        let idle = self.row.groups.iter().filter(|group| !self.known_groups.contains(group));
        let idle: Vec<String> = idle.map(|group| format!("“{}”", human::name(group))).collect();
        (!idle.is_empty()).then(|| idle.join(", "))
    }
}

/// `GET /admin/invite`; posts `email`, `name`, `groups`, `admin`.
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/invite.html")]
pub struct InvitePage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The address typed before.
    pub email: String,
    /// The name typed before.
    pub name: String,
    /// The groups typed before.
    pub groups: String,
    /// The groups that the shares name.
    pub known_groups: Vec<String>,
    /// Whether the box for administrators was ticked.
    pub admin: bool,
    /// The errors in the form.
    pub errors: FieldErrors,
}

impl InvitePage {
    /// Returns the empty page.
    pub fn new(chrome: Chrome, known_groups: Vec<String>) -> InvitePage {
        InvitePage {
            chrome,
            email: String::new(),
            name: String::new(),
            groups: String::new(),
            known_groups,
            admin: false,
            errors: FieldErrors::default(),
        }
    }

    fn group_fields(&self) -> GroupFields {
        GroupFields::new(&self.groups, self.known_groups.clone())
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let now = Timestamp::from_secs(1_790_000_900);
    let invited = AccountRow { state: "invited", admin: false, last_login: None, ..AccountRow::sample() };
    let list = AccountsPage {
        chrome: Chrome::sample("Accounts", Section::Admin),
        query: "li\"n".to_owned(),
        count: 2,
        rows: vec![AccountRow::sample(), invited.clone()],
        pager: Pager { newer: None, older: Some("/admin/accounts?page=1".to_owned()) },
        now,
    };
    let detail = AccountPage {
        chrome: Chrome::sample("lin@example.org", Section::Admin),
        row: AccountRow::sample(),
        disabled: false,
        active: true,
        created: Timestamp::from_secs(1_790_000_000),
        groups: "staff <i>".to_owned(),
        known_groups: vec!["staff".to_owned()],
        admin: true,
        has_factor: true,
        sessions: vec![SessionRow::sample(false)],
        errors: FieldErrors {
            form: Some("This is the only administrator.".to_owned()),
            groups: Some("A group's name has no spaces.".to_owned()),
            email: Some("Type the address of the account.".to_owned()),
            ..FieldErrors::default()
        },
        now,
    };
    let calm = AccountPage {
        row: invited,
        disabled: true,
        active: false,
        has_factor: false,
        sessions: Vec::new(),
        errors: FieldErrors::default(),
        ..detail.clone()
    };
    let invite = InvitePage {
        email: "x\"><script>".to_owned(),
        errors: FieldErrors {
            email: Some("There is an account with this address already.".to_owned()),
            name: Some("A name must be on one line and have 1 to 100 characters.".to_owned()),
            groups: Some("A group's name has no spaces.".to_owned()),
            ..FieldErrors::default()
        },
        ..InvitePage::new(Chrome::sample("Invite someone", Section::Admin), vec!["staff".to_owned()])
    };
    Ok(vec![
        ("admin-accounts", list.render()?),
        ("admin-account", detail.render()?),
        ("admin-account-disabled", calm.render()?),
        (
            "admin-invite",
            InvitePage::new(Chrome::sample("Invite someone", Section::Admin), Vec::new()).render()?,
        ),
        ("admin-invite-errors", invite.render()?),
    ])
}
