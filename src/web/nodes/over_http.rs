//! Communicates with a download service in another process at its inner address: sends it revocations, and
//! asks whether it is that node, has our keys and can serve. Only signed commands are sent there.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::clock::Timestamp;
use crate::config::NodeSettings;
use crate::http_client::{self, HttpClient, HttpError};
use crate::id::Jti;
use crate::receipt::PROOF_HEADER;
use crate::secret::Digest;
use crate::web::nodes::revoke::{RevocationSink, RevokeError};
use crate::web::tokens::issuer::{IssueError, Issuer};

/// How long a node may take to record revocations …
const PATIENCE: Duration = Duration::from_secs(10);
/// … to accept a connection …
const CONNECT: Duration = Duration::from_secs(3);
/// … and to say whether it is ready.
const ASKING: Duration = Duration::from_secs(3);

/// Maximum length of a proof, in characters.
const LONGEST_PROOF: usize = 64;

/// A node that is reached over HTTP.
pub struct HttpNode {
    /// Signs commands for this node only.
    issuer: Issuer,
    client: HttpClient,
    inner_url: String,
}

/// A problem with a node.
#[derive(Debug, thiserror::Error)]
pub enum NodeTrouble {
    /// It can't be reached.
    #[error("cannot be reached")]
    Unreachable(#[source] HttpError),
    /// It doesn't accept our commands.
    #[error("refuses our commands: it has different public keys, or is a different node")]
    Refuses,
    /// The response doesn't prove that it has the node's key.
    #[error("did not prove its node key: its `download.node_key` differs, or another server responded")]
    WrongKey,
    /// It is the right node, but can't serve now.
    #[error("is not ready")]
    NotReady,
    /// The response is not one of a download service.
    #[error("responded with unexpected status {0}")]
    Answer(u16),
    /// The question could not be signed.
    #[error("could not be asked")]
    Issue(#[from] IssueError),
}

impl NodeTrouble {
    /// Returns a description that anyone may see.
    pub const fn sentence(&self) -> &'static str {
        match self {
            NodeTrouble::Unreachable(_) => "cannot be reached",
            NodeTrouble::Refuses => "refuses our commands",
            NodeTrouble::WrongKey => "did not prove its node key",
            NodeTrouble::NotReady => "is not ready",
            NodeTrouble::Answer(_) => "did not respond like a download service",
            NodeTrouble::Issue(_) => "could not be asked",
        }
    }
}

impl HttpNode {
    /// Creates a client for the node at `inner_url`, which has the audience of `issuer`.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(issuer: Issuer, inner_url: &str) -> Result<HttpNode, HttpError> {
        let client = HttpClient::new(inner_url, CONNECT)?;
        Ok(HttpNode { issuer, client, inner_url: inner_url.to_owned() })
    }

    /// Asks `node` at its inner address, as [`HttpNode::ask`] does.
    ///
    /// # Errors
    /// The problem with the node.
    pub async fn ask_at(
        node: &NodeSettings,
        issuer: &Issuer,
        key: Option<&Digest>,
        now: Timestamp,
    ) -> Result<(), NodeTrouble> {
        let way = HttpNode::new(issuer.for_audience(&node.public_url), &node.inner_url);
        way.map_err(NodeTrouble::Unreachable)?.ask(key, now).await
    }

    /// Asks whether it is the node that has `key`, has our public key, and can serve.
    ///
    /// # Errors
    /// The problem with the node.
    pub async fn ask(&self, key: Option<&Digest>, now: Timestamp) -> Result<(), NodeTrouble> {
        let question = self.issuer.issue_readiness_probe(now)?;
        let at = http_client::at(&self.inner_url, "/readyz");
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
        let at = http_client::at(&self.inner_url, "/revocations");
        let answer = self.client.post(&at).bearer(&command.token).send(Instant::now() + PATIENCE).await?;
        match answer.status() {
            204 => Ok(()),
            status => Err(RevokeError::Answer(status)),
        }
    }
}
