//! `/admin/nodes`: the download services and their keys, as in `oncelink nodes`.

use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::web::audit::Actor;
use crate::web::deliveries::overview::{ListedNode, NodeState, ReportingProcess};
use crate::web::http::admin::administrator::{AdminForm, Administrator};
use crate::web::http::admin::nodes_page::{NodeKeyPage, NodeRow, NodesPage, ProcessRow};
use crate::web::http::error::WebError;
use crate::web::http::extract::SignedIn;
use crate::web::http::flash::FlashMessage;
use crate::web::http::layout::Section;
use crate::web::http::respond::{
    AppData, html, html_with_flash, redirect_with_flash, see_other, unprocessable,
};
use crate::web::nodes::keys::NodeError;
use crate::web::nodes::monitor::Verdicts;

const PAGE: &str = "/admin/nodes";

/// `GET /admin/nodes`
pub(crate) async fn list(
    app: AppData,
    request: HttpRequest,
    administrator: Administrator,
) -> Result<HttpResponse, WebError> {
    let mut page = page_of(&app, &administrator.who).await?;
    html_with_flash(&app, &request, |flash| {
        page.chrome.flash = flash;
        page
    })
}

async fn page_of(app: &AppData, who: &SignedIn) -> Result<NodesPage, WebError> {
    let services = &app.services;
    let now = services.clock.now();
    let waiting = services.issued.revocations.waiting().await?;
    let listed = app.deliveries.overview(&services.nodes, &waiting).await?;
    let verdicts = app.nodes.verdicts(&services.nodes, &services.issuer, now).await?;
    let has_keys = services.nodes.are_listed();
    Ok(NodesPage {
        chrome: who.form_chrome("Download services", Section::Admin),
        rows: listed.into_iter().map(|node| row(node, &verdicts, has_keys, now)).collect(),
        has_keys,
        error: None,
    })
}

fn row(node: ListedNode, verdicts: &Verdicts, has_keys: bool, now: Timestamp) -> NodeRow {
    let (is_ready, state) = match (node.state, verdicts.get(&node.name)) {
        (NodeState::Removed, _) => (false, "removed".to_owned()),
        (NodeState::NotInSettings, _) => (false, "not in the settings, gets no tokens".to_owned()),
        (NodeState::NoKey, _) => (false, "has no key, gets no tokens".to_owned()),
        (NodeState::Active, Some(Some(trouble))) => (false, format!("{trouble}, gets no tokens")),
        (NodeState::Active, _) if node.weight == Some(0) => {
            (true, "ready, weight 0: gets no new tokens".to_owned())
        }
        (NodeState::Active, Some(None)) => (true, "ready".to_owned()),
        (NodeState::Active, None) => (true, "runs in this process".to_owned()),
    };
    let is_keyed = has_keys && matches!(node.state, NodeState::Active | NodeState::NotInSettings);
    let process = |process: ReportingProcess| ProcessRow {
        can_remove: process.removed_at.is_none() && process.name != node.public_url,
        name: process.name,
        seen_at: process.seen_at,
        removed_at: process.removed_at,
    };
    NodeRow {
        can_add: has_keys
            && node.inner_url.is_some()
            && matches!(node.state, NodeState::NoKey | NodeState::Removed),
        can_rekey: is_keyed && node.inner_url.is_some(),
        can_remove: is_keyed,
        key_age: node.key_made_at.map(|made_at| now.secs().saturating_sub(made_at.secs())),
        last_report: node
            .processes
            .iter()
            .filter(|one| one.removed_at.is_none())
            .map(|one| one.seen_at)
            .max(),
        processes: node.processes.into_iter().map(process).collect(),
        name: node.name,
        public_url: node.public_url,
        inner_url: node.inner_url,
        weight: node.weight,
        is_ready,
        state,
        waiting: node.waiting.unsigned_abs(),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeForm {
    name: String,
}

/// `POST /admin/nodes/add`: gives a node its key, which only the answer shows.
pub(crate) async fn add(app: AppData, form: AdminForm<NodeForm>) -> Result<HttpResponse, WebError> {
    make_key(app, form, false).await
}

/// `POST /admin/nodes/rekey`: gives a node another key.
pub(crate) async fn rekey(app: AppData, form: AdminForm<NodeForm>) -> Result<HttpResponse, WebError> {
    make_key(app, form, true).await
}

async fn make_key(
    app: AppData,
    form: AdminForm<NodeForm>,
    is_replaced: bool,
) -> Result<HttpResponse, WebError> {
    let AdminForm { who, actor, fields, sent } = form;
    let once = app.sent_forms.begin(sent).await?;
    // A reloaded answer must not replace the key that was just saved somewhere.
    if once.before().is_some() {
        return redirect_with_flash(&app, PAGE, FlashMessage::NodeKeyShown);
    }
    let now = app.services.clock.now();
    let key = match key_for(&app, &fields.name, &actor, is_replaced, now).await {
        Ok(key) => key,
        Err(error) => return refused(&app, &who, error).await,
    };
    once.done(PAGE, "", now).await?;
    html(&NodeKeyPage {
        chrome: who.chrome("Key of a download service", Section::Admin),
        name: fields.name,
        key: key.reveal().to_owned(),
        is_replaced,
    })
}

async fn key_for(
    app: &AppData,
    name: &str,
    actor: &Actor,
    is_replaced: bool,
    now: Timestamp,
) -> Result<Secret, NodeError> {
    let nodes = &app.services.nodes;
    if is_replaced { nodes.rekey(name, actor, now).await } else { nodes.add(name, actor, now).await }
}

/// `POST /admin/nodes/remove`
pub(crate) async fn remove(app: AppData, form: AdminForm<NodeForm>) -> Result<HttpResponse, WebError> {
    let AdminForm { who, actor, fields, .. } = form;
    let services = &app.services;
    let now = services.clock.now();
    match app.deliveries.remove_node(&services.nodes, &fields.name, &actor, now).await {
        Ok(released) => {
            tracing::info!(account = %who.account().id, node = fields.name, released, "a node was removed");
            redirect_with_flash(&app, PAGE, FlashMessage::NodeRemoved)
        }
        // Sent twice.
        Err(NodeError::NotThere(_)) => Ok(see_other(PAGE)),
        Err(error) => refused(&app, &who, error).await,
    }
}

/// Shows the list with what is wrong, for example because somebody else was faster.
async fn refused(app: &AppData, who: &SignedIn, error: NodeError) -> Result<HttpResponse, WebError> {
    let why = match error {
        NodeError::Query(error) => return Err(error.into()),
        NodeError::Random(error) => return Err(error.into()),
        NodeError::Unknown(_) => {
            "There is no such download service in the settings. Add a [[node]] there first."
        }
        NodeError::HasKey(_) => "This download service has a key already. To replace it, choose New key.",
        NodeError::HasNoKey(_) => "This download service has no key. Choose Create key.",
        NodeError::NotThere(_) => "There is no such download service.",
    };
    let page = page_of(app, who).await?;
    unprocessable(&NodesPage { error: Some(why), ..page })
}
