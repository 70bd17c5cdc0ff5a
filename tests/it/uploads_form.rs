//! Uploads with the plain form, as a browser without scripts sends it.

use std::fs;

use crate::support::pattern;
use crate::support::tus::{Answer, Uploader, personal, writable};
use crate::support::web::TestWeb;

const BOUNDARY: &str = "----boundary";

/// A field: its name, its file name if it is a file, and its content.
type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

fn body(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, file, content) in parts {
        let file = file.map_or(String::new(), |file| {
            format!("; filename=\"{file}\"\r\nContent-Type: application/octet-stream")
        });
        body.extend_from_slice(
            format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n")
                .as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
    body
}

async fn post(ada: &Uploader, body: Vec<u8>) -> Answer {
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    ada.bare("POST", "/files-upload", &[("content-type", &kind), ("accept", "application/json")], body).await
}

#[actix_web::test]
async fn several_files_arrive_and_the_folder_is_shown() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    fs::create_dir(web.share("open").join("sub folder")).unwrap();
    let large = pattern(1_500_000);
    let parts: [Part<'_>; 6] = [
        ("csrf", None, ada.csrf.as_bytes()),
        ("folder", None, b"/open/sub folder"),
        ("file", Some("我 one.bin"), &large),
        ("file", Some("empty"), b""),
        ("file", Some(""), b""),
        ("file", Some("empty"), b"\r\n--x\r\n"),
    ];
    let answer = post(&ada, body(&parts)).await;
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/files/open/sub%20folder")),
        "{answer:?}"
    );
    let folder = web.share("open").join("sub folder");
    assert_eq!(fs::read(folder.join("我 one.bin")).unwrap(), large);
    assert_eq!(fs::read(folder.join("empty")).unwrap(), b"");
    assert_eq!(fs::read(folder.join("empty (2)")).unwrap(), b"\r\n--x\r\n");
    assert_eq!(fs::read_dir(web.share("open").join(".oncelink/uploads")).unwrap().count(), 0);
    web.stop().await;
}

#[actix_web::test]
async fn on_the_start_page_the_form_for_a_link_comes_next() {
    let web = TestWeb::spawn_with(personal).await;
    let id = web.account("ada@example.org", &[]).await.id;
    let mut browser = web.logged_in("ada@example.org").await;
    let start = browser.get("/files/").await.body;
    let form = start.split("id=\"upload-form\"").nth(1).unwrap().split("</form>").next().unwrap();
    assert!(
        form.contains("name=\"then\" value=\"link\"") && form.contains("Upload and create a link"),
        "{form}"
    );
    let ada = Uploader::of(browser.clone()).await;
    let folder = format!("/home/{id}");
    let parts: [Part<'_>; 5] = [
        ("csrf", None, ada.csrf.as_bytes()),
        ("folder", None, folder.as_bytes()),
        ("then", None, b"link"),
        ("file", Some("a & b.txt"), b"ab"),
        ("file", Some("c.txt"), b"c"),
    ];
    let answer = post(&ada, body(&parts)).await;
    assert_eq!(answer.status, 303, "{answer:?}");
    let page = browser.get(answer.header("location").unwrap()).await;
    assert!(page.status == 200 && page.body.contains("a &#38; b.txt and 1 more"), "{}", page.body);
    // A name that was taken is said first, and the link is one press away.
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let headers = [("content-type", kind.as_str()), ("accept", "text/html")];
    let answer = ada.bare("POST", "/files-upload", &headers, body(&parts)).await;
    assert!(answer.status == 200 && answer.body.contains("c (2).txt"), "{answer:?}");
    let link = answer.body.split("href=\"/links/new?").nth(1).unwrap().split('"').next().unwrap();
    let page = browser.get(&format!("/links/new?{}", link.replace("&#38;", "&"))).await;
    assert!(page.status == 200 && page.body.contains("My files/c (2).txt"), "{}", page.body);
    web.stop().await;
}

#[actix_web::test]
async fn a_form_that_is_not_ours_or_makes_no_sense_changes_nothing() {
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.web.upload_max = 100_000;
    })
    .await;
    let ada = Uploader::ada(&web).await;
    let csrf: Part<'_> = ("csrf", None, ada.csrf.as_bytes());
    let folder: Part<'_> = ("folder", None, b"/open");
    let file: Part<'_> = ("file", Some("a.bin"), b"abc");
    let large = pattern(100_001);
    let cases: [(&[Part<'_>], u16); 13] = [
        (&[folder, file], 403),
        (&[folder, csrf, file], 403),
        (&[("csrf", None, b"x"), folder, file], 403),
        (&[], 403),
        (&[csrf, file], 400),
        (&[csrf, folder], 400),
        (&[csrf, folder, ("other", None, b"x"), file], 400),
        (&[csrf, ("folder", None, b"/staff"), file], 404),
        (&[csrf, ("folder", None, b"/open/missing"), file], 404),
        (&[csrf, ("folder", None, b"/open/.oncelink"), file], 404),
        (&[csrf, folder, ("file", Some("a/b.bin"), b"abc")], 422),
        (&[csrf, folder, ("file", Some(".."), b"abc")], 422),
        (&[csrf, folder, ("file", Some("large.bin"), &large)], 413),
    ];
    for (parts, status) in cases {
        let answer = post(&ada, body(parts)).await;
        assert_eq!(
            answer.status,
            status,
            "{:?}: {answer:?}",
            parts.iter().map(|part| part.1).collect::<Vec<_>>()
        );
    }
    let mut torn = body(&[csrf, folder, file]);
    torn.truncate(torn.len() - 20);
    assert_eq!(post(&ada, torn).await.status, 400);
    let urlencoded = [("content-type", "application/x-www-form-urlencoded"), ("accept", "application/json")];
    assert_eq!(ada.bare("POST", "/files-upload", &urlencoded, b"a=b".to_vec()).await.status, 415);
    let names: Vec<_> =
        fs::read_dir(web.share("open")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name == "file.txt" || name == ".oncelink"), "{names:?}");
    assert_eq!(fs::read_dir(web.share("open").join(".oncelink/uploads")).unwrap().count(), 0);
    let nobody = Uploader { cookie: "sid-00000000=x".to_owned(), ..ada.clone() };
    assert_eq!(post(&nobody, body(&[csrf, folder, file])).await.status, 401);
    web.stop().await;
}

#[actix_web::test]
async fn a_file_that_exceeds_the_quota_near_its_end_is_refused_and_the_others_are_listed() {
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.web.account_quota = 1_000_000;
    })
    .await;
    let ada = Uploader::ada(&web).await;
    assert_eq!(ada.put("/open", "there.bin", &pattern(958_000)).await.status, 204);
    for size in [45_000, 262_144, 300_000, 400_000, 600_000] {
        let parts: [Part<'_>; 5] = [
            ("csrf", None, ada.csrf.as_bytes()),
            ("folder", None, b"/open"),
            ("file", Some("small.bin"), b"small"),
            ("file", Some("large.bin"), &pattern(size)),
            ("file", Some("last.bin"), b"last"),
        ];
        let answer = post(&ada, body(&parts)).await;
        assert_eq!(answer.status, 413, "{size}: {answer:?}");
        assert!(!web.share("open").join("large.bin").exists(), "{size}");
        for name in ["small.bin", "last.bin"] {
            fs::remove_file(web.share("open").join(name))
                .unwrap_or_else(|error| panic!("{size}, {name}: {error}"));
        }
        assert_eq!(fs::read_dir(web.share("open").join(".oncelink/uploads")).unwrap().count(), 0, "{size}");
    }
    web.stop().await;
}

#[actix_web::test]
async fn a_form_without_its_end_says_what_is_there() {
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let parts: [Part<'_>; 4] = [
        ("csrf", None, ada.csrf.as_bytes()),
        ("folder", None, b"/open"),
        ("file", Some("a.txt"), b"first"),
        ("file", Some("b.txt"), b"second"),
    ];
    let whole = body(&parts);
    let open = web.share("open").to_owned();
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    // Cut at every byte after the first file: the response and the stored files agree.
    let first_ends = whole.windows(5).position(|five| five == b"first").unwrap() + 5;
    for cut in (first_ends..whole.len()).step_by(7).chain([whole.len() - 1, whole.len() - 3, whole.len() - 5])
    {
        let answer =
            ada.bare("POST", "/files-upload", &[("content-type", &kind)], whole[..cut].to_vec()).await;
        let mut there: Vec<String> = fs::read_dir(&open)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.starts_with(['a', 'b']))
            .collect();
        there.sort();
        for name in ["a.txt", "b.txt"] {
            let said = answer.status == 303
                || answer.body.contains(&format!("<bdi>{name}</bdi></strong> was uploaded"));
            let is_there = there.iter().any(|there| there == name);
            assert_eq!(
                said,
                is_there,
                "cut at {cut} of {}: {there:?}, {} {}",
                whole.len(),
                answer.status,
                answer.body
            );
        }
        assert!(!answer.body.contains("What has arrived is kept"), "cut at {cut}: {}", answer.body);
        for name in there {
            fs::remove_file(open.join(name)).unwrap();
        }
        // Each time the page is loaded again, so the form is a new one.
        sqlx::query("DELETE FROM sent_forms").execute(web.outside.db.writer()).await.unwrap();
    }
    assert_eq!(
        fs::read_dir(open.join(".oncelink/uploads")).unwrap().count(),
        0,
        "nothing is left of the interrupted upload"
    );
    web.stop().await;
}

#[actix_web::test]
async fn an_upload_inherits_group_and_access_list_from_its_folder() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    if !rustix::process::getuid().is_root() {
        return crate::support::process::say("only root can set any group on a folder");
    }
    let web = TestWeb::spawn_with(writable).await;
    let ada = Uploader::ada(&web).await;
    let team = web.share("open").join("team");
    fs::create_dir(&team).unwrap();
    std::os::unix::fs::chown(&team, None, Some(12_345)).unwrap();
    fs::set_permissions(&team, fs::Permissions::from_mode(0o2775)).unwrap();
    let address = ada.begin("/open/team", "tus.txt", 3).await;
    assert_eq!(ada.patch(&address, 0, b"abc").await.status, 204);
    let parts: [Part<'_>; 3] = [
        ("csrf", None, ada.csrf.as_bytes()),
        ("folder", None, b"/open/team"),
        ("file", Some("form.txt"), b"abc"),
    ];
    assert_eq!(post(&ada, body(&parts)).await.status, 303);
    fs::write(team.join("by-hand.txt"), "abc").unwrap();
    for name in ["tus.txt", "form.txt", "by-hand.txt"] {
        assert_eq!(fs::metadata(team.join(name)).unwrap().gid(), 12_345, "{name}");
    }
    // A folder without the setgid bit: the file gets the service's own group.
    let address = ada.begin("/open", "plain.txt", 3).await;
    assert_eq!(ada.patch(&address, 0, b"abc").await.status, 204);
    let own = rustix::process::getgid().as_raw();
    assert_eq!(fs::metadata(web.share("open").join("plain.txt")).unwrap().gid(), own);
    // A default access control list: owner rwx, user 12345 rwx, group r-x, mask rwx, others nothing.
    let mut list = vec![2, 0, 0, 0];
    for (tag, permissions, id) in
        [(1_u16, 7_u16, u32::MAX), (2, 7, 12_345), (4, 5, u32::MAX), (16, 7, u32::MAX), (32, 0, u32::MAX)]
    {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let listed = web.share("open").join("listed");
    fs::create_dir(&listed).unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    match rustix::fs::setxattr(&listed, "system.posix_acl_default", &list, flags) {
        Err(rustix::io::Errno::OPNOTSUPP) => crate::support::process::say("no access control lists here"),
        set => {
            set.unwrap();
            let address = ada.begin("/open/listed", "tus.txt", 3).await;
            assert_eq!(ada.patch(&address, 0, b"abc").await.status, 204);
            fs::write(listed.join("by-hand.txt"), "abc").unwrap();
            let read = |name: &str| {
                let mut found = vec![0; 256];
                let length =
                    rustix::fs::getxattr(listed.join(name), "system.posix_acl_access", found.as_mut_slice());
                found.truncate(length.unwrap());
                (found, fs::metadata(listed.join(name)).unwrap().permissions().mode() & 0o7777)
            };
            assert_eq!(read("tus.txt"), read("by-hand.txt"));
        }
    }
    web.stop().await;
}
