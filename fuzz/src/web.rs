//! Requests to the web app, with its real routes, extractors, database and shares, but without a socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use actix_http::Request;
use actix_web::body::to_bytes;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use actix_web::rt::{System, SystemRunner};
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, HttpResponse, web};
use futures_util::future::LocalBoxFuture;
use oncelink::clock::{Clock, Timestamp};
use oncelink::config::{Settings, ShareSettings};
use oncelink::files::ShareFolders;
use oncelink::secret::Secret;
use oncelink::web::api_keys::{KeyForm, MakeKeyOutcome};
use oncelink::web::audit::Actor;
use oncelink::web::http::cookies::Cookies;
use oncelink::web::http::csrf;
use oncelink::web::http::extract::{OpenForm, StrangerForm};
use oncelink::web::identity::NewAccount;
use oncelink::web::identity::passwords::{Asker, Password};
use oncelink::web::services::Services;
use oncelink::web::shares::name::FileName;
use percent_encoding::percent_decode_str;
use tempfile::TempDir;

use crate::lines;

const EMAIL: &str = "ada@example.org";
const PASSWORD: &str = "a long test password";
const FORM: &str = "application/x-www-form-urlencoded";

const PUBLIC_URL: &str = "http://localhost";

/// The value of a browser's form cookie.
const COOKIE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Sessions must not end while the fuzzer runs.
const FOREVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// What a browser with the form cookie sends.
fn form_cookie() -> String {
    Cookies::new(PUBLIC_URL).keep_form(&Secret::presented(COOKIE)).stripped().to_string()
}

/// The names and values of a form's fields.
type Fields = Vec<(String, String)>;

/// The status, headers and body of a response.
type Answer = (StatusCode, HeaderMap, Vec<u8>);

/// A web app with one share, and the session of Ada, who may write to it.
pub struct Web {
    system: SystemRunner,
    app: Sender,
    clock: Clock,
    session: Secret,
    /// An API key of Ada's.
    key: Secret,
    share: PathBuf,
    folder: TempDir,
}

impl Web {
    /// Starts the app in a temporary folder.
    pub fn start() -> Web {
        let folder = tempfile::tempdir().unwrap();
        let share = folder.path().join("shares/open");
        fs::create_dir_all(&share).unwrap();
        let everyone = vec!["everyone".to_owned()];
        let mut settings = Settings { data_dir: folder.path().join("data"), ..Settings::default() };
        settings.web.public_url = PUBLIC_URL.to_owned();
        settings.web.session_idle = FOREVER;
        settings.web.session_max = FOREVER;
        settings.shares = vec![ShareSettings {
            name: "open".to_owned(),
            path: share.clone(),
            read: everyone.clone(),
            write: everyone,
            ..ShareSettings::default()
        }];
        let clock = Clock::manual(Timestamp::from_secs(1_800_000_000));
        let system = System::new();
        let (app, key) = system.block_on(app(&settings, &clock));
        let mut web = Web { system, app, clock, session: Secret::presented(""), key, share, folder };
        web.log_in();
        web
    }

    /// Starts an app that is never dropped, for programs that libFuzzer ends with `exit`.
    pub fn leaked() -> &'static Web {
        Box::leak(Box::new(Web::start()))
    }

    fn log_in(&mut self) {
        let token = csrf::token_for(&Secret::presented(COOKIE));
        let body = format!("csrf={token}&email=ada%40example.org&password=a+long+test+password");
        let request = TestRequest::post().uri("/login").insert_header((CONTENT_TYPE, FORM)).set_payload(body);
        let (status, headers, _) = self.send(request.insert_header(("cookie", form_cookie())));
        assert_eq!(status, StatusCode::SEE_OTHER);
        let cookies = headers.get_all("set-cookie").filter_map(|cookie| cookie.to_str().ok());
        let session = cookies
            .filter_map(|cookie| cookie.strip_prefix("sid-")?.split_once('=')?.1.split(';').next())
            .next();
        self.session = Secret::presented(session.unwrap());
    }

    fn send(&self, request: TestRequest) -> Answer {
        // Keeps the account below its rate limits.
        self.clock.set(self.clock.now().plus(Duration::from_secs(1)));
        let request =
            request.insert_header(("host", "localhost")).insert_header(("accept", "application/json"));
        let request = request.peer_addr(([127, 0, 0, 1], 1).into()).to_request();
        self.system.block_on((self.app)(request))
    }

    fn send_signed_in(&self, request: TestRequest) -> Answer {
        let token = csrf::token_for(&self.session);
        let cookie = Cookies::new(PUBLIC_URL).set_session(&self.session, None).stripped().to_string();
        let request = request.insert_header(("cookie", cookie));
        self.send(request.insert_header(("x-csrf-token", token)))
    }

    /// Sends any body as a form. Its fields must be those that another parser finds, and the form must be
    /// accepted as ours only with the token that belongs to the browser's cookie.
    pub fn form(&self, data: &[u8]) {
        let read = read_form(data);
        let post = |uri: &str, body: Vec<u8>| {
            TestRequest::post().uri(uri).insert_header((CONTENT_TYPE, FORM)).set_payload(body)
        };
        let fields_of = |answer: &Answer| -> (bool, Fields) { serde_json::from_slice(&answer.2).unwrap() };

        let open = self.send(post("/probe/open", data.to_vec()));
        match &read {
            None => assert!(open.0.is_client_error(), "{open:?}"),
            Some((token, fields)) => {
                assert_eq!(open.0, StatusCode::OK, "{open:?}");
                assert_eq!(fields_of(&open), (!token.is_empty(), fields.clone()));
            }
        }

        let secret = Secret::presented(COOKIE);
        let is_ours = read.as_ref().is_some_and(|(token, _)| csrf::matches(&secret, token));
        let cookie = ("cookie", form_cookie());
        let own = self.send(post("/probe/own", data.to_vec()).insert_header(cookie.clone()));
        assert_eq!(own.0 == StatusCode::OK, is_ours, "{own:?}");

        let with_token = [b"csrf=", csrf::token_for(&secret).as_bytes(), b"&", data].concat();
        let own = self.send(post("/probe/own", with_token.clone()).insert_header(cookie));
        match read_form(&with_token) {
            None => assert!(own.0.is_client_error(), "{own:?}"),
            Some((_, fields)) => assert_eq!((own.0, fields_of(&own)), (StatusCode::OK, (true, fields))),
        }
    }

    /// Sends any body to the API. It makes a link, or is refused with a problem document that is itself valid; what isn't
    /// JSON is always refused for that.
    pub fn json(&self, data: &[u8]) {
        let request =
            TestRequest::post().uri("/api/v1/links").insert_header((CONTENT_TYPE, "application/json"));
        let bearer = ("authorization", format!("Bearer {}", self.key.reveal()));
        let (status, headers, body) = self.send(request.insert_header(bearer).set_payload(data.to_vec()));
        let is_json = serde_json::from_slice::<serde_json::Value>(data).is_ok();
        if status == StatusCode::CREATED {
            assert!(is_json, "a link was made of what isn't JSON");
            return;
        }
        assert!(status.is_client_error(), "{status}: {}", String::from_utf8_lossy(&body));
        assert_eq!(headers.get(CONTENT_TYPE).unwrap(), "application/problem+json");
        let problem: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(problem["status"], status.as_u16(), "{problem}");
        assert!(problem["type"].as_str().is_some_and(|slug| !slug.is_empty()), "{problem}");
        assert!(is_json || matches!(status.as_u16(), 400 | 413), "{problem}");
    }

    /// Sends any bytes after the first two fields of the upload form, with `b` as the boundary. What is stored
    /// must come from the body, and must be in the named folder under a valid name.
    pub fn multipart(&self, data: &[u8]) {
        let token = csrf::token_for(&self.session);
        let start = format!(
            "--b\r\nContent-Disposition: form-data; name=\"csrf\"\r\n\r\n{token}\r\n\
             --b\r\nContent-Disposition: form-data; name=\"folder\"\r\n\r\n/open\r\n"
        );
        let kind = (CONTENT_TYPE, "multipart/form-data; boundary=b");
        let request = TestRequest::post().uri("/files-upload").insert_header(kind);
        let (status, _, body) = self.send_signed_in(request.set_payload([start.as_bytes(), data].concat()));
        let fine = status == StatusCode::SEE_OTHER || status == StatusCode::OK || status.is_client_error();
        assert!(fine && status != StatusCode::FORBIDDEN, "{status} {}", String::from_utf8_lossy(&body));
        let files = self.take_files();
        assert!(status != StatusCode::SEE_OTHER || !files.is_empty());
        for (path, content) in files {
            assert!(path.parent().is_some_and(|parent| parent == self.share), "{path:?}");
            assert!(
                content.is_empty() || data.windows(content.len()).any(|bytes| bytes == content),
                "{path:?}"
            );
        }
    }

    /// Creates a tus upload. The lines of the input are the values of `Upload-Metadata`, `Upload-Length`,
    /// `Upload-Concat`, `Upload-Defer-Length` and `Upload-Checksum`; an empty line leaves the header out. The
    /// rest is the body. A created upload can be queried and deleted, and must leave only valid files behind.
    pub fn tus(&self, data: &[u8]) {
        const NAMES: [&str; 5] =
            ["upload-metadata", "upload-length", "upload-concat", "upload-defer-length", "upload-checksum"];
        let mut request = TestRequest::post().uri("/uploads").insert_header(("tus-resumable", "1.0.0"));
        let mut at = 0;
        for (name, line) in NAMES.into_iter().zip(lines(data)) {
            at += line.len() + 1;
            match HeaderValue::from_bytes(line) {
                Ok(_) if line.is_empty() => {}
                Ok(value) => request = request.insert_header((name, value)),
                Err(_) => return,
            }
        }
        let body = data.get(at..).unwrap_or_default();
        if !body.is_empty() {
            let kind = (CONTENT_TYPE, "application/offset+octet-stream");
            let length = ("content-length", body.len().to_string());
            request = request.insert_header(kind).insert_header(length).set_payload(body.to_vec());
        }
        let (status, headers, answer) = self.send_signed_in(request);
        // There may be no room for an exabyte.
        let fine = status == StatusCode::CREATED
            || status == StatusCode::INSUFFICIENT_STORAGE
            || status.is_client_error();
        assert!(fine, "{status} {}", String::from_utf8_lossy(&answer));
        if let Some(location) = headers.get("location").filter(|_| status == StatusCode::CREATED) {
            let location = location.to_str().unwrap();
            let of = |method: TestRequest| method.uri(location).insert_header(("tus-resumable", "1.0.0"));
            let (status, ..) =
                self.send_signed_in(of(TestRequest::with_uri("/").method("HEAD".parse().unwrap())));
            assert_eq!(status, StatusCode::OK);
            let (status, ..) = self.send_signed_in(of(TestRequest::delete()));
            assert!(!status.is_server_error(), "{status}");
        }
        for (_, content) in self.take_files() {
            assert!(content.is_empty() || content == body);
        }
    }

    /// Returns the uploaded files and removes them. Checks that there is nothing outside the share, that nothing
    /// is left of unfinished uploads, and that all names are valid.
    fn take_files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let names = |folder: &Path| -> Vec<String> {
            let entries = fs::read_dir(folder).unwrap();
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
        };
        assert_eq!(names(&self.folder.path().join("shares")), ["open"]);
        let own = self.share.join(".oncelink/uploads");
        assert!(!own.exists() || names(&own).is_empty(), "{:?}", names(&own));
        let mut files = Vec::new();
        let mut folders = vec![self.share.clone()];
        while let Some(folder) = folders.pop() {
            for name in names(&folder).into_iter().filter(|name| folder != self.share || name != ".oncelink")
            {
                assert_eq!(FileName::typed(&name).map(|name| name.to_string()), Ok(name.clone()));
                let path = folder.join(name);
                match path.is_dir() {
                    true => folders.push(path),
                    false => files.push((path.clone(), fs::read(&path).unwrap())),
                }
            }
        }
        for name in names(&self.share).into_iter().filter(|name| name != ".oncelink") {
            let path = self.share.join(name);
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
        files
    }
}

/// Opens the app with an account for Ada, and adds two routes that return the parsed fields of a form.
/// How requests are sent to the app.
type Sender = Box<dyn Fn(Request) -> LocalBoxFuture<'static, Answer>>;

async fn app(settings: &Settings, clock: &Clock) -> (Sender, Secret) {
    let folders = ShareFolders::open(&settings.shares).unwrap();
    let app = oncelink::web::WebApp::open(settings, clock.clone(), folders).await.unwrap();
    let services = Services::open(settings, clock.clone()).await.unwrap();
    let password = Password::new(PASSWORD, 15).unwrap();
    let ada = NewAccount {
        email: EMAIL.parse().unwrap(),
        name: "Ada".parse().unwrap(),
        admin: false,
        groups: Default::default(),
        password: Some(services.passwords.hash(Asker::Operator, password).await.unwrap()),
    };
    services.accounts.add(ada, clock.now()).await.unwrap();
    let ada = services.accounts.by_email(&EMAIL.parse().unwrap()).await.unwrap().unwrap();
    let form = KeyForm { name: "Fuzzer".to_owned(), scopes: "links".parse().unwrap(), ..KeyForm::default() };
    let terms = form.check(&Default::default(), false, clock.now()).unwrap();
    let made = services.api_keys.make(&ada, &terms, &Actor::operator(), clock.now()).await.unwrap();
    let MakeKeyOutcome::Made(_, key) = made else { panic!("{made:?}") };
    let open = async |form: OpenForm<Fields>| HttpResponse::Ok().json((form.is_of_a_page, form.fields));
    let own = async |form: StrangerForm<Fields>| HttpResponse::Ok().json((true, form.fields));
    let service = App::new()
        .route("/probe/open", web::post().to(open))
        .route("/probe/own", web::post().to(own))
        .configure(|cfg| app.configure(cfg));
    let service = init_service(service).await;
    let send: Sender = Box::new(move |request| {
        let answering = service.call(request);
        Box::pin(async move {
            let response: ServiceResponse = answering.await.unwrap();
            let (status, headers) = (response.status(), response.headers().clone());
            (status, headers, to_bytes(response.into_body()).await.unwrap().to_vec())
        })
    });
    (send, key)
}

/// Parses a form as the URL standard does, into its token and its other fields; `None` if it is not a form
/// in UTF-8 or has the token twice.
fn read_form(body: &[u8]) -> Option<(String, Fields)> {
    let text = str::from_utf8(body).ok()?;
    let decode = |text: &str| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let (mut token, mut fields) = (None, Fields::new());
    for pair in text.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == "csrf" {
            if token.replace(decode(value)?).is_some() {
                return None;
            }
        } else if !pair.is_empty() {
            fields.push((decode(&name.replace('+', " "))?, decode(&value.replace('+', " "))?));
        }
    }
    Some((token.unwrap_or_default(), fields))
}
