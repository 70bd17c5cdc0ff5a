//! Links that people make in tests.

use super::web::{Answer, Browser};

/// The form's fields: the title `Report`, one download, no expiry date, no recipient.
const FIELDS: [(&str, &str); 8] = [
    ("files", "/open/file.txt"),
    ("title", "Report"),
    ("note", ""),
    ("uses", "1"),
    ("ends", ""),
    ("password", ""),
    ("notify", "never"),
    ("recipients", ""),
];

/// The usual fields, with `changed` replacing or extending them.
pub(crate) fn fields<'f>(changed: &[(&'f str, &'f str)]) -> Vec<(&'f str, &'f str)> {
    let usual = FIELDS.into_iter().filter(|(name, _)| !changed.iter().any(|(other, _)| other == name));
    usual.chain(changed.iter().copied()).collect()
}

/// Submits the form.
pub(crate) async fn send(browser: &mut Browser, changed: &[(&str, &str)]) -> Answer {
    browser.fill("/account", "/links", &fields(changed)).await
}

/// A link that was made.
#[derive(Debug)]
pub(crate) struct Made {
    /// The address of its owner's page.
    pub(crate) page: String,
    /// Its recipients' addresses without the host, in order.
    pub(crate) public: Vec<String>,
}

/// Makes a link and reads its addresses from its page.
pub(crate) async fn make(browser: &mut Browser, changed: &[(&str, &str)]) -> Made {
    let answer = send(browser, changed).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    let page = answer.location.unwrap();
    let (mut public, mut number) = (Vec::new(), 1);
    loop {
        let body = browser.get(&format!("{page}?page={number}")).await.body;
        public.extend(body.split("data-copy=\"").skip(1).map(|rest| {
            let address = rest.split('"').next().unwrap();
            address[address.find("/l/").unwrap()..].to_owned()
        }));
        assert!(!public.is_empty(), "{body}");
        if !body.contains("rel=\"next\"") {
            break;
        }
        number += 1;
    }
    Made { page, public }
}
