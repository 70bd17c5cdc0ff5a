//! The proxy configurations in `deploy/`, as they are shipped: real proxies with TLS in front of the real program,
//! with two host names, and with one host name and Unix sockets behind it. Only names, places and folders are
//! replaced.

use std::fs::{self, File};
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tempfile::TempDir;

use crate::needs::has_program;
use crate::support::process::{PROGRAM, Process};
use crate::support::programs::run;
use crate::support::proxies::{Front, Kind};
use crate::support::tus::metadata;
use crate::support::web::PASSWORD;
use crate::support::{pattern, unused_address};

/// The size of the uploaded file.
const SIZE: usize = 200_000_000;
/// Where a client hangs up.
const BREAK: usize = 60_000_000;

/// The shipped file with the addresses of a test, which lie in `folder`.
fn shipped(kind: Kind, site: &Site, folder: &Path) -> String {
    let file = match (kind, site.hosts) {
        (Kind::Nginx, Hosts::Two) => "nginx/oncelink.conf",
        (Kind::Nginx, Hosts::One) => "nginx/one-host.conf",
        (Kind::Haproxy, Hosts::Two) => "haproxy/haproxy.cfg",
        (Kind::Haproxy, Hosts::One) => "haproxy/one-host.cfg",
        (Kind::Caddy, Hosts::Two) => "caddy/Caddyfile",
        (Kind::Caddy, Hosts::One) => "caddy/one-host.Caddyfile",
        (Kind::Apache, Hosts::Two) => "apache/oncelink.conf",
        other => panic!("{other:?} is not shipped"),
    };
    let text = fs::read_to_string(Path::new("deploy").join(file)).unwrap();
    let (dir, certificates) = (folder.display().to_string(), site.dir.path().join("tls"));
    let (tls, plain) = (site.front.to_string(), unused_address().to_string());
    // Every replacement must find its place, so that this test fails when the file changes.
    let text = |pairs: &[(&str, String)]| {
        pairs.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "{from:?} is not in {file}");
            text.replace(from, to)
        })
    };
    let certificates = certificates.display();
    let at = |service: &str, address: SocketAddr| match (kind, site.hosts) {
        (_, Hosts::Two) => address.to_string(),
        (Kind::Nginx, Hosts::One) => format!("unix:{}", site.socket(service)),
        (Kind::Haproxy, Hosts::One) => format!("unix@{}", site.socket(service)),
        (_, Hosts::One) => format!("unix/{}", site.socket(service)),
    };
    let common = [("127.0.0.1:8080", at("web", site.web)), ("127.0.0.1:8081", at("download", site.download))];
    match kind {
        Kind::Nginx => {
            let own = [
                ("listen 80;", format!("listen {plain};")),
                ("listen 443 ", format!("listen {tls} ")),
                ("/etc/ssl/oncelink", certificates.to_string()),
                ("/var/log/nginx", dir.clone()),
            ];
            let text = text(&[common.as_slice(), &own].concat());
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {dir}/{name};\n"))
                .concat();
            format!(
                "worker_processes 1;\ndaemon off;\npid {dir}/pid;\nerror_log {dir}/error.log warn;\nevents {{}}\n\
                 http {{\n{temporary}{text}}}\n"
            )
        }
        Kind::Haproxy => {
            let own = [
                ("bind :80", format!("bind {plain}")),
                ("bind :443", format!("bind {tls}")),
                ("/etc/ssl/oncelink", certificates.to_string()),
                ("log /dev/log local0", "log stdout format raw local0".to_owned()),
            ];
            text(&[common.as_slice(), &own].concat())
        }
        Kind::Caddy => {
            let pair = format!("tls {certificates}/fullchain.pem {certificates}/privkey.pem");
            let at =
                |name: &str| format!("\nhttps://{name}:{} {{\n\tbind 127.0.0.1\n\t{pair}", site.front.port());
            let mut own = vec![
                (
                    "\n{\n",
                    format!(
                        "\n{{\n\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system {dir}/storage\n"
                    ),
                ),
                ("\nfiles.example.org {", at(FILES)),
            ];
            if site.hosts == Hosts::Two {
                own.push(("\ndl.example.org {", at(DOWNLOADS)));
            }
            text(&[common.as_slice(), &own].concat())
        }
        _ => {
            let own = [
                ("*:80", plain.clone()),
                ("*:443", tls.clone()),
                ("/etc/ssl/oncelink", certificates.to_string()),
                ("${APACHE_LOG_DIR}", dir.clone()),
            ];
            let text = text(&[common.as_slice(), &own].concat());
            let modules = [
                "mpm_event",
                "authz_core",
                "headers",
                "http2",
                "proxy",
                "proxy_http",
                "setenvif",
                "ssl",
                "alias",
                "socache_shmcb",
            ]
            .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
            .concat();
            format!(
                "ServerRoot \"{dir}\"\nServerName localhost\nPidFile \"{dir}/pid\"\nErrorLog \"{dir}/error.log\"\n\
                 {modules}Mutex file:{dir}\nListen {plain}\nListen {tls}\n{text}"
            )
        }
    }
}

/// The host names of the shipped files.
const FILES: &str = "files.example.org";
const DOWNLOADS: &str = "dl.example.org";

/// Whether each service has a host name, or both have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hosts {
    One,
    Two,
}

/// The program with its settings, and the address of the proxy in front of it.
struct Site {
    dir: TempDir,
    hosts: Hosts,
    front: SocketAddr,
    web: SocketAddr,
    download: SocketAddr,
}

impl Site {
    fn new(hosts: Hosts) -> Site {
        let free = || unused_address();
        let site = Site { dir: TempDir::new().unwrap(), hosts, front: free(), web: free(), download: free() };
        for folder in ["share", "tls", "client"] {
            fs::create_dir(site.path(folder)).unwrap();
        }
        let (web, download) = (site.web, site.download);
        let ([own, other], proxies) = match hosts {
            Hosts::Two => ([format!("'{web}'"), format!("'{download}'")], "trusted_proxies = ['127.0.0.1']"),
            // The test itself asks the web app whether it is ready.
            Hosts::One => (
                [
                    format!("['{web}', 'unix:{}']", site.socket("web")),
                    format!("'unix:{}'", site.socket("download")),
                ],
                "",
            ),
        };
        let settings = format!(
            "data_dir = 'data'\n[web]\nlisten = {own}\npublic_url = '{}'\n{proxies}\n[download]\n\
             listen = {other}\npublic_url = '{}'\n{proxies}\n\
             [[share]]\nname = 'open'\npath = 'share'\nwrite = ['everyone']\nmanage = ['everyone']\n",
            site.page(""),
            site.downloads(),
        );
        fs::write(site.path("oncelink.toml"), settings).unwrap();
        site.certificate();
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A certificate for both names, and what HAProxy expects: both in one file.
    fn certificate(&self) {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
            .args(["-days", "2", "-subj", "/CN=oncelink", "-keyout", "privkey.pem", "-out", "fullchain.pem"])
            .args(["-addext", &format!("subjectAltName=DNS:{FILES},DNS:{DOWNLOADS}")])
            .current_dir(self.path("tls"))
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert!(made.success());
        let [chain, key] =
            ["fullchain.pem", "privkey.pem"].map(|name| fs::read(self.path("tls").join(name)).unwrap());
        fs::write(self.path("tls").join("bundle.pem"), [chain, key].concat()).unwrap();
    }

    /// Runs the program to its end, and returns what it printed.
    fn oncelink(&self, arguments: &[&str], input: &str) -> String {
        let mut child = Command::new(PROGRAM)
            .args(arguments)
            .current_dir(self.dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    fn start(&self) -> Process {
        let log = File::create(self.path("log")).unwrap();
        let child = Command::new(PROGRAM)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut process = Process::of(child, self.web, self.path("log"));
        process.wait_until_ready();
        process
    }

    fn socket(&self, service: &str) -> String {
        self.path(&format!("{service}.sock")).display().to_string()
    }

    /// The public address of the download service.
    fn downloads(&self) -> String {
        let host = if self.hosts == Hosts::One { FILES } else { DOWNLOADS };
        format!("https://{host}:{}", self.front.port())
    }

    /// The address of a page through the proxy.
    fn page(&self, path: &str) -> String {
        format!("https://{FILES}:{}{path}", self.front.port())
    }

    /// curl with a cookie jar, which knows the two names and trusts the certificate.
    async fn curl(&self, arguments: &[&str]) -> String {
        let words = self.curl_words();
        let words: Vec<&str> = words.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        let ended = run(&self.path("client"), "curl", &words).await;
        assert_eq!(
            ended.code,
            Some(0),
            "{arguments:?}: {}\n{}",
            ended.said,
            fs::read_to_string(self.path("log")).unwrap()
        );
        ended.said
    }

    fn curl_words(&self) -> Vec<String> {
        let port = self.front.port();
        let authority = self.path("tls").join("fullchain.pem").display().to_string();
        let mut words: Vec<String> =
            ["-sS", "-b", "jar", "-c", "jar", "--cacert", &authority].map(str::to_owned).into();
        for name in [FILES, DOWNLOADS] {
            words.extend(["--resolve".to_owned(), format!("{name}:{port}:127.0.0.1")]);
        }
        words
    }

    /// The token of the forms on a page.
    async fn form_token(&self, path: &str) -> String {
        let page = self.curl(&[&self.page(path)]).await;
        let (_, rest) = page.split_once("name=\"csrf\" value=\"").unwrap_or_else(|| panic!("{path}: {page}"));
        rest.split('"').next().unwrap().to_owned()
    }

    /// The value of a header of a response that was printed with `-D -`.
    fn header<'r>(response: &'r str, name: &str) -> &'r str {
        let mut lines = response.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(found, _)| found.eq_ignore_ascii_case(name))
            .unwrap_or_else(|| panic!("{name}: {response}"))
            .1
    }

    /// Presses *Download*, and returns the download address.
    async fn press(&self, token: &str, file: &str) -> String {
        let (token, file) = (format!("csrf={token}"), format!("file={file}"));
        let response = self
            .curl(&[
                "-D",
                "-",
                "--data-urlencode",
                &token,
                "--data-urlencode",
                &file,
                &self.page("/download"),
            ])
            .await;
        Site::header(&response, "location").trim().to_owned()
    }
}

/// The jti of the token in a download address.
fn jti_of(link: &str) -> String {
    let (_, token) = link.rsplit_once("/d/").unwrap();
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    claims["jti"].as_str().unwrap().to_owned()
}

/// What an operator expects of a proxy that follows the shipped file.
async fn works_behind(kind: Kind, hosts: Hosts) {
    if !has_program("curl") || !has_program("openssl") {
        return;
    }
    let site = Site::new(hosts);
    if !has_program(kind.program()) {
        return;
    }
    site.oncelink(&["user", "add", "ada@example.org", "--password-stdin"], &format!("{PASSWORD}\n"));
    // Before the proxy, which asks it whether it is ready.
    let _process = site.start();
    let front = Front::start_with(kind, site.front, |folder| shipped(kind, &site, folder)).unwrap();

    // Log in, over HTTP/2, with cookies that only HTTPS carries.
    let token = site.form_token("/login").await;
    let fields = [("csrf", token.as_str()), ("email", "ada@example.org"), ("password", PASSWORD)];
    let fields =
        fields.map(|(name, value)| ["--data-urlencode".to_owned(), format!("{name}={value}")]).concat();
    let login = site.page("/login");
    let mut arguments: Vec<&str> = fields.iter().map(String::as_str).collect();
    arguments.extend(["-o", "/dev/null", "-w", "%{http_code} %{http_version}", &login]);
    assert_eq!(site.curl(&arguments).await, "303 2");
    assert!(fs::read_to_string(site.path("client/jar")).unwrap().contains("__Host-"));

    // Upload 200 MB.
    let content = pattern(SIZE);
    fs::write(site.path("client/content"), &content).unwrap();
    let token = site.form_token("/account").await;
    let csrf = format!("X-CSRF-Token: {token}");
    let tus = ["-D", "-", "-o", "/dev/null", "-H", &csrf, "-H", "Tus-Resumable: 1.0.0"];
    let named = format!("Upload-Metadata: {}", metadata(&[("folder", "/open"), ("filename", "big.bin")]));
    let length = format!("Upload-Length: {SIZE}");
    let uploads = site.page("/uploads");
    let begin = [tus.as_slice(), &["-X", "POST", "-H", &length, "-H", &named, &uploads]].concat();
    let begun = site.curl(&begin).await;
    let location = site.page(Site::header(&begun, "location").trim());
    let bytes = "Content-Type: application/offset+octet-stream";
    let send =
        [tus.as_slice(), &["-X", "PATCH", "-T", "content", "-H", "Upload-Offset: 0", "-H", bytes, &location]]
            .concat();
    let sent = site.curl(&send).await;
    assert_eq!(Site::header(&sent, "upload-offset").trim(), SIZE.to_string());
    assert!(fs::read(site.path("share/big.bin")).unwrap() == content);

    // Download it, hang up on the way, and continue without a key.
    let link = site.press(&token, "/open/big.bin").await;
    assert!(link.starts_with(&format!("{}/d/", site.downloads())), "{link}");
    let words: Vec<String> = site.curl_words().iter().map(|word| format!("'{word}'")).collect();
    let broken = format!("curl {} '{link}' 2>/dev/null | head -c {BREAK} >part", words.join(" "));
    run(&site.path("client"), "sh", &["-c", &broken]).await;
    assert_eq!(fs::metadata(site.path("client/part")).unwrap().len(), BREAK as u64);
    site.curl(&["-f", "-C", "-", "-o", "part", &link]).await;
    assert!(fs::read(site.path("client/part")).unwrap() == content, "{kind:?}");
    let status = ["-o", "/dev/null", "-w", "%{http_code}"];
    assert_eq!(site.curl(&[status.as_slice(), &[&link]].concat()).await, "410");

    // Revoke a token that nobody has used.
    fs::write(site.path("share/small.txt"), "small").unwrap();
    let revoked = site.press(&token, "/open/small.txt").await;
    let jti = jti_of(&revoked);
    site.oncelink(&["revoke", "--", &jti], "");
    assert_eq!(site.curl(&[status.as_slice(), &[&revoked]].concat()).await, "410");

    // What the services say to each other isn't for the public, and no log contains a token.
    let mut inner = vec![site.page("/receipts"), format!("{}/revocations", site.downloads())];
    if hosts == Hosts::One {
        inner.extend(["/readyz", "/%72eadyz", "/manifests/x"].map(|path| site.page(path)));
        assert_eq!(site.curl(&[status.as_slice(), &[&site.page("/healthz")]].concat()).await, "200");
    }
    for address in &inner {
        assert_eq!(site.curl(&[status.as_slice(), &["-d", "", address]].concat()).await, "404", "{address}");
    }
    for folder in ["l", "r", "activate", "reset", "confirm-address", "unsubscribe/mails"] {
        site.curl(&["-o", "/dev/null", &site.page(&format!("/{folder}/secret-in-an-address"))]).await;
    }
    let token = link.rsplit_once("/d/").unwrap().1;
    let logs = front.logs();
    for logged in ["/login", "/d/-", "/l/-", "/unsubscribe/-"] {
        assert!(logs.contains(logged), "{logged}: {logs}");
    }
    for secret in [token, "secret-in-an-address", PASSWORD] {
        assert!(!logs.contains(secret), "{secret}: {logs}");
    }
}

#[actix_web::test]
async fn people_log_in_upload_download_and_resume_behind_the_shipped_nginx() {
    works_behind(Kind::Nginx, Hosts::Two).await;
}

#[actix_web::test]
async fn people_log_in_upload_download_and_resume_behind_the_shipped_haproxy() {
    works_behind(Kind::Haproxy, Hosts::Two).await;
}

#[actix_web::test]
async fn people_log_in_upload_download_and_resume_behind_the_shipped_caddy() {
    works_behind(Kind::Caddy, Hosts::Two).await;
}

#[actix_web::test]
async fn people_log_in_upload_download_and_resume_behind_the_shipped_apache() {
    works_behind(Kind::Apache, Hosts::Two).await;
}

#[actix_web::test]
async fn both_services_work_under_one_host_name_behind_the_shipped_nginx() {
    works_behind(Kind::Nginx, Hosts::One).await;
}

#[actix_web::test]
async fn both_services_work_under_one_host_name_behind_the_shipped_haproxy() {
    works_behind(Kind::Haproxy, Hosts::One).await;
}

#[actix_web::test]
async fn both_services_work_under_one_host_name_behind_the_shipped_caddy() {
    works_behind(Kind::Caddy, Hosts::One).await;
}
