//! A download service in another process, spoken to at its inner address: told of revocations, and
//! asked whether it is that node, holds our keys and can serve. Only signed commands go there.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::http_client::{HttpClient, HttpError};
use crate::id::Jti;
use crate::receipt::PROOF_HEADER;
use crate::secret::Digest;
use crate::web::nodes::revoke::{RevocationSink, RevokeError};
use crate::web::tokens::issuer::{IssueError, Issuer};

/// How long a node may take to put revocations on record …
const PATIENCE: Duration = Duration::from_secs(10);
/// … to be reached …
const CONNECT: Duration = Duration::from_secs(3);
/// … and to say whether it is ready.
const ASKING: Duration = Duration::from_secs(3);

/// Longest proof that is looked at.
const LONGEST_PROOF: usize = 64;

/// One node, reached over HTTP.
pub struct HttpNode {
    /// Signs the commands, for this node alone.
    issuer: Issuer,
    client: HttpClient,
    inner_url: String,
}

/// What is wrong with a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeTrouble {
    /// Nobody answers.
    #[error("cannot be reached")]
    Unreachable(#[source] HttpError),
    /// It does not take our commands.
    #[error("refuses our commands: it holds other public keys than ours, or it is another node")]
    Refuses,
    /// Whoever answers does not show the node's key.
    #[error(
        "does not show its node key: another key lies in its `download.node_key`, or something else answers"
    )]
    WrongKey,
    /// It is that node, but can't serve now.
    #[error("is not ready")]
    NotReady,
    /// Something else answers.
    #[error("answers {0}, as no download service does")]
    Answer(u16),
    /// It could not be asked.
    #[error("could not be asked")]
    Issue(#[from] IssueError),
}

impl NodeTrouble {
    /// What anybody may know of it.
    pub const fn sentence(&self) -> &'static str {
        match self {
            NodeTrouble::Unreachable(_) => "cannot be reached",
            NodeTrouble::Refuses => "refuses our commands",
            NodeTrouble::WrongKey => "does not show its node key",
            NodeTrouble::NotReady => "is not ready",
            NodeTrouble::Answer(_) => "does not answer as a download service",
            NodeTrouble::Issue(_) => "could not be asked",
        }
    }
}

impl HttpNode {
    /// The node at `inner_url`, which has the audience of `issuer`.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(issuer: Issuer, inner_url: &str) -> Result<HttpNode, HttpError> {
        let client = HttpClient::new(inner_url, CONNECT)?;
        Ok(HttpNode { issuer, client, inner_url: inner_url.to_owned() })
    }

    /// Asks whether it is the node that has `key`, holds the public key of who asks, and can serve.
    ///
    /// # Errors
    /// What is wrong.
    pub async fn ask(&self, key: Option<&Digest>, now: Timestamp) -> Result<(), NodeTrouble> {
        let question = self.issuer.issue_readiness_probe(now)?;
        let at = format!("{}/readyz", self.inner_url);
        let request = self.client.get(&at).bearer(&question.token);
        let answer = request.send(Instant::now() + ASKING).await.map_err(NodeTrouble::Unreachable)?;
        let status = answer.status();
        if !matches!(status, 200 | 503) {
            return Err(if status == 403 { NodeTrouble::Refuses } else { NodeTrouble::Answer(status) });
        }
        let shown = answer.header(PROOF_HEADER);
        let proven =
            key.zip(shown.filter(|shown| shown.len() <= LONGEST_PROOF)).is_some_and(|(key, shown)| {
                Digest::of(shown.as_bytes()) == Digest::of(key.prove(&question.jti.to_string()).as_bytes())
            });
        match (proven, status) {
            (false, _) => Err(NodeTrouble::WrongKey),
            (true, 503) => Err(NodeTrouble::NotReady),
            (true, _) => Ok(()),
        }
    }
}

#[async_trait]
impl RevocationSink for HttpNode {
    async fn revoke(&self, jtis: &[Jti], now: Timestamp) -> Result<(), RevokeError> {
        let command = self.issuer.issue_command(jtis, now)?;
        let at = format!("{}/revocations", self.inner_url);
        let answer = self.client.post(&at).bearer(&command.token).send(Instant::now() + PATIENCE).await?;
        match answer.status() {
            204 => Ok(()),
            status => Err(RevokeError::Answer(status)),
        }
    }
}
