//! The page about the downloads of everybody's links.

use askama::Template;

use crate::human;
use crate::web::deliveries::everybody::OwnedDelivery;
use crate::web::http::deliveries_part::DeliveriesPart;
use crate::web::http::layout::{Chrome, Section};

/// `GET /admin/deliveries`
#[derive(Clone, Debug, Template)]
#[template(path = "web/admin/deliveries.html")]
pub struct AdminDeliveriesPage {
    /// The frame of the page.
    pub chrome: Chrome,
    /// The id of a link or of a token, or empty for all.
    pub query: String,
    /// The deliveries of this page.
    pub rows: Vec<OwnedDelivery>,
    /// The addresses of the newest and of the next page.
    pub neighbors: (Option<String>, Option<String>),
}

impl AdminDeliveriesPage {
    /// Returns whose link it was, to whom it went and how large it is.
    fn about(row: &OwnedDelivery) -> String {
        let delivery = &row.delivery;
        let whose = row.owner.as_deref().unwrap_or("a deleted link");
        let recipient = delivery.email.as_deref().map(|email| format!(", for {email}")).unwrap_or_default();
        let client = match delivery.address.as_str() {
            "" => String::new(),
            address => format!(", to {address}"),
        };
        format!("{whose}{recipient}{client}, {}", human::size(delivery.size))
    }
}

pub(crate) fn samples() -> Result<Vec<(&'static str, String)>, askama::Error> {
    let rows = DeliveriesPart::sample().deliveries.deliveries.into_iter().map(|delivery| OwnedDelivery {
        link: "0123456789abcdefghijkl".to_owned(),
        title: (delivery.bytes > 0).then(|| "Report <script>".to_owned()),
        owner: (delivery.bytes > 0).then(|| "lin@example.org\"><script>".to_owned()),
        node: "download".to_owned(),
        delivery,
    });
    let page = AdminDeliveriesPage {
        chrome: Chrome::sample("Downloads", Section::Admin),
        query: "\"><script>".to_owned(),
        rows: rows.collect(),
        neighbors: (None, Some("/admin/deliveries?q=&after=1.a".to_owned())),
    };
    let none = AdminDeliveriesPage { rows: Vec::new(), neighbors: (None, None), ..page.clone() };
    Ok(vec![("admin-deliveries", page.render()?), ("admin-deliveries-none", none.render()?)])
}
