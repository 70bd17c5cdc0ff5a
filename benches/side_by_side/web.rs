//! The web app: tokens that it issues to people who are logged in, presses of a public link, and a look at a link
//! that was used very often. Its accounts, sessions and links are written before it starts.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oncelink::clock::{Clock, Timestamp};
use oncelink::config::Settings;
use oncelink::secret::Secret;
use oncelink::web::audit::Actor;
use oncelink::web::http::cookies::Cookies;
use oncelink::web::http::csrf;
use oncelink::web::identity::AccountId;
use oncelink::web::links::create::{CreateOutcome, NewLink};
use oncelink::web::links::terms::LinkForm;
use oncelink::web::services::Services;

use crate::load;
use crate::process::{Server, free_port};
use crate::{Work, oncelink as node};

/// Each has an allowance of downloads of its own.
const PEOPLE: usize = 64;
/// The uses of the link that was used often.
const USES: u32 = 1_000_000;

/// A running web app.
pub struct WebApp {
    pub server: Server,
    host: String,
    /// Cookie header and form token of each person.
    people: Vec<(String, String)>,
    fresh: String,
    worn: String,
    /// For an address of its own with each press.
    presses: AtomicU32,
}

impl WebApp {
    /// Starts `oncelink serve` in `dir`, with its database at `database`. `worn` says whether there will be looks at a
    /// link with a million uses, which take a while to write.
    pub fn start(dir: &Path, files: &Path, database: &str, worn: bool) -> WebApp {
        fs::create_dir_all(dir).unwrap();
        let (web, download) = (free_port(), free_port());
        let config = dir.join("oncelink.toml");
        fs::write(&config, settings(dir, files, &web.to_string(), &download.to_string(), database)).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (people, [fresh, worn]) = runtime.block_on(fill(&config, worn));
        drop(runtime);
        let mut command = node::command(dir, "serve");
        command.stdout(Stdio::null());
        let server = Server::start(command, web, || {
            load::answers(web, "/readyz", true) && load::answers(download, "/readyz", true)
        });
        WebApp { server, host: web.to_string(), people, fresh, worn, presses: AtomicU32::new(0) }
    }

    /// New requests for this work.
    pub fn requests(&self, work: Work, file: &str, count: usize) -> Vec<Vec<u8>> {
        let request = |at: usize| match work {
            Work::Issue => {
                let (cookie, token) = &self.people[at % PEOPLE];
                let body = format!("csrf={token}&file=/files/{file}");
                self.post(
                    "/download",
                    &format!("Cookie: {cookie}\r\nOrigin: http://{}\r\n", self.host),
                    &body,
                )
            }
            Work::Press => {
                let [.., b, c, d] = self.presses.fetch_add(1, Ordering::Relaxed).to_be_bytes();
                self.post(&self.fresh, &format!("X-Forwarded-For: 10.{b}.{c}.{d}\r\n"), "")
            }
            Work::LookAtFresh => load::request(self.server.address, &self.fresh),
            Work::LookAtWorn => load::request(self.server.address, &self.worn),
            Work::Redeem | Work::RedeemCold => unreachable!("the download service does this"),
        };
        (0..count).map(request).collect()
    }

    fn post(&self, path: &str, headers: &str, body: &str) -> Vec<u8> {
        let (host, length) = (&self.host, body.len());
        format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: side-by-side\r\n{headers}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

fn settings(dir: &Path, files: &Path, web: &str, download: &str, database: &str) -> String {
    let (dir, files) = (dir.display(), files.display());
    format!(
        "data_dir = \"{dir}/data\"\n\
         [web]\nlisten = \"{web}\"\npublic_url = \"http://{web}\"\ndatabase = \"{database}\"\n\
         trusted_proxies = [\"127.0.0.1\"]\n\
         [download]\nlisten = \"{download}\"\npublic_url = \"http://{download}\"\n\
         [links]\npresses = 1000000\npresses_per_link = 1000000\n\
         [[share]]\nname = \"files\"\npath = \"{files}\"\nread = [\"everyone\"]\n\
         [log]\nlevel = \"warn\"\n"
    )
}

async fn fill(config: &Path, worn: bool) -> (Vec<(String, String)>, [String; 2]) {
    let settings = Settings::load(Some(config), []).unwrap();
    let now = Clock::wall().now();
    let services = Services::open(&settings, Clock::wall()).await.unwrap();
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        people.push(person(&services, &settings, n, now).await);
    }
    let mut paths = Vec::new();
    for uses in [0, if worn { USES } else { 0 }] {
        let owner = services.accounts.by_id(&AccountId::from_store("account0")).await.unwrap().unwrap();
        let form = LinkForm { notify: "never".to_owned(), ..LinkForm::default() };
        let terms = services.links.check(&form, None, now).unwrap();
        let new = NewLink {
            owner: &owner,
            files: &["/files/1k.bin".parse().unwrap()],
            awaits: None,
            terms: &terms,
            password: None,
            mail: false,
            form: None,
        };
        let actor = Actor::account(&owner, [127, 0, 0, 1].into());
        let CreateOutcome::Link(id) = services.links.create(&new, &actor, now).await.unwrap() else {
            unreachable!("nothing limits it")
        };
        let link = services.links.of_owner(&owner.id, &id).await.unwrap().unwrap();
        let recipient = services.links.recipients(&link).await.unwrap().remove(0);
        use_often(&services, recipient.id.as_str(), uses, now).await;
        paths.push(services.links.address("", &recipient));
    }
    services.db.close().await;
    let [fresh, worn] = [paths.remove(0), paths.remove(0)];
    (people, [fresh, worn])
}

/// Creates an account with a session; returns its cookie header and form token.
async fn person(services: &Services, settings: &Settings, n: usize, now: Timestamp) -> (String, String) {
    let at = i64::try_from(now.secs()).unwrap();
    let mut transaction = services.db.begin().await.unwrap();
    sqlx::query(
        "INSERT INTO accounts (id, email, email_key, name, admin, disabled, password, created_at, activated_at) \
         VALUES ($1, $2, $2, 'Somebody', 0, 0, 'none', $3, $3)",
    )
    .bind(format!("account{n}"))
    .bind(format!("person{n}@example.org"))
    .bind(at)
    .execute(&mut *transaction)
    .await
    .unwrap();
    let session = Secret::random::<32>().unwrap();
    sqlx::query(
        "INSERT INTO sessions (digest, name, account, created_at, last_seen_at, remembered, address, agent) \
         VALUES ($1, $2, $3, $4, $4, 0, '127.0.0.1', 'a bench')",
    )
    .bind(URL_SAFE_NO_PAD.encode(session.digest().as_bytes()))
    .bind(format!("session{n}"))
    .bind(format!("account{n}"))
    .bind(at)
    .execute(&mut *transaction)
    .await
    .unwrap();
    services.db.commit(transaction).await.unwrap();
    let cookie = Cookies::new(&settings.web.public_url).set_session(&session, None);
    (format!("{}={}", cookie.name(), cookie.value()), csrf::token_for(&session))
}

/// Writes `uses` uses of a link, each by another visitor, as if each had been downloaded.
async fn use_often(services: &Services, recipient: &str, uses: u32, now: Timestamp) {
    if uses == 0 {
        return;
    }
    let at = i64::try_from(now.secs()).unwrap();
    let mut transaction = services.db.begin().await.unwrap();
    sqlx::query(
        "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < $1) \
         INSERT INTO link_uses (id, recipient, visitor, state, made_at, changed_at) \
         SELECT 'use' || n, $2, 'visitor' || n, 'used', $3, $3 FROM numbers",
    )
    .bind(i64::from(uses))
    .bind(recipient)
    .bind(at)
    .execute(&mut *transaction)
    .await
    .unwrap();
    sqlx::query("UPDATE recipients SET taken = $1 WHERE id = $2")
        .bind(i64::from(uses))
        .bind(recipient)
        .execute(&mut *transaction)
        .await
        .unwrap();
    services.db.commit(transaction).await.unwrap();
}
