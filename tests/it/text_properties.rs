//! Properties of all texts that are parsed as a local path or as a list of recipients.

use oncelink::web::http::local_path::LocalPath;
use oncelink::web::identity::Email;
use oncelink::web::identity::address::deliverable;
use oncelink::web::links::recipients::{self, RECIPIENTS_MAX};
use proptest::prelude::*;
use url::Url;

/// Addresses that a browser might take for those of another site, and other text.
fn places() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "/",
        "//",
        "\\",
        "\t",
        "\n",
        "\r",
        "\0",
        " ",
        ".",
        "..",
        "@",
        ":",
        "?",
        "#",
        "%2f",
        "%5c",
        "%09",
        "evil.example",
        "https:",
        "javascript:",
        "files",
        "我",
        "\u{3000}",
        "\u{a0}",
        "\u{2028}",
        "／",
        "＼",
        "．",
    ]);
    let parts = prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat());
    prop_oneof![4 => parts.clone(), 2 => parts.prop_map(|rest| format!("/{rest}")), 1 => any::<String>()]
}

/// Lists as people and programs write them, with mistakes.
fn lists() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "a@x.org",
        "B@x.org",
        "müller@bücher.example",
        "<c@x.org>",
        "mailto:d%40x.org?subject=x",
        "Ann",
        "\"",
        "\\",
        "(",
        ")",
        "<",
        ">",
        ",",
        ";",
        "，",
        ":",
        "\t",
        " ",
        "\n",
        "\r\n",
        "\u{200b}",
        "\u{202e}",
        "@",
        ".",
        "Team:",
        "'",
        "\0",
    ]);
    let parts = prop::collection::vec(part, 0..24).prop_map(|parts| parts.concat());
    prop_oneof![6 => parts, 1 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_browser_that_follows_a_local_path_stays_on_this_site(text in places()) {
        let here = Url::parse("https://files.example/login").unwrap();
        let Some(path) = LocalPath::parse(&text) else { return Ok(()) };
        prop_assert!(path.as_str().bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", path);
        let there = here.join(path.as_str()).unwrap();
        prop_assert_eq!(there.origin(), here.origin(), "{:?}", path);
        prop_assert!(there.username().is_empty() && there.password().is_none());
        prop_assert_eq!(LocalPath::parse(path.as_str()), Some(path), "our pages can use it again");
    }

    #[test]
    fn every_path_of_our_pages_is_a_local_path(path in "[a-zA-Z0-9._~%-]{1,20}(/[a-zA-Z0-9._~%-]{0,20}){0,4}", query in "(\\?[a-z]=[a-z0-9%/]{0,8})?") {
        let text = format!("/{path}{query}");
        let place = LocalPath::parse(&text);
        prop_assert_eq!(place.as_ref().map(LocalPath::as_str), Some(text.as_str()));
    }

    #[test]
    fn everyone_in_a_list_can_receive_mail_and_appears_once(list in lists()) {
        match recipients::parse(&list) {
            Ok(emails) => {
                prop_assert!(emails.len() <= RECIPIENTS_MAX);
                let mut keys: Vec<&str> = emails.iter().map(Email::key).collect();
                keys.sort_unstable();
                keys.dedup();
                prop_assert_eq!(keys.len(), emails.len());
                for email in &emails {
                    prop_assert!(deliverable(email.as_str()).is_ok(), "{}", email);
                }
                let rewritten: Vec<&str> = emails.iter().map(Email::as_str).collect();
                prop_assert_eq!(recipients::parse(&rewritten.join("\n")), Ok(emails.clone()));
            }
            Err(sentences) => {
                prop_assert!(!sentences.is_empty());
                prop_assert!(sentences.iter().all(|sentence| !sentence.contains(char::is_control)), "{:?}", sentences);
            }
        }
    }

    #[test]
    fn nothing_on_one_line_hides_a_recipient_on_another(before in lists(), after in lists()) {
        let whole = recipients::parse(&format!("{before}\nnext@example.org\n{after}"));
        match (recipients::parse(&before), recipients::parse(&after)) {
            (Ok(before), Ok(after)) => {
                let whole = whole.unwrap();
                let is_there = |email: &Email| whole.iter().any(|other| other.key() == email.key());
                prop_assert!(before.iter().chain(&after).all(is_there));
                prop_assert!(is_there(&"next@example.org".parse().unwrap()));
            }
            _ => prop_assert!(whole.is_err(), "an unreadable entry is never skipped"),
        }
    }
}
