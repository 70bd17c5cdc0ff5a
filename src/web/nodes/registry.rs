//! The download services in the settings, and which of them may be given tokens.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::NodeSettings;
use crate::secret::{Digest, Secret};
use crate::web::db::columns::digest_to_column;
use crate::web::db::{Database, QueryError};
use crate::web::nodes::key_rows;
use crate::web::nodes::node_key::NodeKey;

/// The download services. Clones share their state.
#[derive(Clone)]
pub struct Nodes {
    pub(super) db: Database,
    services: Arc<[NodeSettings]>,
    /// Whether the settings list nodes; otherwise there is only the download service of `[download]`, which
    /// needs no key in the database.
    pub(super) listed: bool,
    /// The public address of the download service that this machine's settings describe.
    own: Arc<str>,
    /// The key of the download service of `[download]`.
    own_key: Arc<OnceLock<NodeKey>>,
    /// Whether that download service runs in this process, so that it needs no key.
    is_here: Arc<AtomicBool>,
}

impl Nodes {
    /// Creates the registry of these download services, with their keys in `db`. `listed` says whether the
    /// settings list them. `own` is the public address of the download service in this machine's settings.
    pub fn new(services: Vec<NodeSettings>, listed: bool, own: &str, db: Database) -> Nodes {
        Nodes {
            db,
            services: services.into(),
            listed,
            own: own.into(),
            own_key: Arc::default(),
            is_here: Arc::default(),
        }
    }

    /// Returns all nodes of the settings in order, with or without a key.
    pub fn services(&self) -> &[NodeSettings] {
        &self.services
    }

    /// Whether the settings list nodes, so that each needs its own key.
    pub const fn are_listed(&self) -> bool {
        self.listed
    }

    /// Returns the audience of tokens that were issued before the audience was recorded for each token.
    pub fn own_audience(&self) -> &str {
        &self.own
    }

    /// Returns the node with this name.
    pub fn named(&self, name: &str) -> Option<&NodeSettings> {
        self.services.iter().find(|node| node.name == name)
    }

    /// Sets the key of the download service of `[download]`. Only the first call has an effect.
    pub fn hold_own_key(&self, key: NodeKey) {
        let _only_the_first_counts = self.own_key.set(key);
    }

    /// Records that the download service of `[download]` runs in this process.
    pub fn own_is_here(&self) {
        self.is_here.store(true, Ordering::Relaxed);
    }

    /// Whether this node runs in this process.
    pub fn runs_here(&self, node: &NodeSettings) -> bool {
        self.is_here.load(Ordering::Relaxed) && *node.public_url == *self.own
    }

    /// Returns the active nodes: those that have a key or don't need one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn active(&self) -> Result<Vec<&NodeSettings>, QueryError> {
        if !self.listed {
            return Ok(self.services.iter().collect());
        }
        let keyed: BTreeSet<String> = key_rows::names(&self.db).await?;
        let is_active = |node: &&NodeSettings| keyed.contains(&node.name) || self.runs_here(node);
        Ok(self.services.iter().filter(is_active).collect())
    }

    /// Returns the node with this key; `None` if no node has it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_key(&self, presented: &str) -> Result<Option<&NodeSettings>, QueryError> {
        if !self.listed {
            let is_own = self.own_key.get().is_some_and(|key| key.is(presented));
            return Ok(self.services.first().filter(|_| is_own));
        }
        // Looked up by the digest of 256 random bits, so the time that this takes reveals nothing about the
        // key.
        let name =
            key_rows::name_of(&self.db, &digest_to_column(&Secret::presented(presented).digest())).await?;
        Ok(name.and_then(|name| self.named(&name)))
    }

    /// Returns the digest of this node's key; `None` if it has none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn key_of(&self, node: &NodeSettings) -> Result<Option<Digest>, QueryError> {
        if !self.listed {
            return Ok(self.own_key.get().map(NodeKey::digest));
        }
        let digest = key_rows::digest_of(&self.db, &node.name).await?;
        let bytes = digest.and_then(|digest| URL_SAFE_NO_PAD.decode(digest).ok());
        Ok(bytes.and_then(|bytes| bytes.try_into().ok()).map(Digest::from_bytes))
    }
}
