//! The download services of the settings, and which of them may be given tokens.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::NodeSettings;
use crate::secret::{Digest, Secret};
use crate::web::db::{Database, QueryError};
use crate::web::nodes::key_rows::{self, stored};
use crate::web::nodes::node_key::NodeKey;

/// The download services. Clones are the same.
#[derive(Clone)]
pub struct Nodes {
    pub(super) db: Database,
    services: Arc<[NodeSettings]>,
    /// Whether the settings list them; otherwise there is the one of `[download]`, which needs no key
    /// in the database.
    pub(super) listed: bool,
    /// The public address of the download service that this machine's settings describe.
    own: Arc<str>,
    /// What the one of `[download]` shows.
    own_key: Arc<OnceLock<NodeKey>>,
    /// Whether that one runs in this process, and needs no key.
    is_here: Arc<AtomicBool>,
}

impl Nodes {
    /// These, with their keys in `db`; `listed` says whether the settings list them. `own` is the public
    /// address of the download service of this machine's settings.
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

    /// All of the settings, in their order, with or without a key.
    pub fn services(&self) -> &[NodeSettings] {
        &self.services
    }

    /// Whether the settings list them, so that each needs a key of its own.
    pub const fn are_listed(&self) -> bool {
        self.listed
    }

    /// The audience of tokens that were issued before it was put down for each.
    pub fn own_audience(&self) -> &str {
        &self.own
    }

    /// The node with that name.
    pub fn named(&self, name: &str) -> Option<&NodeSettings> {
        self.services.iter().find(|node| node.name == name)
    }

    /// Says what the one of `[download]` shows.
    pub fn hold_own_key(&self, key: NodeKey) {
        let _only_the_first_counts = self.own_key.set(key);
    }

    /// Says that the download service of `[download]` runs in this process.
    pub fn own_is_here(&self) {
        self.is_here.store(true, Ordering::Relaxed);
    }

    /// Whether this node runs in this process.
    pub fn runs_here(&self, node: &NodeSettings) -> bool {
        self.is_here.load(Ordering::Relaxed) && *node.public_url == *self.own
    }

    /// The nodes that are ours now: those with a key, or without need of one.
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

    /// The node that the next token is for: the first that may have new ones. `None` where none may.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn choose(&self) -> Result<Option<&NodeSettings>, QueryError> {
        Ok(self.active().await?.into_iter().find(|node| node.weight > 0))
    }

    /// The node that shows this key; `None` where it is nobody's.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn of_key(&self, presented: &str) -> Result<Option<&NodeSettings>, QueryError> {
        if !self.listed {
            let is_own = self.own_key.get().is_some_and(|key| key.is(presented));
            return Ok(self.services.first().filter(|_| is_own));
        }
        // Found by the digest of 256 random bits: how long that takes tells nothing of the key.
        let name = key_rows::name_of(&self.db, &stored(&Secret::presented(presented).digest())).await?;
        Ok(name.and_then(|name| self.named(&name)))
    }

    /// The digest of the key that this node has to show; `None` where it has none.
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
