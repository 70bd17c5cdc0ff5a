//! A web app on a free port with its own database and clock, and a browser to visit it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use actix_web::dev::ServerHandle;
use hyper::Method;
use hyper::header::HeaderValue;
use oncelink::clock::{Clock, Timestamp};
use oncelink::config::{Settings, ShareSettings};
use oncelink::connection::Connections;
use oncelink::files::ShareFolders;
use oncelink::server::web_server;
use oncelink::web::WebApp;
use oncelink::web::accounts::store::AddOutcome;
use oncelink::web::identity::passwords::{Asker, Password};
use oncelink::web::identity::{Account, NewAccount};
use oncelink::web::services::Services;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tempfile::TempDir;

use super::client::Client;
use super::mail::{Mail, outbox};
use super::postgres::empty_schema;

/// The time at which tests begin.
pub(crate) const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The password of every account that [`TestWeb::account`] makes.
pub(crate) const PASSWORD: &str = "a long test password";

/// A running web app.
pub(crate) struct TestWeb {
    pub(crate) app: WebApp,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    /// Services on the same database, as the command line has them.
    pub(crate) outside: Services,
    pub(crate) base: String,
    servers: Vec<ServerHandle>,
    _folder: TempDir,
}

impl TestWeb {
    /// Starts an app with the shares `open` (everyone), `staff` (group) and `private`
    /// (`ada@example.org`), each with a file `file.txt`.
    pub(crate) async fn spawn() -> TestWeb {
        TestWeb::spawn_with(|_| {}).await
    }

    /// The same with other settings.
    pub(crate) async fn spawn_with(change: impl FnOnce(&mut Settings)) -> TestWeb {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let mut settings = Settings { data_dir: folder.path().join("data"), ..Settings::default() };
        settings.web.public_url.clone_from(&base);
        settings.download.public_url = "http://download.example".to_owned();
        settings.shares = [("open", "everyone"), ("staff", "staff"), ("private", "Ada@example.org")]
            .map(|(name, reader)| share(folder.path(), name, reader))
            .to_vec();
        change(&mut settings);
        let clock = Clock::manual(START);
        let folders = ShareFolders::open(&settings.shares).unwrap();
        let app = Box::pin(WebApp::open(&settings, clock.clone(), folders)).await.unwrap();
        let outside = Box::pin(Services::open(&settings, clock.clone())).await.unwrap();
        let connections = connections(&settings);
        let server = serve(&app, listener, &settings, &connections);
        TestWeb { app, clock, settings, outside, base, servers: vec![server], _folder: folder }
    }

    /// One app with SQLite, and one with PostgreSQL where a server is named.
    pub(crate) async fn on_each_database(change: impl Fn(&mut Settings)) -> Vec<TestWeb> {
        let mut webs = vec![TestWeb::spawn_with(&change).await];
        if let Some(postgres) = empty_schema().await {
            let with = |settings: &mut Settings| {
                change(settings);
                settings.web.database = postgres.as_str().into();
            };
            webs.push(TestWeb::spawn_with(with).await);
        }
        webs
    }

    /// Starts a second app on the same database, like a second process, and returns its address.
    pub(crate) async fn twin(&mut self) -> String {
        let folders = ShareFolders::open(&self.settings.shares).unwrap();
        let app = Box::pin(WebApp::open(&self.settings, self.clock.clone(), folders)).await.unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        self.servers.push(serve(&app, listener, &self.settings, &connections(&self.settings)));
        base
    }

    /// The folder of a share.
    pub(crate) fn share(&self, name: &str) -> &Path {
        &self.settings.shares.iter().find(|share| share.name == name).unwrap().path
    }

    /// Advances the clock.
    pub(crate) fn pass(&self, seconds: u64) {
        self.clock.set(Timestamp::from_secs(self.clock.now().secs() + seconds));
    }

    /// Adds an account with [`PASSWORD`].
    pub(crate) async fn account(&self, email: &str, groups: &[&str]) -> Account {
        let password = Password::new(PASSWORD, 15).unwrap();
        let new = NewAccount {
            email: email.parse().unwrap(),
            name: "Test <b>Person</b>".parse().unwrap(),
            admin: false,
            groups: groups.iter().map(|group| group.parse().unwrap()).collect(),
            password: Some(self.outside.passwords.hash(Asker::Operator, password).await.unwrap()),
        };
        match self.outside.accounts.add(new, self.clock.now()).await.unwrap() {
            AddOutcome::New(account) => account,
            other => panic!("{other:?}"),
        }
    }

    /// Sends all queued mails, and returns all mails sent so far, oldest first.
    pub(crate) async fn mails(&self) -> Vec<Mail> {
        self.app.send_due_mails().await.unwrap();
        outbox(&self.settings.outbox_dir())
    }

    /// A new browser without cookies.
    pub(crate) fn browser(&self) -> Browser {
        Browser::at(&self.base)
    }

    /// A browser in which `email` is logged in.
    pub(crate) async fn logged_in(&self, email: &str) -> Browser {
        let mut browser = self.browser();
        let answer = browser.log_in(email, PASSWORD).await;
        assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/files/")), "{}", answer.body);
        browser
    }

    /// Stops the server.
    pub(crate) async fn stop(self) {
        for server in &self.servers {
            server.stop(false).await;
        }
    }
}

/// The connection registry of a process with these settings.
fn connections(settings: &Settings) -> Connections {
    Connections::new(settings.web.body_memory, settings.connection_limits.settled)
}

/// The production listener, with its limits and deadlines.
fn serve(
    app: &WebApp,
    listener: TcpListener,
    settings: &Settings,
    connections: &Connections,
) -> ServerHandle {
    let server = web_server(listener, app, settings, connections).unwrap();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    handle
}

fn share(folder: &Path, name: &str, reader: &str) -> ShareSettings {
    let path = folder.join("shares").join(name);
    std::fs::create_dir_all(&path).unwrap();
    std::fs::write(path.join("file.txt"), format!("this is {name}")).unwrap();
    ShareSettings { name: name.to_owned(), path, read: vec![reader.to_owned()], ..ShareSettings::default() }
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) location: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) set_cookies: Vec<String>,
    pub(crate) body: String,
}

impl Answer {
    /// The CSRF token of the first form on the page.
    pub(crate) fn csrf(&self) -> String {
        let (_, rest) = self.body.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("{self:?}"));
        rest.split('"').next().unwrap().to_owned()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// The mark of the instance behind the name of a cookie, if it is the cookie `name`.
pub(crate) fn mark_of<'n>(full: &'n str, name: &str) -> Option<&'n str> {
    let mark = full.strip_prefix(name)?.strip_prefix('-')?;
    (mark.len() == 8 && mark.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(mark)
}

/// A client that keeps cookies and does not follow redirects.
#[derive(Clone)]
pub(crate) struct Browser {
    client: Client,
    pub(crate) base: String,
    pub(crate) cookies: BTreeMap<String, String>,
    /// Headers to send with every request.
    pub(crate) headers: Vec<(&'static str, String)>,
}

impl Browser {
    /// A new browser without cookies, for the app at `base`.
    pub(crate) fn at(base: &str) -> Browser {
        Browser {
            client: Client::default(),
            base: base.to_owned(),
            cookies: BTreeMap::new(),
            headers: Vec::new(),
        }
    }

    /// The value of a cookie. Behind its name is the mark of the instance.
    pub(crate) fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(full, _)| mark_of(full, name).is_some()).map(|(_, value)| value.as_str())
    }

    /// Gives a cookie another value, after the app has set any cookie.
    pub(crate) fn plant(&mut self, name: &str, value: &str) {
        let (any, _) = self.cookies.first_key_value().unwrap();
        let full = format!("{name}-{}", any.rsplit_once('-').unwrap().1);
        self.cookies.insert(full, value.to_owned());
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Method::GET, path, None).await
    }

    pub(crate) async fn send(&mut self, method: Method, path: &str, body: Option<(&str, String)>) -> Answer {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers: Vec<(&str, &str)> =
            self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        let (kind, body) = body.unzip();
        headers.extend(kind.map(|kind| ("content-type", kind)));
        let url = format!("{}{path}", self.base);
        let reply = self.client.send(method, &url, &headers, body.unwrap_or_default().into_bytes()).await;
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let set_cookies: Vec<String> = reply.headers.get_all("set-cookie").iter().map(text).collect();
        for cookie in &set_cookies {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Answer {
            status: reply.status.as_u16(),
            location: reply.headers.get("location").map(text),
            headers: reply.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            set_cookies,
            body: reply.text(),
        }
    }

    /// Posts a form exactly as given.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let body = form(fields);
        self.send(Method::POST, path, Some((FORM, body))).await
    }

    /// Opens the page `from` and posts the form to `path` with that page's CSRF token.
    pub(crate) async fn fill(&mut self, from: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
        let csrf = self.get(from).await.csrf();
        let mut fields = fields.to_vec();
        fields.push(("csrf", &csrf));
        self.post(path, &fields).await
    }

    pub(crate) async fn log_in(&mut self, email: &str, password: &str) -> Answer {
        self.fill("/login", "/login", &[("email", email), ("password", password)]).await
    }
}

/// Encodes fields as a form.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> =
        fields.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

/// The content type of a form.
pub(crate) const FORM: &str = "application/x-www-form-urlencoded";

/// Requests that none of our pages sends instead of a form with `fields`, all of them required: the status
/// of the refusal, the content type and the body. `too_many` is a number of bytes over the limit.
pub(crate) fn malformed(
    fields: &[(&str, &str)],
    token: &str,
    too_many: usize,
) -> Vec<(u16, &'static str, String)> {
    let whole = form(&[fields, &[("csrf", token)]].concat());
    let mut bad = vec![
        (413, FORM, format!("{whole}&x={}", "a".repeat(too_many))),
        (400, FORM, format!("{whole}&csrf={token}")),
        (400, FORM, format!("{whole}&unknown=1")),
        (415, "multipart/form-data; boundary=x", whole.clone()),
        (415, "application/json", "{}".to_owned()),
        (415, "text/plain", whole.clone()),
        (403, FORM, String::new()),
    ];
    for (name, value) in fields {
        let missing: Vec<_> = fields.iter().filter(|(other, _)| other != name).copied().collect();
        let missing = form(&[&missing[..], &[("csrf", token)]].concat());
        bad.push((400, FORM, missing.clone()));
        bad.push((400, FORM, format!("{whole}&{}", form(&[(name, value)]))));
        bad.push((400, FORM, format!("{missing}&{name}=%ff")));
    }
    bad
}
