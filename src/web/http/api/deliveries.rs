//! `/links/{id}/deliveries`: what was downloaded through a link.

use actix_web::HttpResponse;
use actix_web::web::Path;
use serde::Serialize;
use utoipa::ToSchema;

use crate::receipt::DeliveryState;
use crate::web::deliveries::history::DeliveryHistory;
use crate::web::http::api::links::find_link;
use crate::web::http::api::list::List;
use crate::web::http::api::respond::json;
use crate::web::http::api::time::Time;
use crate::web::http::error::WebError;
use crate::web::http::program::{LinksScope, Program};
use crate::web::http::respond::AppData;

/// A delivery: one use of a link, and how much of its file was sent.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryView {
    /// The id of its token.
    #[schema(example = "Fk3X9vYbQ0mU5n1rT7cWzA")]
    jti: String,
    /// The recipient's email address; `null` for anyone who has the link.
    email: Option<String>,
    /// The path of the file; `null` for a ZIP file, or if it isn't known.
    #[schema(example = "/books/report.pdf")]
    file: Option<String>,
    /// Whether all files were downloaded as one ZIP file.
    zip: bool,
    /// `running`, `interrupted`, `complete` or `ended`: the file is incomplete, and nothing more will be sent.
    #[schema(example = "complete")]
    state: &'static str,
    /// The size of the file in bytes.
    size: u64,
    /// How many different bytes of it were sent.
    bytes: u64,
    /// When it was redeemed.
    redeemed_at: Time,
    /// When the first byte was sent.
    started_at: Option<Time>,
    /// When the most recent byte was sent.
    last_at: Time,
    /// How often the client resumed.
    resumed: u32,
    /// The client's address, as far as it is recorded.
    #[schema(example = "192.0.2.0/24")]
    address: String,
}

impl From<DeliveryHistory> for DeliveryView {
    fn from(delivery: DeliveryHistory) -> DeliveryView {
        DeliveryView {
            jti: delivery.jti,
            email: delivery.email,
            file: delivery.file,
            zip: delivery.zip,
            state: match delivery.state {
                DeliveryState::Running => "running",
                DeliveryState::Interrupted => "interrupted",
                DeliveryState::Complete => "complete",
                DeliveryState::Ended => "ended",
            },
            size: delivery.size,
            bytes: delivery.bytes,
            redeemed_at: delivery.redeemed_at.into(),
            started_at: delivery.started_at.map(Time),
            last_at: delivery.last_at.into(),
            resumed: delivery.resumed,
            address: delivery.address,
        }
    }
}

/// List the deliveries of a link
///
/// The newest 500, the newest first.
#[utoipa::path(get, path = "/links/{id}/deliveries", tag = "links", operation_id = "listDeliveries",
    params(("id" = String, Path, description = "The link's id")),
    responses((status = 200, body = List<DeliveryView>)), security(("key" = ["links"])))]
pub(crate) async fn list(
    app: AppData,
    program: Program<LinksScope>,
    id: Path<String>,
) -> Result<HttpResponse, WebError> {
    let link = find_link(&app, &program, &id).await?;
    let history = app.deliveries.of_link(&program.account().id, &link.id).await?.unwrap_or_default();
    json(&List { items: history.deliveries.into_iter().map(DeliveryView::from).collect(), next: None })
}
