//! A sample of every page, to look at and to test.

use crate::web::http::account::{
    action_link_page, activate_page, address_page, login_page, profile_page, reset_page, sessions_page,
    signup_page, unsent_page, unsubscribe_page,
};
use crate::web::http::admin::{accounts_page, audit_page, mail_page};
use crate::web::http::files::{browse_page, edit_page, move_page, selected_page, trash_page, upload_page};
use crate::web::http::links::{my_links_page, new_link_page, one_link_page, public_link_page};
use crate::web::http::problem::{closed_link_page, refusal_page, signup_closed_page};

/// Returns a rendered sample of every page under a name that is also a file name.
///
/// # Errors
/// When a template fails to render.
pub fn samples() -> Result<Vec<(String, String)>, askama::Error> {
    let pages = [
        login_page::samples()?,
        activate_page::samples()?,
        address_page::samples()?,
        accounts_page::samples()?,
        mail_page::samples()?,
        audit_page::samples()?,
        browse_page::samples()?,
        new_link_page::samples()?,
        action_link_page::samples()?,
        edit_page::samples()?,
        move_page::samples()?,
        selected_page::samples()?,
        trash_page::samples()?,
        my_links_page::samples()?,
        one_link_page::samples()?,
        profile_page::samples()?,
        closed_link_page::samples()?,
        public_link_page::samples()?,
        reset_page::samples()?,
        sessions_page::samples()?,
        signup_page::samples()?,
        signup_closed_page::samples()?,
        unsent_page::samples()?,
        unsubscribe_page::samples()?,
        upload_page::samples()?,
        refusal_page::samples()?,
    ];
    Ok(pages.into_iter().flatten().map(|(name, html)| (name.to_owned(), html)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::assets;

    #[test]
    fn every_page_renders_and_escapes_hostile_values() {
        let pages = samples().unwrap();
        assert!(pages.len() > 50, "the list of samples lost pages");
        for (name, html) in pages {
            assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"), "{name}: doctype or language");
            assert_eq!(html.matches("<h1").count(), 1, "{name}: exactly one h1");
            assert_eq!(html.matches("<title>").count(), 1, "{name}: one title");
            assert!(!html.contains("<title> "), "{name}: empty title");
            assert_eq!(html.matches("<main").count(), 1, "{name}: one main landmark");
            let lower = without_own_script(&html).to_lowercase();
            for forbidden in ["<script", "<img", " onerror=\"", "javascript:", "style=\"", "<style"] {
                assert!(!lower.contains(forbidden), "{name}: has {forbidden}");
            }
            assert!(!html.contains('\u{202e}'), "{name}: a name turns the text around");
            let mut ids: Vec<_> =
                html.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
            ids.sort_unstable();
            let count = ids.len();
            ids.dedup();
            assert_eq!(ids.len(), count, "{name}: an id twice");
            let is_post =
                |form: &&str| form.split('>').next().is_some_and(|tag| tag.contains("method=\"post\""));
            for form in html.split("<form").skip(1).filter(is_post) {
                let form = form.split("</form>").next().unwrap();
                // The form that mail programs send without a page needs no token.
                let is_ours = form.contains("name=\"csrf\"") || form.contains("name=\"List-Unsubscribe\"");
                assert!(is_ours, "{name}: a form without CSRF token");
            }
        }
    }

    /// Removes the empty elements that load a script of ours.
    fn without_own_script(html: &str) -> String {
        let own = [
            &assets::DROP_SCRIPT,
            &assets::SELECT_SCRIPT,
            &assets::UPLOAD_SCRIPT,
            &assets::LINKS_SCRIPT,
            &assets::LIVE_SCRIPT,
            &assets::PUBLIC_SCRIPT,
        ];
        own.iter().fold(html.to_owned(), |html, script| {
            html.replace(&format!("<script src=\"{}\" defer></script>", script.url), "")
        })
    }
}
