//! The settings: which are read, from where, and what an operator is told about a mistake.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use oncelink::config::{LogFormat, Resume, SettingOrigin, Settings, SettingsError, Signup};

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn from_file(text: &str) -> (tempfile::TempDir, PathBuf, Result<Settings, SettingsError>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("oncelink.toml");
    std::fs::write(&path, text).unwrap();
    let settings = Settings::load(Some(&path), []);
    (folder, path, settings)
}

fn from_environment(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    Settings::load(None, variables(pairs))
}

#[test]
fn without_a_file_and_variables_the_defaults_apply() {
    let settings = Settings::load(None, []).unwrap();
    assert_eq!(settings, Settings::default());
    assert_eq!(settings.web.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.web.public_url, "http://127.0.0.1:8080");
    assert_eq!(settings.web.signup, Signup::Open);
    assert_eq!(settings.download.listen.to_string(), "127.0.0.1:8081");
    assert_eq!(settings.download.public_url, "http://127.0.0.1:8081");
    assert_eq!(settings.download.keys, "http://127.0.0.1:8080/.well-known/jwks.json");
    assert_eq!(settings.download.receipts, "http://127.0.0.1:8080/receipts");
    assert_eq!(settings.node_key_file(), Path::new("data/keys/node-key"));
    assert_eq!(settings.download.used_tokens.as_str(), "sled");
    assert_eq!(settings.download.resume, Resume::SameClient);
    assert_eq!(settings.download.lease, Duration::from_secs(3600));
    assert_eq!(settings.download.lease_max, Duration::from_secs(24 * 3600));
    assert_eq!(settings.token.lifetime, Duration::from_secs(120));
    assert_eq!(settings.token.max_lifetime, Duration::from_secs(7 * 86_400));
    assert_eq!(settings.token.leeway, Duration::from_secs(5));
    assert_eq!(settings.log.format, LogFormat::Text);
    assert_eq!(settings.data_dir, Path::new("data"));
    assert_eq!(settings.web.account_quota, 5 << 30);
    let shares =
        settings.shares.iter().map(|share| (share.name.as_str(), share.path.to_str(), share.personal));
    let defaults = [("home", Some("storage/home"), true), ("books", Some("storage/books"), false)];
    assert_eq!(shares.collect::<Vec<_>>(), defaults);
}

#[test]
fn the_example_file_contains_every_key_with_its_default() {
    let settings = Settings::load(Some(Path::new("oncelink.example.toml")), []).unwrap();
    assert_eq!(settings, Settings::default());

    // The example contains every setting that the parser knows.
    let example: toml::Table =
        toml::from_str(&std::fs::read_to_string("oncelink.example.toml").unwrap()).unwrap();
    for section in ["web", "download", "token", "mail", "brand", "log"] {
        let shown: BTreeSet<String> = example[section].as_table().unwrap().keys().cloned().collect();
        assert_eq!(shown, fields_of(section), "[{section}]");
    }
    let shown: BTreeSet<String> = example.keys().cloned().collect();
    assert_eq!(shown, fields_of(""));
}

/// The fields that serde would have accepted in a section: the words in backquotes after "expected".
fn fields_of(section: &str) -> BTreeSet<String> {
    let text = if section.is_empty() { "zzz = 1".to_owned() } else { format!("[{section}]\nzzz = 1") };
    let error = toml::from_str::<Settings>(&text).unwrap_err();
    let (_, expected) = error.message().split_once("expected").unwrap();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn a_file_changes_what_it_names_and_nothing_else() {
    let (_folder, _, settings) = from_file(
        "[web]\nsignup = \"closed\"\n[download]\nresume = \"resume-key\"\nlease = \"10m\"\n[log]\nformat = \"json\"\n",
    );
    let mut expected = Settings::default();
    expected.web.signup = Signup::Closed;
    expected.download.resume = Resume::ResumeKey;
    expected.download.lease = Duration::from_secs(600);
    expected.log.format = LogFormat::Json;
    assert_eq!(settings.unwrap(), expected);
}

#[test]
fn the_environment_wins_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("any-name");
    std::fs::write(&path, "[web]\npassword_min = 20\ntrusted_proxies = [\"10.0.0.0/8\"]\n").unwrap();
    let settings = Settings::load(
        Some(&path),
        variables(&[
            ("ONCELINK_WEB__PASSWORD_MIN", "12"),
            ("ONCELINK_DATA_DIR", "2026"),
            ("ONCELINK_DOWNLOAD__TRUSTED_PROXIES", r#"["192.0.2.1", "2001:db8::/32"]"#),
            ("HOME", "/root"),
            ("ONCELINK_TEST_POSTGRES", "postgres://x"),
            ("ONCELINK_VECTORS", "somewhere"),
        ]),
    )
    .unwrap();
    assert_eq!(settings.web.password_min, 12);
    assert_eq!(settings.data_dir, Path::new("2026"));
    assert_eq!(settings.web.trusted_proxies, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(
        settings.download.trusted_proxies,
        ["192.0.2.1".parse().unwrap(), "2001:db8::/32".parse().unwrap()]
    );
}

#[test]
fn shares_come_from_the_environment_as_toml_or_json() {
    for text in [
        r#"[{name="a", path="/srv"}, {name="b", path="rel", read=["friends"], write=["ann"]}]"#,
        r#"[{"name":"a","path":"/srv"}, {"name":"b","path":"rel","read":["friends"],"write":["ann"]}]"#,
    ] {
        let shares = from_environment(&[("ONCELINK_SHARE", text)]).unwrap().shares;
        assert_eq!(shares.len(), 2);
        assert_eq!((shares[0].name.as_str(), shares[0].path.as_path()), ("a", Path::new("/srv")));
        assert_eq!(
            (shares[0].read.as_slice(), shares[0].write.len()),
            (["everyone".to_owned()].as_slice(), 0)
        );
        assert_eq!(shares[1].path, Path::new("rel"));
        assert_eq!(shares[1].write, ["ann"]);
    }
}

#[test]
fn where_others_can_reach_it_people_need_an_invitation_unless_the_operator_says_otherwise() {
    for (address, signup) in [
        ("http://127.0.0.1:8080", Signup::Open),
        ("http://localhost", Signup::Open),
        ("http://oncelink.localhost:8080", Signup::Open),
        ("http://[::1]:8080", Signup::Open),
        ("https://files.example.org", Signup::Invite),
        ("http://192.168.1.7:8080", Signup::Invite),
        ("http://localhost.example.org", Signup::Invite),
    ] {
        let settings = from_environment(&[("ONCELINK_WEB__PUBLIC_URL", address)]).unwrap();
        assert_eq!(settings.web.signup, signup, "{address}");
        let chosen = [("ONCELINK_WEB__PUBLIC_URL", address), ("ONCELINK_WEB__SIGNUP", "open")];
        assert_eq!(from_environment(&chosen).unwrap().web.signup, Signup::Open, "{address}");
    }
    let listening = from_environment(&[("ONCELINK_WEB__LISTEN", "192.168.1.7:8080")]).unwrap();
    assert_eq!(listening.web.signup, Signup::Invite);
}

#[test]
fn a_personal_share_is_the_only_one_and_has_no_lists_of_writers() {
    for (shares, key) in [
        (
            "[{ name = 'a', path = 'a', personal = true }, { name = 'b', path = 'b', personal = true }]",
            "share[1].personal",
        ),
        ("[{ name = 'a', path = 'a', personal = true, write = ['staff'] }]", "share[0].write"),
        ("[{ name = 'a', path = 'a', personal = true, manage = ['everyone'] }]", "share[0].manage"),
    ] {
        match from_environment(&[("ONCELINK_SHARE", shares)]) {
            Err(SettingsError::Key { key: named, .. }) => assert_eq!(named, key, "{shares}"),
            other => panic!("{shares}: {other:?}"),
        }
    }
    let read = "[{ name = 'a', path = 'a', personal = true, read = ['staff'] }]";
    assert!(from_environment(&[("ONCELINK_SHARE", read)]).unwrap().shares[0].personal);
}

#[test]
fn every_key_can_be_set_by_its_variable() {
    let example: toml::Table =
        toml::from_str(&std::fs::read_to_string("oncelink.example.toml").unwrap()).unwrap();
    let mut tried = 0;
    for (name, value) in &example {
        let section =
            value.as_table().map(|table| table.iter().map(|(key, value)| (format!("{name}__{key}"), value)));
        let keys: Vec<_> = match section {
            Some(keys) => keys.collect(),
            None => vec![(name.clone(), value)],
        };
        for (key, value) in keys {
            let variable = format!("ONCELINK_{}", key.to_ascii_uppercase());
            let text = value.as_str().map_or_else(|| toml_text(value), str::to_owned);
            let settings = from_environment(&[(&variable, &text)]);
            assert_eq!(settings.as_ref().ok(), Some(&Settings::default()), "{variable}={text}: {settings:?}");
            tried += 1;
        }
    }
    assert!(tried >= 30, "only {tried} keys in the example");
}

fn toml_text(value: &toml::Value) -> String {
    serde_json::to_string(value).unwrap()
}

#[test]
fn relative_paths_in_the_file_are_relative_to_the_file() {
    let (folder, path, settings) = from_file(
        "data_dir = \"state\"\n[download]\nkeys = \"keys/jwks.json\"\nnode_key = \"key\"\n\
         [[token.shared_secret]]\nkid = \"a\"\nfile = \"secret\"\n\
         [[share]]\nname = \"books\"\npath = \"books\"\n[[share]]\nname = \"abs\"\npath = \"/srv/abs\"\n",
    );
    let settings = settings.unwrap();
    let base = folder.path();
    assert_eq!(settings.data_dir, base.join("state"));
    assert_eq!(Path::new(&settings.download.keys), base.join("keys/jwks.json"));
    assert_eq!(settings.token.shared_secrets[0].file, base.join("secret"));
    assert_eq!(settings.node_key_file(), base.join("key"));
    assert_eq!(settings.shares[0].path, base.join("books"));
    assert_eq!(settings.shares[1].path, Path::new("/srv/abs"));

    // Paths from the environment are relative to the working directory, whatever the file says.
    let over = variables(&[("ONCELINK_DATA_DIR", "state"), ("ONCELINK_SHARE", "[{name='x', path='y'}]")]);
    let settings = Settings::load(Some(&path), over).unwrap();
    assert_eq!(settings.data_dir, Path::new("state"));
    assert_eq!(settings.shares[0].path, Path::new("y"));
    assert_eq!(settings.token.shared_secrets[0].file, base.join("secret"));
}

#[test]
fn addresses_follow_the_listeners_unless_they_are_set() {
    let settings = from_environment(&[
        ("ONCELINK_WEB__LISTEN", "0.0.0.0:9000"),
        ("ONCELINK_DOWNLOAD__LISTEN", "[::1]:9001"),
    ])
    .unwrap();
    assert_eq!(settings.web.public_url, "http://127.0.0.1:9000");
    assert_eq!(settings.download.public_url, "http://[::1]:9001");
    assert_eq!(settings.download.keys, "http://127.0.0.1:9000/.well-known/jwks.json");
    assert_eq!(settings.download.receipts, "http://127.0.0.1:9000/receipts");

    let (_folder, _, settings) = from_file(
        "[web]\nlisten = \"0.0.0.0:9000\"\npublic_url = \"https://files.example.org\"\n[download]\nkeys = \"https://other.example/jwks\"",
    );
    let settings = settings.unwrap();
    assert_eq!(settings.web.public_url, "https://files.example.org");
    assert_eq!(settings.download.keys, "https://other.example/jwks");
}

#[test]
fn a_service_can_listen_at_several_places() {
    let text = "[web]\nlisten = [\"systemd\", \"unix:/run/web.sock\", \"0.0.0.0:9000\"]\n[download]\n\
                listen = \"unix:/run/dl.sock?mode=0600\"\npublic_url = \"https://dl.example\"\n\
                keys = \"unix:/run/web.sock:/.well-known/jwks.json\"\n[metrics]\n\
                listen = [\"127.0.0.1:9464\", \"unix:/run/metrics.sock\"]";
    let (_folder, _, settings) = from_file(text);
    let settings = settings.unwrap();
    assert_eq!(settings.web.listen.to_string(), "systemd, unix:/run/web.sock, 0.0.0.0:9000");
    assert_eq!(settings.web.public_url, "http://127.0.0.1:9000");
    assert_eq!(settings.download.listen.to_string(), "unix:/run/dl.sock?mode=0600");
    assert_eq!(settings.download.keys, "unix:/run/web.sock:/.well-known/jwks.json");
    assert_eq!(settings.metrics.listen.unwrap().to_string(), "127.0.0.1:9464, unix:/run/metrics.sock");
    for list in ["['127.0.0.1:1', '[::1]:2']", "[\"127.0.0.1:1\", \"[::1]:2\"]"] {
        let settings =
            from_environment(&[("ONCELINK_WEB__LISTEN", list), ("LISTEN_FDNAMES", "web:download")]).unwrap();
        assert_eq!(settings.web.listen.to_string(), "127.0.0.1:1, [::1]:2");
        assert_eq!(settings.socket_names, ["web", "download"]);
    }
    let settings = from_environment(&[("ONCELINK_WEB__LISTEN", "[::]:8080")]).unwrap();
    assert_eq!(settings.web.public_url, "http://[::1]:8080");
}

/// A file, the setting that must be named, and a part of the remedy.
const BAD_FILES: &[(&str, &str, &str)] = &[
    ("data_dir = \"\"", "data_dir", "`data_dir = \"data\"`"),
    ("colour = 1", "colour", "`data_dir`"),
    ("[web]\nliste = 1", "web.liste", "`listen`"),
    ("[webb]\nlisten = \"127.0.0.1:1\"", "webb", "`[web]`"),
    ("web = 3", "web", "[web]"),
    ("[web]\nlisten = \"localhost\"", "web.listen", "listen = \"127.0.0.1:8080\""),
    ("[web]\nlisten = 8080", "web.listen", "listen = \"127.0.0.1:8080\""),
    ("[web]\nlisten = []", "web.listen", "listen = \"127.0.0.1:8080\""),
    ("[web]\nlisten = [\"systemd\", \"systemd\"]", "web.listen", "listen = \"127.0.0.1:8080\""),
    ("[web]\nlisten = \"unix:web.sock\"", "web.listen", "absolute path"),
    ("[web]\nlisten = \"unix:/run/web.sock\"", "web.public_url", "https://files.example.org"),
    ("[web]\nlisten = \"systemd\"", "web.public_url", "https://files.example.org"),
    ("[web]\npublic_url = \"files.example.org\"", "web.public_url", "https://files.example.org"),
    ("[web]\npublic_url = \"https://a.example/\"", "web.public_url", "write `https://a.example`"),
    ("[web]\npublic_url = \"https://a.example/x\"", "web.public_url", "write `https://a.example`"),
    ("[web]\npublic_url = \"https://a.example?x\"", "web.public_url", "write `https://a.example`"),
    ("[web]\npublic_url = \"HTTPS://A.example:443\"", "web.public_url", "write `https://a.example`"),
    ("[web]\npublic_url = \"https://u:p@a.example\"", "web.public_url", "write `https://a.example`"),
    ("[web]\npublic_url = \"ftp://a.example\"", "web.public_url", "https://"),
    ("[web]\ndatabase = \"mysql://u:hunter2@h/d\"", "web.database", "`sqlite`"),
    ("[web]\nsignup = \"maybe\"", "web.signup", "signup = \"open\""),
    ("[web]\nsession_idle = \"30\"", "web.session_idle", "`30s`"),
    ("[web]\nsession_idle = 30", "web.session_idle", "session_idle = \"30m\""),
    ("[web]\nsession_idle = \"13h\"", "web.session_idle", "`web.session_max`"),
    ("[web]\npassword_min = 4", "web.password_min", "15"),
    ("[web]\npassword_min = -1", "web.password_min", "password_min = 15"),
    ("[web]\ntrusted_proxies = [\"10.0.0.1/8\"]", "web.trusted_proxies[0]", "10.0.0.0/8"),
    ("[web]\ntrusted_proxies = \"10.0.0.0/8\"", "web.trusted_proxies", "trusted_proxies = []"),
    ("[web]\nmax_connections = 0", "web.max_connections", "at least 1"),
    ("[download]\nlisten = \"127.0.0.1:8080\"", "download.listen", "own port"),
    ("[download]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:8080\"]", "download.listen", "own port"),
    ("[download]\ninner_url = \"unix:dl.sock\"", "download.inner_url", "unix:/run/oncelink/download.sock"),
    ("[download]\nreceipts = \"unix:/run/web.sock\"", "download.receipts", "https://host/receipts"),
    ("[metrics]\nlisten = \"on\"", "metrics.listen", "`off`"),
    ("[download]\npublic_url = \"x\"", "download.public_url", "https://"),
    ("[download]\nkeys = \"ftp://h/k\"", "download.keys", "JWKS"),
    ("[download]\nkeys = \"\"", "download.keys", "JWKS"),
    ("[download]\nreceipts = \"ftp://h/r\"", "download.receipts", "https://host/receipts"),
    ("[download]\nreceipts = \"https://u:p@h/r\"", "download.receipts", "https://host/receipts"),
    ("[web]\nreceipt_address = \"some\"", "web.receipt_address", "receipt_address = \"network\""),
    (
        "[[node]]\nname='a'\npublic_url='https://a.example'\n[[node]]\nname='a'\npublic_url='https://b.example'",
        "node[1].name",
        "its own name",
    ),
    (
        "[[node]]\nname='a'\npublic_url='https://a.example'\n[[node]]\nname='b'\npublic_url='https://a.example'",
        "node[1].public_url",
        "its own public address",
    ),
    ("[download]\nused_tokens = \"redis://\"", "download.used_tokens", "redis://:password@host"),
    ("[download]\nused_tokens = \"redis://:hunter2@h/x\"", "download.used_tokens", "not a number"),
    ("[download]\nused_tokens = \"rediss://h/0#insecure\"", "download.used_tokens", "sslrootcert"),
    ("[download]\nused_tokens = \"redis://h/0?sslrootcert=/x\"", "download.used_tokens", "`rediss://…`"),
    ("[web]\ndatabase = \"redis://h\"", "web.database", "`sqlite`"),
    ("[download]\nused_tokens = \"memory\"", "download.used_tokens", "`sled`"),
    ("[download]\nresume = \"any\"", "download.resume", "same-client"),
    ("[download]\nlease = \"25h\"", "download.lease", "`download.lease_max`"),
    ("[download]\nlease = \"0s\"", "download.lease", "1s"),
    ("[download]\nlease = \"1y\"", "download.lease", "`7d`"),
    ("[token]\nlifetime = \"8d\"", "token.lifetime", "`token.max_lifetime`"),
    ("[token]\nlifetime = \"0s\"", "token.lifetime", "1s"),
    ("[token]\nleeway = \"2m\"", "token.leeway", "60s"),
    ("[[token.shared_secret]]\nkid = \"a\"", "token.shared_secret[0]", "shared_secret"),
    (
        "[token]\nshared_secret = [{kid='a',file='x'},{kid='a',file='y'}]",
        "token.shared_secret[1].kid",
        "own key id",
    ),
    ("[token]\nshared_secret = [{kid='a/../b',file='x'}]", "token.shared_secret[0].kid", "letters"),
    ("[mail]\nsend = \"smtp://u:hunter2@h\"", "mail.send", "mail.credentials"),
    ("[mail]\nsend = \"sendmail\"", "mail.send", "`outbox`"),
    ("[mail]\nsend = \"http://mail.example\"", "mail.send", "smtps://"),
    ("[mail]\nsend = \"smtp://mail.example?tls=never\"", "mail.send", "tls=required"),
    ("[mail]\nsend = \"smtp://mail.example/x\"", "mail.send", "smtps://"),
    (
        "[mail]\nsend = \"smtp://mail.example?tls=opportunistic\"\ncredentials = \"c\"",
        "mail.credentials",
        "?tls=required",
    ),
    ("[mail]\nfrom = \"nobody\"", "mail.from", "noreply@example.org"),
    ("[web]\nsignup_domains = \"example.org\"", "web.signup_domains", "signup_domains = []"),
    ("[web]\nreset_lifetime = \"0s\"", "web.reset_lifetime", "1s"),
    ("[log]\nlevel = \"debgu\"", "log.level", "debug"),
    ("[log]\nlevel = \"info,oncelink=loud\"", "log.level", "debug"),
    ("[log]\nformat = \"xml\"", "log.format", "format = \"text\""),
    ("[[share]]\nname = \"a/b\"\npath = \"p\"", "share[0].name", "without `/`"),
    ("[[share]]\nname = \"..\"\npath = \"p\"", "share[0].name", "`..`"),
    ("[[share]]\nname = \"\"\npath = \"p\"", "share[0].name", "1 to 255 bytes"),
    ("[[share]]\nname = \"a\\nb\"\npath = \"p\"", "share[0].name", "control"),
    (
        "[[share]]\nname = \"a\"\npath = \"p\"\n[[share]]\nname = \"a\"\npath = \"q\"",
        "share[1].name",
        "own name",
    ),
    ("[[share]]\nname = \"a\"\npath = \"p\"\nreed = []", "share[0].reed", "`read`"),
    ("[[share]]\nname = \"a\"", "share[0]", "path"),
    ("[[share]]\nname = \"a\"\npath = \"p\"\nread = [\"\"]", "share[0].read", "`everyone`"),
    ("[share]\nname = \"a\"\npath = \"p\"", "share", "share = ["),
];

#[test]
fn a_mistake_in_the_file_names_the_key_the_place_and_the_remedy() {
    for (text, key, remedy) in BAD_FILES {
        let (_folder, path, settings) = from_file(text);
        let error = settings.expect_err(text);
        let said = error.to_string();
        let SettingsError::Key { key: named, origin, .. } = &error else { panic!("{text}: {said}") };
        assert_eq!(named, key, "{text}: {said}");
        assert_eq!(origin, &SettingOrigin::File(path), "{text}: {said}");
        assert!(said.contains(&format!("`{key}`")) && said.contains(remedy), "{text}: {said}");
        assert!(!said.contains("hunter2"), "a password is shown: {said}");
        assert!(!said.contains('\n'), "more than one line: {said:?}");
    }
}

/// A variable, its value, and a part of the message.
const BAD_VARIABLES: &[(&str, &str, &str)] = &[
    ("ONCELINK_WEB__LISTE", "x", "ONCELINK_WEB__LISTEN"),
    ("ONCELINK_COLOUR", "x", "ONCELINK_DATA_DIR"),
    ("ONCELINK_WEB", "{}", "ONCELINK_WEB__LISTEN"),
    ("ONCELINK_WEB_LISTEN", "127.0.0.1:1", "ONCELINK_WEB__LISTEN"),
    ("ONCELINK_web__listen", "127.0.0.1:1", "ONCELINK_WEB__LISTEN"),
    ("ONCELINK_", "x", "ONCELINK_WEB__LISTEN"),
    ("ONCELINK_WEB__LISTEN", "", "`web.listen`"),
    ("ONCELINK_WEB__LISTEN", "8080", "`web.listen`"),
    ("ONCELINK_WEB__MAX_CONNECTIONS", "many", "`web.max_connections`"),
    ("ONCELINK_DOWNLOAD__BATCH_VERIFICATION", "no", "`download.batch_verification`"),
    ("ONCELINK_WEB__TRUSTED_PROXIES", "10.0.0.0/8", "`trusted_proxies = []`"),
    ("ONCELINK_WEB__TRUSTED_PROXIES", "[\"10.0.0.0/8\"", "`trusted_proxies = []`"),
    ("ONCELINK_SHARE", "{name='a',path='b'}", "`share`"),
    ("ONCELINK_SHARE", "[{name='a'}]", "`share[0]`"),
    ("ONCELINK_SHARE__0__NAME", "a", "ONCELINK_SHARE"),
    ("ONCELINK_DOWNLOAD__LEASE", "60", "`download.lease`"),
    ("ONCELINK_TOKEN__LIFETIME", "8d", "`token.lifetime`"),
];

#[test]
fn a_mistake_in_the_environment_names_the_variable_and_the_remedy() {
    for (name, text, remedy) in BAD_VARIABLES {
        let said = from_environment(&[(name, text)]).expect_err(name).to_string();
        assert!(said.contains(&format!("environment variable {name}")), "{name}={text}: {said}");
        assert!(said.contains(remedy), "{name}={text}: {said}");
    }
    let broken = [(OsString::from("ONCELINK_DATA_DIR"), OsString::from_vec(vec![0xff]))];
    let said = Settings::load(None, broken).unwrap_err().to_string();
    assert!(said.contains("ONCELINK_DATA_DIR") && said.contains("UTF-8"), "{said}");
}

#[test]
fn a_file_that_is_missing_or_not_toml_is_reported_plainly() {
    let (_folder, path, settings) = from_file("[web]\nlisten = \"127.0.0.1:1\"\nsignup = open\n");
    let said = settings.unwrap_err().to_string();
    assert!(said.contains(&format!("{}, line 3, column 10", path.display())), "{said}");

    let said = Settings::load(Some(Path::new("no/such/file")), []).unwrap_err().to_string();
    assert!(said.contains("no/such/file") && said.contains("--config"), "{said}");
}

#[test]
fn debug_output_shows_no_password() {
    let settings = from_environment(&[("ONCELINK_WEB__DATABASE", "postgres://u:hunter2@h/d")]).unwrap();
    assert_eq!(settings.web.database.as_str(), "postgres://u:hunter2@h/d");
    assert!(!format!("{settings:?}").contains("hunter2"));
}
