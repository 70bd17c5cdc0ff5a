//! Uploading and managing files in a real browser: with the file picker, by drag and drop, a whole folder;
//! paused, reloaded, cut off, and without JavaScript. The files on the disk at the end are those sent.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;
use thirtyfour::Key;

use crate::support::browser::Browser;
use crate::support::pattern;
use crate::support::proxies::{Front, Kind};
use crate::support::proxy::{Line, Proxy, Uplink};
use crate::support::web::{PASSWORD, TestWeb};

/// A browser in which Ada, who has all rights in `open`, is logged in.
struct Stage {
    web: TestWeb,
    browser: Browser,
    /// The address at which the browser reaches the app.
    base: String,
    /// Files on the user's own machine.
    own: TempDir,
}

impl Stage {
    async fn start() -> Option<Stage> {
        Stage::start_for("").await
    }

    /// The same, with a public address unless `public_url` is empty.
    async fn start_for(public_url: &str) -> Option<Stage> {
        let browser = Browser::start().await?;
        let web = TestWeb::spawn_with(|settings| {
            if !public_url.is_empty() {
                public_url.clone_into(&mut settings.web.public_url);
            }
            for share in &mut settings.shares {
                if share.name == "open" {
                    share.write = vec!["everyone".to_owned()];
                    share.manage = vec!["everyone".to_owned()];
                }
            }
        })
        .await;
        web.account("ada@example.org", &[]).await;
        let stage = Stage { base: web.base.clone(), web, browser, own: TempDir::new().unwrap() };
        stage.log_in().await;
        Some(stage)
    }

    /// The same, through a proxy with faults; from then on the browser reaches the app through it.
    async fn start_behind(up: Uplink) -> Option<(Stage, Proxy)> {
        let mut stage = Stage::start().await?;
        let node: SocketAddr = stage.web.base.strip_prefix("http://").unwrap().parse().unwrap();
        let proxy = Proxy::start_with(node, Line::default(), up).await;
        // Cookies ignore ports, so the session is valid there too.
        stage.base = format!("http://{}", proxy.address);
        Some((stage, proxy))
    }

    async fn log_in(&self) {
        self.open("/login").await;
        // Chromium may restore the session's cookie after a crash.
        if self.browser.url().await.ends_with("/files/") {
            return;
        }
        for (css, text) in [("#email", "ada@example.org"), ("#password", PASSWORD)] {
            self.browser.find(css).await.send_keys(text).await.unwrap();
        }
        self.press("main button[type=submit]").await;
        self.browser.at(|url| url.ends_with("/files/")).await;
    }

    async fn open(&self, path: &str) {
        self.browser.goto(&format!("{}{path}", self.base)).await;
    }

    async fn press(&self, css: &str) {
        self.browser.find(css).await.click().await.unwrap();
    }

    /// Replaces the text of a field.
    async fn fill(&self, css: &str, text: &str) {
        let field = self.browser.find(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Creates a file on the user's own machine.
    fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.own.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    async fn pick(&self, css: &str, files: &[&Path]) {
        let paths: Vec<_> = files.iter().map(|path| path.to_str().unwrap()).collect();
        self.browser.find(css).await.send_keys(paths.join("\n")).await.unwrap();
    }

    /// Waits until the page has `count` uploads and all of them are in this state.
    async fn until(&self, state: &str, count: usize) {
        self.browser.find(&format!("#uploads:has(li[data-state={state}]:nth-child({count}))")).await;
        let others = format!("#uploads:not(:has(li:not([data-state={state}])))");
        self.browser.find(&others).await;
    }

    /// The content of a file below `open` on the disk.
    fn there(&self, path: &str) -> Vec<u8> {
        fs::read(self.web.share("open").join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The names in a folder of `open`, without the service's own folder.
    fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.web.share("open").join(folder)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| name != ".oncelink");
        names.sort();
        names
    }

    async fn end(self) {
        self.browser.quit().await;
        self.web.stop().await;
    }
}

#[actix_web::test]
async fn several_files_are_picked_and_dropped_and_arrive_as_they_are() {
    let Some(stage) = Stage::start().await else { return };
    let contents: Vec<Vec<u8>> = [0, 1, 40_000, 2_000_000, 17_000_000].map(pattern).into();
    let files: Vec<PathBuf> = contents
        .iter()
        .enumerate()
        .map(|(n, content)| stage.file(&format!("部分 {n} & <b>.bin"), content))
        .collect();
    stage.open("/files/open").await;
    stage.browser.inspect("uploads-none").await;
    stage.pick("#pick-files", &files.iter().map(PathBuf::as_path).collect::<Vec<_>>()).await;
    stage.until("done", files.len()).await;
    for (n, content) in contents.iter().enumerate() {
        assert!(stage.there(&format!("部分 {n} & <b>.bin")) == *content, "file {n}");
    }
    // The list updates by itself.
    stage.browser.find("#listing button[value$='部分 4 & <b>.bin']").await;
    assert!(stage.browser.text().await.contains("5 of 5 files uploaded"));
    stage.browser.inspect("uploads-done").await;

    stage
        .browser
        .run(
            "const files = new DataTransfer();
             files.items.add(new File(['dropped one'], 'one.txt', { lastModified: 1 }));
             files.items.add(new File(['dropped two'], 'two.txt', { lastModified: 2 }));
             for (const kind of ['dragenter', 'dragover'])
               document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }));
             window.dropped = files;
             return 0;",
        )
        .await;
    stage.browser.find("body.dropping").await;
    stage.browser.inspect("uploads-dropping").await;
    stage
        .browser
        .run(
            "document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: window.dropped, bubbles: true, cancelable: true }));
             return 0;",
        )
        .await;
    stage.until("done", 7).await;
    assert_eq!(stage.there("one.txt"), b"dropped one");
    assert_eq!(stage.there("two.txt"), b"dropped two");
    stage.end().await;
}

#[actix_web::test]
async fn a_folder_arrives_with_all_its_folders() {
    let Some(stage) = Stage::start().await else { return };
    for name in ["trip/day 1/a.txt", "trip/day 1/b.txt", "trip/day 2/über/c.txt", "trip/d.txt"] {
        stage.file(name, name.as_bytes());
    }
    stage.open("/files/open").await;
    stage.pick("#pick-folder", &[&stage.own.path().join("trip")]).await;
    stage.until("done", 4).await;
    for name in ["trip/day 1/a.txt", "trip/day 1/b.txt", "trip/day 2/über/c.txt", "trip/d.txt"] {
        assert_eq!(stage.there(name), name.as_bytes());
    }
    stage.browser.find("#listing a[href='/files/open/trip']").await;
    stage.end().await;
}

#[actix_web::test]
async fn files_larger_than_what_a_proxy_lets_through_arrive_in_smaller_pieces() {
    let address = Front::free();
    let Some(mut stage) = Stage::start_for(&format!("http://{address}")).await else { return };
    let app = stage.web.base.strip_prefix("http://").unwrap().parse().unwrap();
    let Some(_front) = Front::start_at(Kind::NginxDefaults, address, app) else { return };
    stage.base = format!("http://{address}");
    let contents = [17_000_000, 3_000_000, 1_100_000, 40_000, 2_000_000].map(pattern);
    let files: Vec<PathBuf> =
        contents.iter().enumerate().map(|(n, content)| stage.file(&format!("{n}.bin"), content)).collect();
    stage.open("/files/open").await;
    stage.pick("#pick-files", &files.iter().map(PathBuf::as_path).collect::<Vec<_>>()).await;
    stage.until("done", files.len()).await;
    for (n, content) in contents.iter().enumerate() {
        assert!(stage.there(&format!("{n}.bin")) == *content, "file {n}");
    }
    stage.end().await;
}

/// Slow enough for a test to act during the transfer.
const SLOW: Uplink = Uplink { cuts: 0, cut_after: 0, speed: Some(300_000) };

#[actix_web::test]
async fn an_upload_is_paused_and_continued_and_another_canceled() {
    let Some((stage, proxy)) = Stage::start_behind(SLOW).await else { return };
    let content = pattern(20_000_000);
    let files = [stage.file("long.bin", &content), stage.file("unwanted.bin", &content)];
    stage.open("/files/open").await;
    stage.pick("#pick-files", &[&files[0], &files[1]]).await;
    // Some bytes were sent.
    stage.browser.find("#uploads li:first-child progress:not([value='0'])").await;
    stage.browser.inspect("uploads-running").await;
    // The speed, and so the remaining time, is known only after more bytes.
    let said = stage.browser.says("/s · ").await;
    assert!(said.contains(" left"), "{said}");
    stage.press("#uploads li:last-child [data-act=cancel]").await;
    stage.press("#uploads li:first-child [data-act=toggle]").await;
    stage.browser.find("#uploads li:first-child[data-state=paused]").await;
    stage.until("paused", 1).await;
    stage.browser.inspect("uploads-paused").await;
    assert_eq!(stage.names(""), ["file.txt"], "incomplete files are not listed");
    proxy.remove_speed_limit();
    // The button keeps the focus while its label changes, and the keyboard works like a click.
    let focused = stage.browser.run("return document.activeElement.innerText").await;
    assert!(focused.as_str().unwrap().starts_with("Continue"), "{focused}");
    stage.browser.driver.action_chain().send_keys(Key::Enter).perform().await.unwrap();
    stage.until("done", 1).await;
    assert!(stage.there("long.bin") == content);
    assert_eq!(stage.names(""), ["file.txt", "long.bin"]);
    let heads = proxy.requests();
    assert!(heads.iter().any(|head| head.starts_with("HEAD /uploads/")), "it asked for the offset");
    assert!(heads.iter().any(|head| head.starts_with("DELETE /uploads/")), "the other upload is deleted");
    stage.end().await;
}

#[actix_web::test]
async fn each_file_is_listed_while_others_are_still_under_way() {
    let Some((stage, proxy)) = Stage::start_behind(SLOW).await else { return };
    let files = [stage.file("small.txt", b"x"), stage.file("long.bin", &pattern(20_000_000))];
    stage.open("/files/open").await;
    stage.press("#listing input.pick[value='/open/file.txt']").await;
    stage.browser.run("document.activeElement.blur()").await;
    stage.pick("#pick-files", &[&files[0], &files[1]]).await;
    stage.browser.find("#uploads li[data-state=running]").await;
    stage.browser.find("#listing input.pick[value='/open/small.txt']").await;
    stage.browser.find("#uploads li[data-state=running]").await;
    stage.browser.find("#listing input.pick[value='/open/file.txt']:checked").await;
    proxy.remove_speed_limit();
    stage.until("done", 2).await;
    stage.end().await;
}

#[actix_web::test]
async fn a_file_dropped_on_a_page_without_uploads_does_not_replace_the_page() {
    let Some(stage) = Stage::start().await else { return };
    let drop = "const files = new DataTransfer(); files.items.add(new File(['x'], 'x.txt')); \
                return ['dragover', 'drop'].map((kind) => { \
                  const event = new DragEvent(kind, { dataTransfer: files, bubbles: true, cancelable: true }); \
                  document.body.dispatchEvent(event); return event.defaultPrevented; });";
    fs::write(stage.web.share("private").join("b.txt"), "x").unwrap();
    for page in ["/files/", "/files/private", "/files/?q=file", "/files/private?q=zzz"] {
        stage.open(page).await;
        let prevented = stage.browser.run(drop).await;
        assert_eq!(prevented, json!([true, true]), "{page}");
    }
    stage.end().await;
}

#[actix_web::test]
async fn after_a_reload_the_same_file_continues_where_it_stopped() {
    let Some((stage, proxy)) = Stage::start_behind(SLOW).await else { return };
    let content = pattern(20_000_000);
    let file = stage.file("long.bin", &content);
    stage.open("/files/open").await;
    stage.pick("#pick-files", &[&file]).await;
    stage.browser.find("#uploads li progress:not([value='0'])").await;
    stage.browser.goto("about:blank").await;
    stage.open("/files/open").await;
    stage.until("unfinished", 1).await;
    assert!(stage.browser.text().await.contains("Choose the same file again to resume."));
    stage.browser.inspect("uploads-unfinished").await;
    proxy.remove_speed_limit();
    stage.pick("#pick-files", &[&file]).await;
    stage.until("done", 1).await;
    assert!(stage.there("long.bin") == content);
    let begun = proxy.requests().iter().filter(|head| head.starts_with("POST /uploads")).count();
    assert_eq!(begun, 1, "it resumed and did not start again");
    stage.end().await;
}

#[actix_web::test]
async fn after_a_crash_of_the_browser_the_same_file_continues() {
    let Some((mut stage, proxy)) = Stage::start_behind(SLOW).await else { return };
    let content = pattern(20_000_000);
    let file = stage.file("long.bin", &content);
    stage.open("/files/open").await;
    stage.pick("#pick-files", &[&file]).await;
    stage.browser.find("#uploads li progress:not([value='0'])").await;
    stage.browser = stage.browser.crash("oncelink-uploads").await;
    stage.log_in().await;
    stage.open("/files/open").await;
    stage.until("unfinished", 1).await;
    proxy.remove_speed_limit();
    stage.pick("#pick-files", &[&file]).await;
    stage.until("done", 1).await;
    assert!(stage.there("long.bin") == content);
    let begun = proxy.requests().iter().filter(|head| head.starts_with("POST /uploads")).count();
    assert_eq!(begun, 1, "it resumed and did not start again");
    stage.end().await;
}

#[actix_web::test]
async fn an_upload_interrupted_by_a_logout_continues_after_a_login_elsewhere() {
    let Some((stage, proxy)) = Stage::start_behind(SLOW).await else { return };
    let content = pattern(20_000_000);
    let file = stage.file("long.bin", &content);
    stage.open("/files/open").await;
    stage.pick("#pick-files", &[&file]).await;
    stage.browser.find("#uploads li progress:not([value='0'])").await;
    let mut elsewhere = stage.web.logged_in("ada@example.org").await;
    elsewhere.fill("/account/sessions", "/account/sessions/end-others", &[]).await;
    proxy.remove_speed_limit();
    stage.until("failed", 1).await;
    assert!(stage.browser.text().await.contains("You are logged out."), "{}", stage.browser.text().await);
    stage.browser.inspect("uploads-failed").await;
    // As another tab would log in.
    let logged_in = stage
        .browser
        .run(&format!(
            "return fetch('/login').then(page => page.text()).then(page => {{
               const form = new DOMParser().parseFromString(page, 'text/html').querySelector('main form');
               form.elements.email.value = 'ada@example.org';
               form.elements.password.value = '{PASSWORD}';
               return fetch('/login', {{ method: 'POST', body: new URLSearchParams(new FormData(form)) }});
             }}).then(answer => answer.url)"
        ))
        .await;
    assert!(logged_in.as_str().unwrap().ends_with("/files/"), "{logged_in}");
    stage.press("#uploads [data-act=toggle]").await;
    stage.until("done", 1).await;
    assert!(stage.there("long.bin") == content);
    stage.end().await;
}

#[actix_web::test]
async fn a_line_that_breaks_again_and_again_only_costs_time() {
    let up = Uplink { cuts: 3, cut_after: 600_000, speed: None };
    let Some((stage, proxy)) = Stage::start_behind(up).await else { return };
    let content = pattern(3_000_000);
    let file = stage.file("long.bin", &content);
    stage.open("/files/open").await;
    stage.pick("#pick-files", &[&file]).await;
    stage.until("done", 1).await;
    assert_eq!(proxy.cuts_up(), 3);
    assert!(stage.there("long.bin") == content);
    assert_eq!(stage.names(""), ["file.txt", "long.bin"]);
    stage.end().await;
}

#[actix_web::test]
async fn without_javascript_the_form_uploads() {
    let Some(stage) = Stage::start().await else { return };
    // Block only our scripts at first: axe is a script, too.
    stage.browser.devtools("Network.enable", json!({})).await;
    stage.browser.devtools("Network.setBlockedURLs", json!({ "urls": ["*/upload.js"] })).await;
    stage.open("/files/open").await;
    stage.press("#upload summary").await;
    stage.browser.find("#upload[open]").await;
    stage.browser.inspect("uploads-form").await;

    stage.browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    let content = pattern(3_000_000);
    let files = [stage.file("plain 1.bin", &content), stage.file("plain 2.txt", b"second")];
    stage.open("/files/open").await;
    stage.press("#upload summary").await;
    stage.pick("#upload-file", &[&files[0], &files[1]]).await;
    stage.press("#upload-form button").await;
    stage.browser.find("#listing button[value$='plain 2.txt']").await;
    stage.browser.find("[role=status].done").await;
    assert!(stage.there("plain 1.bin") == content);
    assert_eq!(stage.there("plain 2.txt"), b"second");
    stage.end().await;
}

#[actix_web::test]
async fn a_folder_is_made_and_a_file_renamed_moved_deleted_and_restored() {
    let Some(stage) = Stage::start().await else { return };
    let browser = &stage.browser;
    fs::create_dir(stage.web.share("open").join("Archive")).unwrap();
    stage.open("/files/open").await;
    browser.inspect("manage-folder").await;
    browser.named("New folder").await.click().await.unwrap();
    browser.find("#name").await;
    browser.inspect("new-folder").await;
    stage.fill("#name", "archive").await;
    stage.press("main button[type=submit]").await;
    browser.find("#name[aria-invalid]").await;
    assert_eq!(browser.find("#name").await.value().await.unwrap().as_deref(), Some("archive"));
    browser.inspect("new-folder-taken").await;
    stage.fill("#name", "2027 & später").await;
    stage.press("main button[type=submit]").await;
    browser.at(|url| url.ends_with("/files/open")).await;
    browser.inspect("new-folder-made").await;
    assert_eq!(stage.names(""), ["2027 & später", "Archive", "file.txt"]);

    let more = "a.more[href$='file.txt']";
    stage.press(more).await;
    browser.find("#rename").await;
    browser.inspect("manage").await;
    stage.fill("#name", "a/b").await;
    stage.press("form[action='/manage/rename'] button").await;
    browser.find("#name[aria-invalid]").await;
    browser.inspect("manage-name-refused").await;
    stage.fill("#name", "Bericht.txt").await;
    stage.press("form[action='/manage/rename'] button").await;
    browser.at(|url| url.ends_with("/files/open")).await;
    assert_eq!(stage.names(""), ["2027 & später", "Archive", "Bericht.txt"]);

    stage.press("a.more[href$='Bericht.txt']").await;
    browser.named("Choose destination").await.click().await.unwrap();
    browser.named("Archive").await.click().await.unwrap();
    browser.inspect("move").await;
    browser.named("Move to").await.click().await.unwrap();
    browser.at(|url| url.contains("/files/open")).await;
    assert_eq!(stage.names("Archive"), ["Bericht.txt"]);

    stage.open("/files/open").await;
    stage.press("a.more[href$='Archive']").await;
    browser.find("#delete").await;
    assert!(browser.text().await.contains("You can restore it"));
    stage.press("form[action='/manage/delete'] button").await;
    browser.at(|url| url.ends_with("/files/open")).await;
    browser.inspect("deleted").await;
    assert_eq!(stage.names(""), ["2027 & später"]);

    browser.named("Trash").await.click().await.unwrap();
    browser.find("form[action='/manage/restore']").await;
    browser.inspect("trash").await;
    stage.press("form[action='/manage/restore'] button").await;
    browser.find("[role=status].done").await;
    browser.inspect("trash-restored").await;
    assert_eq!(stage.there("Archive/Bericht.txt"), b"this is open");

    stage.open("/files/open/Archive").await;
    stage.press("a.more").await;
    stage.press("form[action='/manage/delete'] button").await;
    browser.at(|url| url.ends_with("/files/open/Archive")).await;
    browser.named("Trash").await.click().await.unwrap();
    // What can't be undone needs a confirmation.
    stage.press(".confirm > summary").await;
    browser.inspect("trash-confirm").await;
    stage.press("form[action='/manage/forget'] button").await;
    browser.find(".empty").await;
    assert_eq!(fs::read_dir(stage.web.share("open").join(".oncelink/trash")).unwrap().count(), 0);
    stage.end().await;
}
