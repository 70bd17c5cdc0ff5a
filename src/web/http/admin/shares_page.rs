//! The page about the shares.

use askama::Template;

use crate::human;
use crate::web::http::layout::{Chrome, Section};
use crate::web::storage::{ShareRight, ShareState};

/// `GET /admin/shares`
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/shares.html")]
pub struct AdminSharesPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The shares by name.
    pub shares: Vec<ShareState>,
}

impl AdminSharesPage {
    fn may(right: &ShareRight) -> &'static str {
        match right.right {
            "read" => "may read",
            "write" => "may read and add files",
            _ => "may read, add and change files",
        }
    }

    fn size(bytes: &u64) -> String {
        human::size(*bytes)
    }

    fn used(share: &ShareState) -> String {
        let used = format!("{} in {}", human::size(share.bytes), human::counted(share.files, "file"));
        match share.quota {
            Some(quota) => {
                let percent = u128::from(share.bytes) * 100 / u128::from(quota.max(1));
                format!("{used}, {percent} % of {}", human::size(quota))
            }
            None => used,
        }
    }

    fn growth(share: &ShareState) -> Option<String> {
        let growth = share.growth?;
        let size = human::size(growth.unsigned_abs());
        Some(match growth {
            0 => "no change".to_owned(),
            1.. => format!("{size} more"),
            _ => format!("{size} less"),
        })
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let right = |who: &str, right| ShareRight { who: who.to_owned(), right };
    let books = ShareState {
        name: "books<script>".to_owned(),
        personal: false,
        rights: vec![right("everyone", "read"), right("staff", "write"), right("ada@example.org", "manage")],
        files: 1_234,
        bytes: 5_600_000_000,
        growth: Some(120_000_000),
        quota: Some(10 << 30),
        free: Some(80 << 30),
        unavailable: None,
    };
    let home = ShareState { personal: true, quota: None, growth: None, files: 1, ..books.clone() };
    let gone = ShareState {
        name: "disk".to_owned(),
        growth: Some(-5_000_000),
        free: None,
        unavailable: Some("its disk is no longer mounted".to_owned()),
        rights: Vec::new(),
        ..books.clone()
    };
    let page = AdminSharesPage {
        chrome: Chrome::sample("Shares", Section::Admin),
        shares: vec![books, gone, ShareState { name: "home".to_owned(), ..home }],
    };
    Ok(vec![("admin-shares", page.render()?)])
}
