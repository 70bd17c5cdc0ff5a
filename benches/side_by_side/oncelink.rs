//! Oncelink's side: the release binary as `oncelink download`, which accepts tokens of a signer's JWKS
//! (EdDSA) and tokens with a shared secret (HS256).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use oncelink::clock::Clock;
use oncelink::id::{FilePath, Jti, LinkId};
use oncelink::token::claims::{CommonClaims, DownloadClaims};
use oncelink::token::{Algorithm, HmacSecret, TokenKind};
use oncelink::web::tokens::issuer::{DownloadTokenRequest, Issuer};
use oncelink::web::tokens::signer::{Signer, sign_shared};

use crate::load;
use crate::process::{Server, free_port};

const SECRET: &[u8] = b"a secret that a side-by-side run shares with itself";
const LIFETIME: Duration = Duration::from_secs(3600);

/// Where a node keeps its used tokens.
#[derive(Clone, Copy)]
pub enum StoreKind<'a> {
    /// In its own folder.
    Sled,
    /// In PostgreSQL at this address.
    Postgres(&'a str),
}

impl StoreKind<'_> {
    fn setting(self) -> String {
        match self {
            StoreKind::Sled => "sled".to_owned(),
            StoreKind::Postgres(address) => address.to_owned(),
        }
    }
}

/// A running Oncelink, and the keys to sign for it.
pub struct Oncelink {
    pub server: Server,
    issuer: Issuer,
    secret: HmacSecret,
    clock: Clock,
}

/// The settings of a run in `dir`.
fn settings(dir: &Path, files: &Path, download: &str, web: &str, store: StoreKind<'_>) -> String {
    let store = store.setting();
    let dir = dir.display();
    let files = files.display();
    let replaced_only = crate::given("--replaced-only");
    format!(
        "data_dir = \"{dir}/data\"\n\
         [web]\nlisten = \"{web}\"\npublic_url = \"http://{web}\"\n\
         [download]\nlisten = \"{download}\"\npublic_url = \"http://{download}\"\nkeys = \"{dir}/jwks.json\"\n\
         used_tokens = \"{store}\"\n\
         [[token.shared_secret]]\nkid = \"bench\"\nfile = \"{dir}/secret\"\n\
         [[share]]\nname = \"files\"\npath = \"{files}\"\nreplaced_only = {replaced_only}\n\
         [log]\nlevel = \"warn\"\n"
    )
}

/// Oncelink with the settings in `dir`.
pub fn command(dir: &Path, role: &str) -> Command {
    let mut command =
        Command::new(crate::value("--binary").unwrap_or(env!("CARGO_BIN_EXE_oncelink").to_owned()));
    command.arg(role).arg("--config").arg(dir.join("oncelink.toml"));
    let log = fs::File::options().create(true).append(true).open(dir.join("oncelink.log")).unwrap();
    command.stderr(Stdio::from(log));
    command
}

impl Oncelink {
    /// Starts `oncelink download`, with the store in `dir` if there is one.
    pub fn start(dir: &Path, files: &Path, store: StoreKind<'_>) -> Oncelink {
        fs::create_dir_all(dir).unwrap();
        let clock = Clock::wall();
        let signer = Signer::open(&dir.join("signer"), clock.now()).unwrap();
        fs::write(dir.join("jwks.json"), signer.jwks(clock.now())).unwrap();
        fs::write(dir.join("secret"), SECRET).unwrap();
        let address = free_port();
        let (download, web) = (address.to_string(), free_port().to_string());
        fs::write(dir.join("oncelink.toml"), settings(dir, files, &download, &web, store)).unwrap();
        let server =
            Server::start(command(dir, "download"), address, || load::answers(address, "/readyz", true));
        let public_url = format!("http://{address}");
        let issuer = Issuer {
            signer: Arc::new(signer),
            issuer: format!("http://{web}"),
            audience: public_url.clone(),
            download_url: public_url,
            lifetime: LIFETIME,
        };
        Oncelink { server, issuer, secret: HmacSecret::new("bench", SECRET).unwrap(), clock }
    }

    /// Starts `oncelink serve` on an empty data directory.
    pub fn serve_empty(dir: &Path, files: &Path) -> Server {
        fs::create_dir_all(dir).unwrap();
        let _old = fs::remove_dir_all(dir.join("data"));
        fs::write(dir.join("secret"), SECRET).unwrap();
        let (address, web) = (free_port(), free_port());
        let text = settings(dir, files, &address.to_string(), &web.to_string(), StoreKind::Sled);
        fs::write(dir.join("oncelink.toml"), text).unwrap();
        Server::start(command(dir, "serve"), address, || {
            load::answers(address, "/readyz", true) && load::answers(web, "/readyz", true)
        })
    }

    /// The paths of new tokens, of a link if one is given; those are signed with the shared secret.
    pub fn mint(&self, algorithm: Algorithm, file: &str, link: Option<&LinkId>, count: usize) -> Vec<String> {
        let path: FilePath = format!("/files/{file}").parse().unwrap();
        (0..count)
            .map(|_| match algorithm {
                Algorithm::Hs256 => self.shared(&path, link),
                _ => {
                    let order = DownloadTokenRequest::new("account-4711", &path);
                    self.issuer.issue_download(&order, self.clock.now()).unwrap().token
                }
            })
            .map(|token| format!("/d/{token}/{file}"))
            .collect()
    }

    fn shared(&self, file: &FilePath, link: Option<&LinkId>) -> String {
        let now = self.clock.now();
        let common = CommonClaims {
            iss: &self.issuer.issuer,
            aud: &self.issuer.audience,
            jti: Jti::random().unwrap(),
            iat: now,
            exp: now.plus(LIFETIME),
        };
        let claims = DownloadClaims {
            common,
            sub: "account-4711",
            file: Some(file),
            zip: None,
            name: None,
            confirm: false,
            again: false,
            link: link.map(LinkId::as_str),
            size: None,
            version: None,
            digest: None,
        };
        sign_shared(&self.secret, TokenKind::Download, &claims).unwrap()
    }
}

/// The log file of a run in `dir`.
pub fn log(dir: &Path) -> PathBuf {
    dir.join("oncelink.log")
}
