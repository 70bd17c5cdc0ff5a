//! The health of the nodes, and which of them gets the next token.
//!
//! Nodes are asked in the background, so that a press of a button doesn't wait for one that doesn't respond.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::clock::Timestamp;
use crate::config::NodeSettings;
use crate::web::db::QueryError;
use crate::web::nodes::over_http::{HttpNode, NodeTrouble};
use crate::web::nodes::readiness::NodeReadiness;
use crate::web::nodes::registry::Nodes;
use crate::web::tokens::issuer::Issuer;

/// How old a result may be for a page, and how often the nodes are asked.
const TRUSTED_FOR: Duration = Duration::from_secs(2);
/// How old a result may be for the choice of a node. Asking takes up to three seconds.
const CHOSEN_FOR: Duration = Duration::from_secs(10);

/// Knows which nodes are ready, and what is wrong with the others. Clones share their state.
#[derive(Clone, Default)]
pub struct NodeMonitor(Arc<Shared>);

#[derive(Default)]
struct Shared {
    readiness: Arc<NodeReadiness>,
    last: Mutex<Option<(Instant, Verdicts)>>,
    /// Held while the nodes are asked, so that many simultaneous requests cause only one check.
    asking: tokio::sync::Mutex<()>,
}

/// What is wrong with each active node, by its name; `None` for a node that is ready.
pub type Verdicts = Arc<BTreeMap<String, Option<&'static str>>>;

impl NodeMonitor {
    /// Returns how a single node is asked.
    pub fn readiness(&self) -> &NodeReadiness {
        &self.0.readiness
    }

    /// Returns what is wrong with each active node, in words that anyone may read.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn verdicts(
        &self,
        nodes: &Nodes,
        issuer: &Issuer,
        now: Timestamp,
    ) -> Result<Verdicts, QueryError> {
        let verdicts = self.verdicts_since(ago(TRUSTED_FOR), nodes, issuer, now).await?;
        let active = nodes.active().await?;
        if !nodes.are_listed() || active.iter().all(|node| verdicts.contains_key(&node.name)) {
            return Ok(verdicts);
        }
        // One of them has just got its key.
        self.verdicts_since(Some(Instant::now()), nodes, issuer, now).await
    }

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
        let verdicts = self.verdicts(nodes, issuer, now).await?;
        let troubled = verdicts.iter().filter_map(|(name, trouble)| Some((name, (*trouble)?)));
        let mut troubles: Vec<String> =
            troubled.map(|(name, trouble)| format!("the download service `{name}` {trouble}")).collect();
        let active = nodes.active().await?;
        if !active.iter().any(|node| node.weight > 0 && may_get_tokens(nodes, &verdicts, node)) {
            troubles.push("no download service can accept new downloads".to_owned());
        }
        Ok(troubles)
    }

    /// Returns the node for the next token: an active one that is ready, at random in proportion to the weights;
    /// `None` if there is none. `dice` is a random number.
    ///
    /// The only node of settings without `[[node]]` isn't asked first: there is no other one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn choose<'n>(
        &self,
        nodes: &'n Nodes,
        issuer: &Issuer,
        dice: u64,
        now: Timestamp,
    ) -> Result<Option<&'n NodeSettings>, QueryError> {
        let active = nodes.active().await?;
        if !nodes.are_listed() {
            return Ok(pick(&active, dice));
        }
        let ready = |verdicts: &Verdicts| -> Vec<&'n NodeSettings> {
            active.iter().copied().filter(|node| may_get_tokens(nodes, verdicts, node)).collect()
        };
        let began = Instant::now();
        let chosen = pick(&ready(&self.verdicts_since(ago(CHOSEN_FOR), nodes, issuer, now).await?), dice);
        if chosen.is_some() || active.is_empty() {
            return Ok(chosen);
        }
        // A node may just have become ready, or have got its key, so nothing is refused by an earlier result.
        Ok(pick(&ready(&self.verdicts_since(Some(began), nodes, issuer, now).await?), dice))
    }

    /// Returns the node with this name, whatever its weight; `None` if there is none, or it isn't ready.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn named<'n>(
        &self,
        nodes: &'n Nodes,
        issuer: &Issuer,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<&'n NodeSettings>, QueryError> {
        let active = nodes.active().await?;
        let Some(node) = active.into_iter().find(|node| node.name == name) else { return Ok(None) };
        let verdicts = self.verdicts_since(ago(CHOSEN_FOR), nodes, issuer, now).await?;
        Ok(Some(node).filter(|node| may_get_tokens(nodes, &verdicts, node)))
    }

    /// Asks the nodes from time to time, until dropped.
    pub async fn watch(&self, nodes: &Nodes, issuer: &Issuer, now: impl Fn() -> Timestamp) {
        let mut turns = tokio::time::interval(TRUSTED_FOR);
        turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            turns.tick().await;
            // Without a choice, nobody needs to know in advance.
            if nodes.are_listed()
                && let Err(error) = self.verdicts_since(ago(TRUSTED_FOR / 2), nodes, issuer, now()).await
            {
                tracing::warn!(
                    cause = crate::telemetry::chain(&error),
                    "cannot find out which nodes are ready"
                );
            }
        }
    }

    /// Returns a result of `since` or later; `None`: of any time.
    async fn verdicts_since(
        &self,
        since: Option<Instant>,
        nodes: &Nodes,
        issuer: &Issuer,
        now: Timestamp,
    ) -> Result<Verdicts, QueryError> {
        if let Some(known) = self.known(since) {
            return Ok(known);
        }
        let _asking = self.0.asking.lock().await;
        if let Some(known) = self.known(since) {
            return Ok(known);
        }
        let asked_at = Instant::now();
        let active = nodes.active().await?;
        // The only one, in this process, is asked by nobody: its own `/readyz` says how it is.
        let asked = active.into_iter().filter(|node| nodes.are_listed() || !nodes.runs_here(node));
        let answers = asked.map(|node| async move {
            let found = self.readiness().ask(node, nodes, issuer, now).await?;
            if let Err(trouble) = &found {
                let cause = crate::telemetry::chain(trouble);
                tracing::debug!(node = node.name, cause, "a node has a problem");
            }
            Ok((node.name.clone(), found.err().map(|trouble| trouble.sentence())))
        });
        let answers = futures_util::future::join_all(answers).await;
        let verdicts: Verdicts = Arc::new(answers.into_iter().collect::<Result<_, QueryError>>()?);
        let last = Some((asked_at, verdicts.clone()));
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
        Ok(verdicts)
    }

    fn known(&self, since: Option<Instant>) -> Option<Verdicts> {
        let last = self.0.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_new = |at: Instant| since.is_none_or(|since| at >= since);
        last.as_ref().filter(|(at, _)| is_new(*at)).map(|(_, verdicts)| verdicts.clone())
    }
}

/// The moment that long ago; `None` if the machine was not running then.
fn ago(age: Duration) -> Option<Instant> {
    Instant::now().checked_sub(age)
}

/// Whether a node is ready, or needn't be asked because there is no other.
fn may_get_tokens(nodes: &Nodes, verdicts: &Verdicts, node: &NodeSettings) -> bool {
    !nodes.are_listed() || verdicts.get(&node.name).is_some_and(Option::is_none)
}

/// Picks one of these nodes in proportion to their weights; `None` if none has any.
fn pick<'n>(nodes: &[&'n NodeSettings], dice: u64) -> Option<&'n NodeSettings> {
    let total: u64 = nodes.iter().map(|node| u64::from(node.weight)).sum();
    let mut left = dice.checked_rem(total)?;
    nodes.iter().copied().find(|node| match left.checked_sub(u64::from(node.weight)) {
        Some(rest) => {
            left = rest;
            false
        }
        None => true,
    })
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
        questions.push(async move { (node, HttpNode::ask_at(node, issuer, key.as_ref(), now).await) });
    }
    Ok(futures_util::future::join_all(questions).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_picked_in_proportion_to_their_weights() {
        let node = |name: &str, weight| NodeSettings {
            name: name.to_owned(),
            public_url: String::new(),
            inner_url: String::new(),
            weight,
        };
        let (one, none, three) = (node("one", 1), node("none", 0), node("three", 3));
        let picked = |nodes: &[&NodeSettings], dice| pick(nodes, dice).map(|node| node.weight);
        let all = [&none, &one, &none, &three, &none];
        let found: Vec<_> = (0..8).filter_map(|dice| picked(&all, dice)).collect();
        assert_eq!(found, [1, 3, 3, 3, 1, 3, 3, 3]);
        assert_eq!(picked(&[&none], 5), None);
        assert_eq!(picked(&[], 5), None);
        let (large, larger) = (node("large", u32::MAX), node("larger", u32::MAX));
        assert!(pick(&[&large, &larger], u64::MAX).is_some());
    }
}
