//! The web app's pages: one struct for each, filled by a handler and rendered by askama with
//! escaping always on.
//!
//! A page holds plain values and decides only how they look. It knows no session, no database and
//! no clock: whatever depends on the time is computed from a `now` that is passed in.
//!
//! Pages need no JavaScript. They load one style sheet and the icons from the app itself and are
//! meant to be served under [`CONTENT_SECURITY_POLICY`]; the few that a script makes more
//! comfortable are served under [`with_script`].

use crate::web::mail::stuck::Stuck;
use crate::{assets, human};

/// The strict policy for pages: no script, style and pictures from this origin only.
///
/// `form_targets` are the origins, besides this one, to which the answer to a form may redirect:
/// browsers apply `form-action` to the redirect as well, so the download service's origin must be
/// there for the Download button to work.
pub fn content_security_policy(form_targets: &[&str]) -> String {
    let mut policy = String::from(CONTENT_SECURITY_POLICY);
    for target in form_targets {
        policy.push(' ');
        policy.push_str(target);
    }
    policy
}

/// The policy for a page with a script: one that this origin serves, which may ask this origin only.
pub fn with_script(policy: &str) -> String {
    format!("script-src 'self'; connect-src 'self'; {policy}")
}

/// The policy without any further form target; `form-action` stands last.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; \
     base-uri 'none'; frame-ancestors 'none'; form-action 'self'";

/// What surrounds every page.
#[derive(Clone, Debug, Default)]
pub struct Chrome {
    /// Title of the page, without the product's name.
    pub title: String,
    /// Which entry of the main navigation this page belongs to.
    pub section: Section,
    /// Who is logged in, if anybody.
    pub user: Option<User>,
    /// A message about what was just done, shown once.
    pub flash: Option<Flash>,
}

/// Who is logged in, as far as every page needs it.
#[derive(Clone, Debug)]
pub struct User {
    /// The name to show.
    pub name: String,
    /// The session's CSRF token, for the log-out button (`POST /logout`, field `csrf`) and for the
    /// page's own forms.
    pub csrf: String,
    /// Whether the person may administer.
    pub admin: bool,
    /// What keeps mail from leaving, for somebody who may administer.
    pub mail_trouble: Option<String>,
}

/// An entry of the main navigation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Section {
    /// None of them.
    #[default]
    None,
    /// Browsing files.
    Files,
    /// The person's links.
    Links,
    /// The person's own account.
    Account,
    /// Administration.
    Admin,
}

/// A message about what was just done.
#[derive(Clone, Debug)]
pub struct Flash {
    /// Whether it went well.
    pub kind: FlashKind,
    /// One sentence.
    pub text: String,
}

/// Whether what was just done went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlashKind {
    /// It is done.
    Done,
    /// It is not, and somebody should know.
    Failed,
}

impl Chrome {
    /// A page for nobody in particular.
    pub fn public(title: impl Into<String>) -> Chrome {
        Chrome { title: title.into(), ..Chrome::default() }
    }

    /// A page for `user` in `section`.
    pub fn signed_in(title: impl Into<String>, section: Section, user: User) -> Chrome {
        Chrome { title: title.into(), section, user: Some(user), flash: None }
    }

    pub(crate) fn style_url(&self) -> &'static str {
        &assets::WEB_STYLE.url
    }

    pub(crate) fn icons_url(&self) -> &'static str {
        &assets::ICONS.url
    }

    pub(crate) fn favicon_url(&self) -> &'static str {
        &assets::FAVICON.url
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

    pub(crate) fn drop_script_url(&self) -> &'static str {
        &assets::DROP_SCRIPT.url
    }

    pub(crate) fn upload_script_url(&self) -> &'static str {
        &assets::UPLOAD_SCRIPT.url
    }

    /// The CSRF token for the page's own forms; empty, and so refused, when nobody is logged in.
    pub(crate) fn csrf(&self) -> &str {
        self.user.as_ref().map_or("", |user| &user.csrf)
    }

    pub(crate) fn sample(title: &str, section: Section) -> Chrome {
        let user = User {
            name: "Lin <script>alert(1)</script> 😀".to_owned(),
            csrf: "csrf\"'<>".to_owned(),
            admin: section == Section::Admin,
            mail_trouble: (section == Section::Admin).then(|| "Email is not being sent".to_owned()),
        };
        Chrome::signed_in(title, section, user)
    }
}

/// What keeps mail from leaving, in one sentence.
pub fn mail_trouble(stuck: Stuck) -> String {
    let mails = |count: u64| human::counted(count, "email");
    match stuck {
        Stuck { is_server_down: true, waiting: 0, .. } => "The mail server isn’t taking email.".to_owned(),
        Stuck { is_server_down: true, waiting, .. } => {
            format!("The mail server isn’t taking email. {} can’t be sent.", mails(waiting))
        }
        Stuck { waiting: 0, given_up, .. } => format!("{} could not be sent.", mails(given_up)),
        Stuck { waiting, .. } => format!("{} can’t be sent at the moment.", mails(waiting)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_allowed_to_speak_to_this_origin_only() {
        let policy = with_script(&content_security_policy(&["https://dl.example"]));
        assert!(policy.contains("script-src 'self'; connect-src 'self'; default-src 'none'"), "{policy}");
        assert!(policy.ends_with("form-action 'self' https://dl.example"), "{policy}");
        assert!(!policy.contains("unsafe"));
        assert!(!CONTENT_SECURITY_POLICY.contains("script"), "all else stays without");
    }

    #[test]
    fn the_policy_lets_forms_lead_to_the_download_service() {
        let policy = content_security_policy(&["https://dl.example"]);
        assert!(policy.ends_with("form-action 'self' https://dl.example"), "{policy}");
        assert!(!policy.contains("unsafe"));
    }
}
