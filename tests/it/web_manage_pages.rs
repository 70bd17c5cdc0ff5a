//! The pages for managing files: who sees which form, what a handmade form can do, and what the forms do.

use std::fs;

use hyper::Method;
use oncelink::config::Settings;

use crate::support::web::{Browser, TestWeb};

/// A handmade form: its address, its fields, and the first of the people who is allowed to send it.
type HandmadeForm = (&'static str, &'static [(&'static str, &'static str)], usize);

/// Bob can read, Kim (in `staff`) write, Ada manage; `private` is Ada's alone.
async fn people() -> (TestWeb, [(&'static str, Browser); 4]) {
    let web = TestWeb::spawn_with(|settings: &mut Settings| {
        for share in &mut settings.shares {
            if share.name == "open" {
                share.write = vec!["staff".to_owned()];
            }
            if share.name != "staff" {
                share.manage = vec!["ada@example.org".to_owned()];
            }
        }
    })
    .await;
    web.account("bob@example.org", &[]).await;
    web.account("kim@example.org", &["staff"]).await;
    web.account("ada@example.org", &[]).await;
    let people = [
        ("nobody", web.browser()),
        ("bob", web.logged_in("bob@example.org").await),
        ("kim", web.logged_in("kim@example.org").await),
        ("ada", web.logged_in("ada@example.org").await),
    ];
    (web, people)
}

/// The names in a folder of a share, without the service's own folder.
fn names(web: &TestWeb, share: &str) -> Vec<String> {
    let entries = fs::read_dir(web.share(share)).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != ".oncelink");
    names.sort();
    names
}

#[actix_web::test]
async fn each_person_sees_the_pages_that_the_table_says() {
    let (web, people) = people().await;
    // The statuses for nobody, bob, kim and ada.
    let table = [
        ("/manage/new-folder?folder=/open", [303, 404, 200, 200]),
        ("/manage/new-folder?folder=/private", [303, 404, 404, 200]),
        ("/manage/new-folder?folder=/missing", [303, 404, 404, 404]),
        ("/manage/new-folder?folder=open", [303, 404, 404, 404]),
        ("/manage/new-folder?folder=/open/../private", [303, 404, 404, 404]),
        ("/manage/entry?path=/open/file.txt", [303, 404, 404, 200]),
        ("/manage/entry?path=/open/missing", [303, 404, 404, 404]),
        ("/manage/entry?path=/open", [303, 404, 404, 404]),
        ("/manage/entry?path=/staff/file.txt", [303, 404, 404, 404]),
        ("/manage/entry?path=/open/.oncelink", [303, 404, 404, 404]),
        ("/manage/to?path=/open/file.txt", [303, 404, 404, 200]),
        ("/manage/to?path=/open/file.txt&to=/private", [303, 404, 404, 200]),
        ("/manage/to?path=/open/file.txt&to=/staff", [303, 404, 404, 404]),
        ("/manage/to?path=/open/file.txt&to=/open/file.txt", [303, 404, 404, 404]),
        ("/manage/trash?share=/open", [303, 404, 404, 200]),
        ("/manage/trash?share=/missing", [303, 404, 404, 404]),
    ];
    for (n, (who, mut browser)) in people.into_iter().enumerate() {
        for (path, statuses) in table {
            assert_eq!(browser.get(path).await.status, statuses[n], "GET {path} by {who}");
            let head = browser.send(Method::HEAD, path, None).await;
            assert_eq!((head.status, head.body.as_str()), (statuses[n], ""), "HEAD {path} by {who}");
        }
        for path in ["/manage/new-folder", "/manage/entry", "/manage/to", "/manage/trash"] {
            let answer = browser.get(path).await;
            assert_eq!(answer.status, if n == 0 { 303 } else { 400 }, "{path} without its query");
        }
    }
    web.stop().await;
}

#[actix_web::test]
async fn a_folder_shows_its_tools_and_its_script_only_to_people_who_may_use_them() {
    let (web, people) = people().await;
    for (n, (who, mut browser)) in people.into_iter().enumerate().skip(1) {
        let page = browser.get("/files/open").await;
        for (part, least) in [
            ("id=\"upload-form\"", 2),
            ("/upload.js\" defer></script>", 2),
            ("New folder", 2),
            ("/manage/entry?path=/open/file.txt", 3),
            ("/manage/trash?share=/open", 3),
        ] {
            assert_eq!(page.body.contains(part), n >= least, "{part} for {who}");
        }
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("connect-src 'self'; default-src 'none'; script-src 'self'"),
            "{policy} for {who}"
        );
        assert!(!policy.contains("unsafe"), "{policy}");
        for path in ["/account", "/account/sessions"] {
            let page = browser.get(path).await;
            let policy = page.header("content-security-policy");
            assert!(!policy.contains("connect-src"), "the scripts of {path} send nothing");
            assert!(!page.body.contains("/upload.js"), "{path}");
        }
    }
    let mut ada = web.logged_in("ada@example.org").await;
    let page = ada.get("/files/open").await;
    let script = page.body.split("<script src=\"").nth(2).unwrap().split('"').next().unwrap().to_owned();
    let script = ada.get(&script).await;
    assert_eq!((script.status, script.header("content-type")), (200, "text/javascript; charset=utf-8"));
    web.stop().await;
}

#[actix_web::test]
async fn a_handmade_form_does_only_what_its_sender_may() {
    let (web, people) = people().await;
    let forms: [HandmadeForm; 5] = [
        ("/manage/make-folder", &[("folder", "/open"), ("name", "by {who}")], 2),
        ("/manage/make-folder", &[("folder", "/private"), ("name", "by {who}")], 3),
        ("/manage/move", &[("path", "/open/file.txt"), ("to", "/staff")], 4),
        ("/manage/rename", &[("path", "/staff/file.txt"), ("name", "other.txt")], 4),
        ("/manage/delete", &[("path", "/open/file.txt")], 3),
    ];
    for (n, (who, browser)) in people.into_iter().enumerate().skip(1) {
        for (path, fields, least) in forms {
            let named: Vec<(&str, String)> =
                fields.iter().map(|(name, value)| (*name, value.replace("{who}", who))).collect();
            let fields: Vec<(&str, &str)> =
                named.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = browser.clone().fill("/account", path, &fields).await;
            assert_eq!(answer.status, if n >= least { 303 } else { 404 }, "{path} {fields:?} by {who}");
        }
    }
    assert_eq!(names(&web, "open"), ["by ada", "by kim"]);
    assert_eq!(names(&web, "private"), ["by ada", "file.txt"]);
    assert_eq!(names(&web, "staff"), ["file.txt"]);
    web.stop().await;
}

#[actix_web::test]
async fn a_name_that_is_not_allowed_is_shown_again_with_an_error() {
    let (web, people) = people().await;
    let [.., (_, mut ada)] = people;
    fs::create_dir(web.share("open").join("Taken")).unwrap();
    let long = "x".repeat(256);
    for (name, status, sentence) in [
        ("Taken", 409, "There is already something called “Taken”"),
        ("tAKEN", 409, "There is already something called “Taken”"),
        ("  ", 422, "The name is empty."),
        ("..", 422, "A name can&#39;t consist of dots only."),
        ("a/b", 422, "A name can"),
        ("a\\b", 422, "A name can"),
        ("a\u{202e}b", 422, "invisible characters"),
        (".oncelink", 422, "is reserved"),
        (long.as_str(), 422, "The name is too long"),
    ] {
        for (path, field, value) in
            [("/manage/make-folder", "folder", "/open"), ("/manage/rename", "path", "/open/file.txt")]
        {
            let answer = ada.fill("/account", path, &[(field, value), ("name", name)]).await;
            assert_eq!(answer.status, status, "{path} {name:?}: {}", answer.body);
            assert!(answer.body.contains(sentence), "{path} {name:?}: {}", answer.body);
            assert!(answer.body.contains("aria-describedby=\"name-error\""), "{path} {name:?}");
            if name.trim().chars().all(|c| c.is_alphanumeric()) {
                assert!(answer.body.contains(&format!("value=\"{name}\"")), "{path} {name:?}");
            }
        }
    }
    assert_eq!(names(&web, "open"), ["Taken", "file.txt"]);
    web.stop().await;
}

#[actix_web::test]
async fn a_file_is_renamed_moved_deleted_and_restored() {
    let (web, people) = people().await;
    let [.., (_, mut ada)] = people;
    let open = web.share("open").to_owned();
    fs::create_dir_all(open.join("a/b")).unwrap();

    let odd = "per%cent & <b> 我.txt";
    let renamed = ada
        .fill(
            "/manage/entry?path=/open/file.txt",
            "/manage/rename",
            &[("path", "/open/file.txt"), ("name", odd)],
        )
        .await;
    assert_eq!((renamed.status, renamed.location.as_deref()), (303, Some("/files/open")));
    let page = ada.get("/files/open").await;
    assert!(page.body.contains("Renamed."));
    // The page's own address works, whatever its name is.
    let manage = page.body.split("href=\"").find(|rest| rest.starts_with("/manage/entry?path=/open/per"));
    let manage = manage.unwrap().split('"').next().unwrap().to_owned();
    let page = ada.get(&manage).await;
    assert_eq!(page.status, 200);
    let encoded =
        page.body.split("name=\"path\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();

    let choose = page.body.split("href=\"").find(|rest| rest.starts_with("/manage/to?")).unwrap();
    let choose = choose.split('"').next().unwrap().replace("&#38;", "&");
    let choose = ada.get(&choose).await;
    assert!(choose.body.contains("Already in this folder."));
    assert!(choose.body.contains("to=/open/a\""));
    for (to, status) in [("/open/missing", 404), ("/open/a/b", 303)] {
        let fields = [("path", encoded.as_str()), ("to", to)];
        let answer = ada.fill("/account", "/manage/move", &fields).await;
        assert_eq!(answer.status, status, "{to}: {}", answer.body);
    }
    assert_eq!(fs::read_to_string(open.join("a/b").join(odd)).unwrap(), "this is open");

    let fields = [("path", "/open/a"), ("to", "/open/a/b")];
    let answer = ada.fill("/account", "/manage/move", &fields).await;
    assert_eq!(answer.status, 409);
    assert!(answer.body.contains("can&#39;t be moved into itself"), "{}", answer.body);

    let page = ada.get("/manage/entry?path=/open/a").await;
    assert!(page.body.contains("You can restore it for 30 days"), "{}", page.body);
    let deleted = ada.fill("/account", "/manage/delete", &[("path", "/open/a")]).await;
    assert_eq!((deleted.status, deleted.location.as_deref()), (303, Some("/files/open")));
    assert_eq!(names(&web, "open"), Vec::<String>::new());
    assert_eq!(ada.fill("/account", "/manage/delete", &[("path", "/open/a")]).await.status, 404, "once");

    // Another file took the name meanwhile; nothing is replaced.
    fs::create_dir(open.join("a")).unwrap();
    let id = latest_in_trash(&mut ada).await;
    let answer = ada.fill("/account", "/manage/restore", &[("id", &id)]).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/files/open")));
    assert!(ada.get("/files/open").await.body.contains("Restored to this folder under another name"));
    assert!(open.join("a (2)/b").join(odd).exists());
    assert_eq!(ada.fill("/account", "/manage/restore", &[("id", &id)]).await.status, 404, "once");
    ada.fill("/account", "/manage/delete", &[("path", "/open/a (2)")]).await;
    let id = latest_in_trash(&mut ada).await;
    ada.fill("/account", "/manage/restore", &[("id", &id)]).await;
    assert!(ada.get("/files/open").await.body.contains("Restored to where it was."));

    ada.fill("/account", "/manage/delete", &[("path", "/open/a (2)")]).await;
    let id = latest_in_trash(&mut ada).await;
    for who in ["bob@example.org", "kim@example.org"] {
        for path in ["/manage/restore", "/manage/forget"] {
            let answer = web.logged_in(who).await.fill("/account", path, &[("id", &id)]).await;
            assert_eq!(answer.status, 404, "{path} by {who}");
        }
    }
    let answer = ada.fill("/account", "/manage/forget", &[("id", &id)]).await;
    assert_eq!((answer.status, answer.location.as_deref()), (303, Some("/manage/trash?share=/open")));
    let trash = ada.get("/manage/trash?share=/open").await.body;
    assert!(trash.contains("The trash is empty") && trash.contains("Permanently deleted."));
    assert_eq!(fs::read_dir(open.join(".oncelink/trash")).unwrap().count(), 0);
    web.stop().await;
}

#[actix_web::test]
async fn a_plain_form_says_which_of_its_files_did_not_arrive() {
    let web = TestWeb::spawn_with(|settings: &mut Settings| {
        settings.web.upload_max = 1_000;
        for share in &mut settings.shares {
            share.write = vec!["everyone".to_owned()];
        }
    })
    .await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    fs::create_dir(web.share("open").join("50% & more")).unwrap();
    let page = ada.get("/files/open/50%25%20%26%20more").await;
    let folder = page.body.split("name=\"folder\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let csrf = page.csrf();
    let large = "x".repeat(1_001);
    let post = |files: &[(&str, &str)]| {
        let part = |name: &str, file: &str, content: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n")
        };
        let files = files.iter().map(|(name, content)| {
            part("file", &format!("; filename=\"{name}\"\r\nContent-Type: text/plain"), content)
        });
        [part("csrf", "", &csrf), part("folder", "", folder)]
            .into_iter()
            .chain(files)
            .chain(["--b--\r\n".to_owned()])
            .collect::<String>()
    };
    const KIND: &str = "multipart/form-data; boundary=b";

    let body = post(&[("a.txt", "first"), ("<b>large.txt", &large), ("c.txt", "third")]);
    let answer = ada.send(Method::POST, "/files-upload", Some((KIND, body))).await;
    assert_eq!(answer.status, 413, "{}", answer.body);
    for part in [
        "<bdi>a.txt</bdi></strong> was uploaded.",
        "<bdi>c.txt</bdi></strong> was uploaded.",
        "One file did not arrive.",
    ] {
        assert!(answer.body.contains(part), "{part}: {}", answer.body);
    }
    let (_, refused) = answer.body.split_once("large.txt</bdi></strong> was not uploaded. ").unwrap();
    assert!(refused.starts_with("The file is too large: at most 1.0 kB are allowed."), "{refused}");
    assert!(answer.body.contains(&format!("value=\"{folder}\"")), "the form is shown again");

    let answer = ada.send(Method::POST, "/files-upload", Some((KIND, post(&[("", "")])))).await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("No file was chosen."), "{}", answer.body);

    let answer = ada.send(Method::POST, "/files-upload", Some((KIND, post(&[("d.txt", "fourth")])))).await;
    assert_eq!(answer.location.as_deref(), Some("/files/open/50%25%20%26%20more"));
    let page = ada.get(answer.location.as_deref().unwrap()).await;
    assert!(page.body.contains("The upload is complete."), "{}", page.body);
    let mut there: Vec<_> = fs::read_dir(web.share("open").join("50% & more"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    there.sort();
    assert_eq!(there, ["a.txt", "c.txt", "d.txt"]);
    web.stop().await;
}

/// The id of the latest item in the trash.
async fn latest_in_trash(browser: &mut Browser) -> String {
    let page = browser.get("/manage/trash?share=/open").await.body;
    page.split("name=\"id\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}
