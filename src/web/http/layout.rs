//! The frame of the web app's pages. Each page is a struct that a handler fills and askama renders, with
//! escaping always on.
//!
//! A page has plain values and decides only how they look. It has no access to sessions, the database or the
//! clock; what depends on the time is computed from a `now` that is passed in.
//!
//! Pages need no JavaScript. They load one style sheet, the icons and two small scripts from the app itself, one that
//! shows times in the viewer's time zone and one that keeps a dropped file from replacing the page, and are served
//! under [`CONTENT_SECURITY_POLICY`]; the few with scripts that send requests are served under [`with_script`].

use std::sync::Arc;

use crate::brand::Brand;
use crate::id::FilePath;
use crate::viewable::ViewKind;
use crate::web::http::branding;
use crate::web::mail::stuck::StuckMail;
use crate::{assets, human};

/// Returns the strict policy for pages: scripts, styles and pictures from this origin only, and requests of
/// scripts to nowhere.
///
/// `form_targets` are the other origins to which the answer to a form may redirect. Browsers apply
/// `form-action` to the redirect, too, so the Download button needs the download service's origin here.
pub fn content_security_policy(form_targets: &[&str]) -> String {
    let mut policy = String::from(CONTENT_SECURITY_POLICY);
    for target in form_targets {
        policy.push(' ');
        policy.push_str(target);
    }
    policy
}

/// Returns the policy for a page whose scripts may send requests, to this origin only.
pub fn with_script(policy: &str) -> String {
    format!("connect-src 'self'; {policy}")
}

/// Returns the policy for a page that shows one view of this kind from `origin`.
pub fn with_view(policy: &str, kind: ViewKind, origin: &str) -> String {
    match kind {
        ViewKind::Picture => policy.replace("img-src 'self'", &format!("img-src 'self' {origin}")),
        ViewKind::Audio | ViewKind::Video => format!("media-src {origin}; {policy}"),
        ViewKind::Pdf | ViewKind::Text => format!("frame-src {origin}; {policy}"),
    }
}

/// The policy without other form targets; `form-action` is last.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

/// The frame of a page: its title, navigation and messages.
#[derive(Clone, Debug)]
pub struct Chrome {
    /// The name, logo, color and support address to show.
    pub brand: Arc<Brand>,
    /// The title of the page, without the product's name.
    pub title: String,
    /// The entry of the main navigation that the page belongs to.
    pub section: Section,
    /// The person who is logged in, if there is one.
    pub user: Option<User>,
    /// The flash message, if there is one.
    pub flash: Option<Flash>,
}

/// What every page needs to know about the person who is logged in.
#[derive(Clone, Debug)]
pub struct User {
    /// The name to show.
    pub name: String,
    /// The session's CSRF token, for the logout button (`POST /logout`, field `csrf`) and for the page's own
    /// forms.
    pub csrf: String,
    /// Their own folder, if they have one.
    pub home: Option<FilePath>,
    /// Whether the person is an administrator.
    pub admin: bool,
    /// Why mail can't be sent, for an administrator.
    pub mail_trouble: Option<String>,
}

/// An entry of the main navigation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Section {
    /// No entry.
    #[default]
    None,
    /// The files.
    Files,
    /// The person's links.
    Links,
    /// The person's file requests.
    Requests,
    /// The person's own account.
    Account,
    /// Administration.
    Admin,
}

/// A flash message about what was just done.
#[derive(Clone, Debug)]
pub struct Flash {
    /// Whether it succeeded.
    pub kind: FlashKind,
    /// What the message says.
    pub text: String,
}

/// Whether what was just done succeeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashKind {
    /// It succeeded.
    Done,
    /// It failed.
    Failed,
}

impl Default for Chrome {
    fn default() -> Chrome {
        let brand = branding::of_request();
        Chrome { brand, title: String::new(), section: Section::None, user: None, flash: None }
    }
}

impl Chrome {
    /// Returns the frame of a page for people who are not logged in.
    pub fn public(title: impl Into<String>) -> Chrome {
        Chrome { title: title.into(), ..Chrome::default() }
    }

    /// Returns the frame of a page for `user` in `section`.
    pub fn signed_in(title: impl Into<String>, section: Section, user: User) -> Chrome {
        Chrome { title: title.into(), section, user: Some(user), ..Chrome::default() }
    }

    pub(crate) fn style_url(&self) -> &'static str {
        &assets::WEB_STYLE.url
    }

    pub(crate) fn times_script_url(&self) -> &'static str {
        &assets::TIMES_SCRIPT.url
    }

    pub(crate) fn icons_url(&self) -> &'static str {
        &assets::ICONS.url
    }

    pub(crate) fn favicon_url(&self) -> &str {
        self.brand.logo.as_ref().map_or(&assets::FAVICON.url, |logo| &logo.url)
    }

    pub(crate) fn links_script_url(&self) -> &'static str {
        &assets::LINKS_SCRIPT.url
    }

    pub(crate) fn live_script_url(&self) -> &'static str {
        &assets::LIVE_SCRIPT.url
    }

    pub(crate) fn public_script_url(&self) -> &'static str {
        &assets::PUBLIC_SCRIPT.url
    }

    pub(crate) fn sending_script_url(&self) -> &'static str {
        &assets::SENDING_SCRIPT.url
    }

    pub(crate) fn guest_script_url(&self) -> &'static str {
        &assets::GUEST_SCRIPT.url
    }

    pub(crate) fn drop_script_url(&self) -> &'static str {
        &assets::DROP_SCRIPT.url
    }

    pub(crate) fn waiting_script_url(&self) -> &'static str {
        &assets::WAITING_SCRIPT.url
    }

    pub(crate) fn zip_script_url(&self) -> &'static str {
        &assets::ZIP_SCRIPT.url
    }

    pub(crate) fn sheet_script_url(&self) -> &'static str {
        &assets::SHEET_SCRIPT.url
    }

    pub(crate) fn upload_script_url(&self) -> &'static str {
        &assets::UPLOAD_SCRIPT.url
    }

    pub(crate) fn listing_style_url(&self) -> &'static str {
        &assets::LISTING_STYLE.url
    }

    pub(crate) fn sharing_style_url(&self) -> &'static str {
        &assets::SHARING_STYLE.url
    }

    pub(crate) fn quick_script_url(&self) -> &'static str {
        &assets::QUICK_SCRIPT.url
    }

    pub(crate) fn select_script_url(&self) -> &'static str {
        &assets::SELECT_SCRIPT.url
    }

    /// Returns the CSRF token for the page's own forms; empty, and so refused, when nobody is logged in.
    pub(crate) fn csrf(&self) -> &str {
        self.user.as_ref().map_or("", |user| &user.csrf)
    }

    /// Returns the person's own folder, *My files*, if they have one.
    pub(crate) fn home(&self) -> Option<&FilePath> {
        self.user.as_ref()?.home.as_ref()
    }

    pub(crate) fn sample(title: &str, section: Section) -> Chrome {
        let user = User {
            name: "Lin <script>alert(1)</script> 😀".to_owned(),
            csrf: "csrf\"'<>".to_owned(),
            home: "/home/0123456789abcdefghijkl".parse().ok(),
            admin: section == Section::Admin,
            mail_trouble: (section == Section::Admin).then(|| "Email is not being sent".to_owned()),
        };
        Chrome::signed_in(title, section, user)
    }
}

/// Returns why mail can't be sent, in one sentence.
pub fn mail_trouble(stuck: StuckMail) -> String {
    let mails = |count: u64| human::counted(count, "email");
    match stuck {
        StuckMail { is_server_down: true, waiting: 0, .. } => {
            "The mail server isn’t accepting email.".to_owned()
        }
        StuckMail { is_server_down: true, waiting, .. } => {
            format!("The mail server isn’t accepting email. {} can’t be sent.", mails(waiting))
        }
        StuckMail { waiting: 0, given_up, .. } => format!("{} could not be sent.", mails(given_up)),
        StuckMail { waiting, .. } => format!("{} can’t be sent at the moment.", mails(waiting)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_may_send_requests_to_this_origin_only() {
        let policy = with_script(&content_security_policy(&["https://dl.example"]));
        assert!(policy.starts_with("connect-src 'self'; default-src 'none'; script-src 'self';"), "{policy}");
        assert!(policy.ends_with("form-action 'self' https://dl.example"), "{policy}");
        assert!(!policy.contains("unsafe"));
        assert!(!CONTENT_SECURITY_POLICY.contains("connect-src"), "scripts of other pages send nothing");
    }

    #[test]
    fn the_policy_lets_forms_redirect_to_the_download_service() {
        let policy = content_security_policy(&["https://dl.example"]);
        assert!(policy.ends_with("form-action 'self' https://dl.example"), "{policy}");
        assert!(!policy.contains("unsafe"));
    }
}
