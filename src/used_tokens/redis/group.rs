//! Groups of claims in Redis: one script for each.

use std::collections::HashSet;
use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use redis::{Client, RedisError, from_redis_value};

use crate::id::Jti;
use crate::used_tokens::claim_queue::{GroupWriter, QueuedClaim};
use crate::used_tokens::redis::durability::Durability;
use crate::used_tokens::redis::link::RedisLink;
use crate::used_tokens::redis::scripts::{self, Swap};

/// How many groups are written at once: while one waits for the disk, the next is being sent. Redis syncs its
/// file once for all that arrived meanwhile.
const WRITERS: usize = 2;

/// Returns the writers, each with a connection of its own.
pub(super) fn writers(client: &Client, durability: &Arc<Durability>) -> Vec<Arc<dyn GroupWriter>> {
    let writer = || -> Arc<dyn GroupWriter> {
        Arc::new(RedisWriter { link: RedisLink::new(client.clone(), durability.clone()) })
    };
    std::iter::repeat_with(writer).take(WRITERS).collect()
}

struct RedisWriter {
    link: RedisLink,
}

#[async_trait]
impl GroupWriter for RedisWriter {
    async fn write(&self, claims: &[&QueuedClaim]) -> Result<HashSet<Jti>, Box<dyn Error + Send + Sync>> {
        let swaps: Vec<Swap<'_>> = claims
            .iter()
            .map(|claim| Swap { known: Some((claim.epoch, claim.position)), old: &[], new: &claim.used })
            .collect();
        let answer = self.link.write(scripts::swap(&swaps)).await?;
        let changed: Vec<bool> = from_redis_value(answer).map_err(RedisError::from)?;
        let new = claims.iter().zip(changed).filter(|(_, changed)| *changed);
        Ok(new.map(|(claim, _)| claim.used.jti).collect())
    }

    async fn disconnect(&self) {
        self.link.close().await;
    }
}
