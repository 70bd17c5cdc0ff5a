//! Checks whether a download service can serve now, before a continuation is issued. Only the download
//! service that began a download can continue it, so a continuation is not issued while that service can't
//! serve.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;

use crate::clock::Timestamp;
use crate::config::NodeSettings;
use crate::web::db::QueryError;
use crate::web::nodes::over_http::{HttpNode, NodeTrouble};
use crate::web::nodes::registry::Nodes;
use crate::web::tokens::issuer::Issuer;

/// A download service in the same process, which can be asked directly.
#[async_trait]
pub trait ReadinessProbe: Send + Sync {
    /// Whether it can serve now.
    async fn is_ready(&self) -> bool;
}

/// Asks a download service whether it is ready.
#[derive(Default)]
pub struct NodeReadiness {
    in_process: OnceLock<Arc<dyn ReadinessProbe>>,
}

impl NodeReadiness {
    /// Sets how the download service in this process is asked. Only the first call has an effect.
    pub fn set_in_process(&self, node: Arc<dyn ReadinessProbe>) {
        let _only_the_first_counts = self.in_process.set(node);
    }

    /// Whether the download service with this audience can serve now. If it doesn't respond, the result is
    /// false.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of(
        &self,
        audience: &str,
        nodes: &Nodes,
        issuer: &Issuer,
        now: Timestamp,
    ) -> Result<bool, QueryError> {
        let active = nodes.active().await?;
        let Some(node) = active.into_iter().find(|node| node.public_url == audience) else {
            return Ok(false);
        };
        Ok(self.ask(node, nodes, issuer, now).await?.is_ok())
    }

    /// Asks a node whether it can serve now.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn ask(
        &self,
        node: &NodeSettings,
        nodes: &Nodes,
        issuer: &Issuer,
        now: Timestamp,
    ) -> Result<Result<(), NodeTrouble>, QueryError> {
        if let Some(here) = self.in_process.get().filter(|_| nodes.runs_here(node)) {
            return Ok(if here.is_ready().await { Ok(()) } else { Err(NodeTrouble::NotReady) });
        }
        let key = nodes.key_of(node).await?;
        Ok(HttpNode::ask_at(node, issuer, key.as_ref(), now).await)
    }
}
