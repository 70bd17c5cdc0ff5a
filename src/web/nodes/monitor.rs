//! The health of the nodes. They are asked on demand, at most every two seconds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Timestamp;
use crate::config::NodeSettings;
use crate::web::db::QueryError;
use crate::web::nodes::over_http::{HttpNode, NodeTrouble};
use crate::web::nodes::registry::Nodes;
use crate::web::tokens::issuer::Issuer;

/// How old a result may be.
const TRUSTED_FOR: Duration = Duration::from_secs(2);

/// Reports what is wrong with which nodes, in words that anyone may read. Clones share their state.
#[derive(Clone, Default)]
pub struct NodeMonitor(Arc<Shared>);

#[derive(Default)]
struct Shared {
    last: Mutex<Option<(Instant, Vec<String>)>>,
    /// Held while the nodes are asked, so that many simultaneous requests cause only one check.
    asking: tokio::sync::Mutex<()>,
}

impl NodeMonitor {
    /// Returns the problems of all nodes, one sentence each.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn troubles(
        &self,
        nodes: &Nodes,
        issuer: &Issuer,
        now: Timestamp,
    ) -> Result<Vec<String>, QueryError> {
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let _asking = self.0.asking.lock().await;
        if let Some(known) = self.known() {
            return Ok(known);
        }
        let mut troubles = Vec::new();
        for (node, found) in ask_all(nodes, issuer, now).await? {
            if let Err(trouble) = found {
                tracing::debug!(
                    node = node.name,
                    cause = crate::telemetry::chain(&trouble),
                    "a node has a problem"
                );
                troubles.push(format!("the download service `{}` {}", node.name, trouble.sentence()));
            }
        }
        if nodes.choose().await?.is_none() {
            troubles.push("no download service can accept new downloads".to_owned());
        }
        let last = Some((Instant::now(), troubles.clone()));
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
        Ok(troubles)
    }

    fn known(&self) -> Option<Vec<String>> {
        let last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().filter(|(at, _)| at.elapsed() < TRUSTED_FOR).map(|(_, troubles)| troubles.clone())
    }
}

/// Asks every active node that runs in another process, all in parallel.
///
/// # Errors
/// When the database fails.
pub async fn ask_all<'n>(
    nodes: &'n Nodes,
    issuer: &Issuer,
    now: Timestamp,
) -> Result<Vec<(&'n NodeSettings, Result<(), NodeTrouble>)>, QueryError> {
    let mut questions = Vec::new();
    for node in nodes.active().await?.into_iter().filter(|node| !nodes.runs_here(node)) {
        let key = nodes.key_of(node).await?;
        questions.push(async move {
            let way = HttpNode::new(issuer.for_audience(&node.public_url), &node.inner_url);
            let asked = match way {
                Ok(way) => way.ask(key.as_ref(), now).await,
                Err(error) => Err(NodeTrouble::Unreachable(error)),
            };
            (node, asked)
        });
    }
    Ok(futures_util::future::join_all(questions).await)
}
