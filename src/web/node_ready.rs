//! Whether the download service can serve now. Asked before a continuation is given out: it is of no use
//! anywhere but at the download service that began, so it is better kept than sent to a closed door.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;

/// How long a download service may take to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(2);

/// A download service in the same process, which can be asked directly.
#[async_trait]
pub trait NodeReady: Send + Sync {
    /// Whether it can serve now.
    async fn is_ready(&self) -> bool;
}

/// Asks the download service whether it is ready.
pub struct Readiness {
    /// Its address for us, without a trailing slash.
    address: String,
    client: reqwest::Client,
    in_process: OnceLock<Arc<dyn NodeReady>>,
}

impl Readiness {
    /// Of the download service at `address`.
    ///
    /// # Errors
    /// When TLS can't be set up.
    pub fn new(address: &str) -> Result<Readiness, reqwest::Error> {
        let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let builder = builder.no_proxy().timeout(PATIENCE);
        // A machine without the system's certificates can still talk plain http to its neighbour.
        let plain = address.starts_with("http://");
        let builder = if plain { builder.tls_certs_only([]) } else { builder };
        let address = address.trim_end_matches('/').to_owned();
        Ok(Readiness { address, client: builder.build()?, in_process: OnceLock::new() })
    }

    /// Says once and for all that the download service runs in this process.
    pub fn ask(&self, node: Arc<dyn NodeReady>) {
        let _only_the_first_counts = self.in_process.set(node);
    }

    /// Whether it can serve now. No answer is no.
    pub async fn is_ready(&self) -> bool {
        if let Some(node) = self.in_process.get() {
            return node.is_ready().await;
        }
        let answer = self.client.get(format!("{}/readyz", self.address)).send().await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}
