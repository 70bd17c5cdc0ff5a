//! The client for the address of a Redis server.

use std::io;
use std::path::PathBuf;

use redis::{Client, RedisError, TlsCertificates};
use url::Url;

/// The parameter that names a file with the certificates to trust, as PostgreSQL addresses have it.
const ROOTS: &str = "sslrootcert";

/// The address can't be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum RedisAddressError {
    /// It isn't a URL.
    #[error("the address of Redis is not valid")]
    Url(#[from] url::ParseError),
    /// The file with the certificates can't be read.
    #[error("cannot read the certificates in {} (`{ROOTS}`)", path.display())]
    Roots { path: PathBuf, source: io::Error },
    /// The file contains no certificate.
    #[error("{} contains no certificate (`{ROOTS}`)", .0.display())]
    NoCertificate(PathBuf),
    /// The client refuses it.
    #[error(transparent)]
    Client(#[from] RedisError),
}

/// Returns a client, which doesn't connect yet.
pub(super) fn client(address: &str) -> Result<Client, RedisAddressError> {
    let mut url = Url::parse(address)?;
    let roots = url.query_pairs().find(|(key, _)| key == ROOTS);
    let roots = roots.map(|(_, path)| PathBuf::from(path.into_owned()));
    url.set_query(None);
    let Some(path) = roots else { return Ok(Client::open(url)?) };
    let pem = match std::fs::read(&path) {
        Ok(pem) => pem,
        Err(source) => return Err(RedisAddressError::Roots { path, source }),
    };
    if !pem.windows(CERTIFICATE.len()).any(|window| window == CERTIFICATE) {
        return Err(RedisAddressError::NoCertificate(path));
    }
    Ok(Client::build_with_tls(url, TlsCertificates { client_tls: None, root_cert: Some(pem) })?)
}

const CERTIFICATE: &[u8] = b"-----BEGIN CERTIFICATE-----";
