//! A sample of every page, to look at and to test.

use crate::web::http::account::{
    action_link_page, activate_page, address_page, api_keys_page, login_code_page, login_page, profile_page,
    reset_page, second_factor_page, sessions_page, signup_page, unsent_page, unsubscribe_page, webhooks_page,
};
use crate::web::http::admin::{
    accounts_page, audit_page, deliveries_page, keys_page, links_page, mail_page, nodes_page, settings_page,
    shares_page as admin_shares_page,
};
use crate::web::http::api::docs_page as api_docs_page;
use crate::web::http::files::{
    edit_page, folder_page, move_page, search_page, selected_page, shares_page, trash_page, upload_page,
    zip_page,
};
use crate::web::http::landing;
use crate::web::http::links::{
    add_recipients_page, duplicate_page, my_links_page, new_link_page, one_link_page, public_link_page,
    remove_recipient_page, uploading_page,
};
use crate::web::http::problem::{closed_link_page, closed_request_page, refusal_page, signup_closed_page};
use crate::web::http::requests::{
    guest_form_page, my_requests_page, new_request_page, one_request_page, public_request_page,
};
use crate::web::http::view_page;

/// Returns a rendered sample of every page under a name that is also a file name.
///
/// # Errors
/// When a template fails to render.
pub fn samples() -> Result<Vec<(String, String)>, askama::Error> {
    let pages = [
        landing::samples()?,
        login_page::samples()?,
        login_code_page::samples()?,
        second_factor_page::samples()?,
        api_keys_page::samples()?,
        api_docs_page::samples()?,
        activate_page::samples()?,
        address_page::samples()?,
        accounts_page::samples()?,
        mail_page::samples()?,
        nodes_page::samples()?,
        audit_page::samples()?,
        links_page::samples()?,
        deliveries_page::samples()?,
        keys_page::samples()?,
        settings_page::samples()?,
        admin_shares_page::samples()?,
        shares_page::samples()?,
        search_page::samples()?,
        folder_page::samples()?,
        new_link_page::samples()?,
        action_link_page::samples()?,
        edit_page::samples()?,
        move_page::samples()?,
        selected_page::samples()?,
        trash_page::samples()?,
        my_links_page::samples()?,
        one_link_page::samples()?,
        add_recipients_page::samples()?,
        remove_recipient_page::samples()?,
        duplicate_page::samples()?,
        profile_page::samples()?,
        closed_link_page::samples()?,
        closed_request_page::samples()?,
        guest_form_page::samples()?,
        my_requests_page::samples()?,
        new_request_page::samples()?,
        one_request_page::samples()?,
        public_request_page::samples()?,
        public_link_page::samples()?,
        uploading_page::samples()?,
        reset_page::samples()?,
        sessions_page::samples()?,
        signup_page::samples()?,
        signup_closed_page::samples()?,
        unsent_page::samples()?,
        unsubscribe_page::samples()?,
        webhooks_page::samples()?,
        upload_page::samples()?,
        zip_page::samples()?,
        view_page::samples()?,
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
            every_time_is_in_the_one_format(&name, &html);
            // The picture of a view, which comes from the download service.
            let html = html.replace("<img id=\"view\" ", "<view ");
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

    /// No page shows two formats: every moment is in UTC and says so, and the script shows it in the viewer's
    /// time zone.
    fn every_time_is_in_the_one_format(name: &str, html: &str) {
        for element in html.split("<time").skip(1) {
            let (tag, rest) = element.split_once('>').unwrap();
            let text = rest.split_once("</time>").unwrap().0;
            assert!(tag.contains("datetime=\"") && tag.contains("Z\""), "{name}: <time{tag}>");
            let words: Vec<&str> = text.split(' ').collect();
            let is_right = matches!(words[..], [day, month, year, time, "UTC"]
                if day.parse::<u8>().is_ok() && month.len() == 3 && year.len() == 5 && time.len() == 5);
            assert!(is_right, "{name}: {text} is not like 22 Nov 2026, 08:14 UTC");
        }
    }

    /// Removes the empty elements that load a script of ours.
    fn without_own_script(html: &str) -> String {
        let own = [
            &assets::TIMES_SCRIPT,
            &assets::DROP_SCRIPT,
            &assets::SELECT_SCRIPT,
            &assets::SENDING_SCRIPT,
            &assets::QUICK_SCRIPT,
            &assets::UPLOAD_SCRIPT,
            &assets::ZIP_SCRIPT,
            &assets::LINKS_SCRIPT,
            &assets::LIVE_SCRIPT,
            &assets::PUBLIC_SCRIPT,
            &assets::WAITING_SCRIPT,
            &assets::SHEET_SCRIPT,
            &assets::GUEST_SCRIPT,
        ];
        own.iter().fold(html.to_owned(), |html, script| {
            html.replace(&format!("<script src=\"{}\" defer></script>", script.url), "")
        })
    }
}
