//! Creating folders, renaming and moving files, and the trash.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;

use oncelink::files::ShareFolders;
use oncelink::id::FilePath;
use oncelink::web::audit::Actor;
use oncelink::web::identity::Account;
use oncelink::web::shares::disk::WritableShares;
use oncelink::web::shares::editor::ShareEditor;
use oncelink::web::shares::error::StorageError;
use oncelink::web::shares::name::FileName;
use oncelink::web::shares::rights::{Manageable, Right, Rights, Writable};

use crate::support::tus::{Uploader, writable};
use crate::support::web::TestWeb;

/// What Ada needs to change files.
struct Stage {
    web: TestWeb,
    manage: ShareEditor,
    rights: Rights,
    ada: Account,
}

impl Stage {
    async fn new() -> Stage {
        let web = TestWeb::spawn_with(writable).await;
        let shares = WritableShares::new(ShareFolders::open(&web.settings.shares).unwrap());
        let rights = Rights::new(&web.settings.shares);
        let keep = Duration::from_secs(1000);
        let manage = ShareEditor::new(web.outside.db.clone(), shares, rights.clone(), keep);
        let ada = web.account("ada@example.org", &[]).await;
        Stage { web, manage, rights, ada }
    }

    fn what(&self, path: &str) -> Manageable {
        self.rights.manageable(&self.ada, self::path(path)).unwrap()
    }

    fn folder(&self, path: &str) -> Writable {
        self.rights.writable(&self.ada, self::path(path)).unwrap()
    }

    async fn new_folder(&self, folder: &str, name: &str) -> Result<FilePath, StorageError> {
        let (folder, name) = (self.folder(folder), FileName::typed(name).unwrap());
        self.manage.new_folder(&folder, &name, &Actor::operator(), self.web.clock.now()).await
    }

    async fn rename(&self, from: &str, to: &str) -> Result<FilePath, StorageError> {
        let name = FileName::typed(to).unwrap();
        self.manage.rename(&self.what(from), &name, &Actor::operator(), self.web.clock.now()).await
    }

    async fn move_to(&self, from: &str, folder: &str) -> Result<FilePath, StorageError> {
        let folder = self.folder(folder);
        self.manage.move_to(&self.what(from), &folder, &Actor::operator(), self.web.clock.now()).await
    }

    async fn trash(&self, path: &str) -> Result<String, StorageError> {
        let (what, now) = (self.what(path), self.web.clock.now());
        Ok(self.manage.trash(&what, &self.ada, &Actor::operator(), now).await?.id)
    }

    async fn restore(&self, id: &str) -> Result<FilePath, StorageError> {
        let thrown = self.manage.trash_entry(id).await?;
        let right = self.what(thrown.path.as_str());
        self.manage.restore(&thrown, &right, &Actor::operator(), self.web.clock.now()).await
    }

    fn put(&self, name: &str, content: &str) {
        fs::write(self.web.share("open").join(name), content).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.web.share("open").join(name)).unwrap()
    }
}

fn path(text: &str) -> FilePath {
    text.parse().unwrap()
}

#[actix_web::test]
async fn folders_are_made_and_things_renamed_and_moved_but_nothing_is_replaced() {
    let stage = Stage::new().await;
    let made = stage.new_folder("/open", "Neuer Ordner").await.unwrap();
    assert_eq!(made.as_str(), "/open/Neuer Ordner");
    let refused = stage.new_folder("/open", "neuer ordner").await.unwrap_err();
    assert!(refused.sentence().contains("“Neuer Ordner”"), "{}", refused.sentence());
    stage.put("b.txt", "b");
    for taken in ["file.txt", "FILE.txt"] {
        assert!(
            matches!(stage.rename("/open/b.txt", taken).await, Err(StorageError::Taken { .. })),
            "{taken}"
        );
    }
    assert_eq!((stage.read("file.txt").as_str(), stage.read("b.txt").as_str()), ("this is open", "b"));
    assert_eq!(stage.rename("/open/b.txt", "B.TXT").await.unwrap().as_str(), "/open/B.TXT");
    assert_eq!(
        stage.move_to("/open/B.TXT", "/open/Neuer Ordner").await.unwrap().as_str(),
        "/open/Neuer Ordner/B.TXT"
    );
    assert_eq!(stage.read("Neuer Ordner/B.TXT"), "b");
    stage.put("b.txt", "other");
    assert!(matches!(
        stage.move_to("/open/b.txt", "/open/Neuer Ordner").await,
        Err(StorageError::Taken { .. })
    ));
    let inside = stage.move_to("/open/Neuer Ordner", "/open/Neuer Ordner").await;
    assert!(matches!(inside, Err(StorageError::IntoItself)), "{inside:?}");
    for (from, folder) in [
        ("/open/missing", "/open/Neuer Ordner"),
        ("/open/b.txt", "/open/missing"),
        ("/open/b.txt", "/open/file.txt"),
    ] {
        let answer = stage.move_to(from, folder).await;
        assert!(matches!(answer, Err(StorageError::Missing)), "{from} to {folder}: {answer:?}");
    }
    assert_eq!(stage.move_to("/open/b.txt", "/private").await.unwrap().as_str(), "/private/b.txt");
    stage.web.stop().await;
}

#[actix_web::test]
async fn nothing_is_moved_out_of_the_shares_or_through_a_symlink_that_leads_out() {
    let stage = Stage::new().await;
    let outside = tempfile::tempdir().unwrap();
    symlink(outside.path(), stage.web.share("open").join("out")).unwrap();
    for folder in ["/open/out"] {
        assert!(stage.move_to("/open/file.txt", folder).await.is_err());
        assert!(stage.new_folder(folder, "x").await.is_err());
    }
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 0);
    fs::write(outside.path().join("kept"), "kept").unwrap();
    // A symlink itself goes into the trash and is deleted; its target stays.
    let id = stage.trash("/open/out").await.unwrap();
    let thrown = stage.manage.trash_entry(&id).await.unwrap();
    let right = stage.what("/open/out");
    stage.manage.purge(&thrown, &right, &Actor::operator(), stage.web.clock.now()).await.unwrap();
    assert_eq!(fs::read(outside.path().join("kept")).unwrap(), b"kept");
    stage.web.stop().await;
}

#[actix_web::test]
async fn deleted_files_can_be_restored_until_their_retention_ends() {
    let stage = Stage::new().await;
    let share = stage.web.share("open").to_owned();
    fs::create_dir_all(share.join("a/b/c")).unwrap();
    stage.put("a/b/c/deep.txt", "deep");
    symlink("/etc", share.join("a/b/link")).unwrap();
    let file = stage.trash("/open/file.txt").await.unwrap();
    stage.web.pass(10);
    let folder = stage.trash("/open/a").await.unwrap();
    assert!(!share.join("file.txt").exists() && !share.join("a").exists());
    let listed = stage.manage.list_trash(&"/open".parse().unwrap()).await.unwrap();
    assert!(stage.manage.list_trash(&"/private".parse().unwrap()).await.unwrap().is_empty());
    let ids: Vec<&str> = listed.iter().map(|thrown| thrown.id.as_str()).collect();
    assert_eq!(ids, [folder.as_str(), file.as_str()], "the latest first");
    assert_eq!((listed[0].path.as_str(), listed[0].is_folder, listed[1].is_folder), ("/open/a", true, false));
    stage.put("FILE.txt", "newer");
    assert_eq!(stage.restore(&file).await.unwrap().as_str(), "/open/file (2).txt");
    assert_eq!(
        (stage.read("FILE.txt").as_str(), stage.read("file (2).txt").as_str()),
        ("newer", "this is open")
    );
    assert!(matches!(stage.restore(&file).await, Err(StorageError::Missing)), "once");
    assert_eq!(stage.restore(&folder).await.unwrap().as_str(), "/open/a");
    assert_eq!(stage.read("a/b/c/deep.txt"), "deep");
    // Restored into a folder that is gone meanwhile.
    let deep = stage.trash("/open/a/b/c/deep.txt").await.unwrap();
    let folder = stage.trash("/open/a").await.unwrap();
    assert_eq!(stage.restore(&deep).await.unwrap().as_str(), "/open/a/b/c/deep.txt");
    assert_eq!(stage.restore(&folder).await.unwrap().as_str(), "/open/a (2)");
    let folder = stage.trash("/open/a (2)").await.unwrap();
    stage.web.pass(999);
    assert_eq!(stage.manage.purge_expired(stage.web.clock.now()).await.unwrap(), 0);
    stage.web.pass(1);
    assert_eq!(stage.manage.purge_expired(stage.web.clock.now()).await.unwrap(), 1);
    assert!(matches!(stage.manage.trash_entry(&folder).await, Err(StorageError::Missing)));
    assert_eq!(fs::read_dir(share.join(".oncelink/trash")).unwrap().count(), 0);
    assert!(std::path::Path::new("/etc/passwd").exists());
    let actions: Vec<String> = sqlx::query_scalar("SELECT action FROM audit ORDER BY number")
        .fetch_all(stage.web.outside.db.reader())
        .await
        .unwrap();
    assert_eq!(actions.iter().filter(|action| *action == "file-restored").count(), 4, "{actions:?}");
    assert_eq!(actions.iter().filter(|action| *action == "file-trashed").count(), 5, "{actions:?}");
    stage.web.stop().await;
}

#[actix_web::test]
async fn a_deep_tree_is_removed_for_good() {
    let stage = Stage::new().await;
    // Deeper than the maximum length of a path, so that only file handles can reach it.
    let mut folder = fs::File::open(stage.web.share("open")).unwrap();
    for _ in 0..3000 {
        rustix::fs::mkdirat(&folder, "deeper", rustix::fs::Mode::RWXU).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY;
        folder = rustix::fs::openat(&folder, "deeper", flags, rustix::fs::Mode::empty()).unwrap().into();
    }
    let id = stage.trash("/open/deeper").await.unwrap();
    let thrown = stage.manage.trash_entry(&id).await.unwrap();
    let right = stage.what("/open/deeper");
    stage.manage.purge(&thrown, &right, &Actor::operator(), stage.web.clock.now()).await.unwrap();
    assert_eq!(fs::read_dir(stage.web.share("open").join(".oncelink/trash")).unwrap().count(), 0);
    stage.web.stop().await;
}

#[actix_web::test]
async fn a_digest_and_the_quota_follow_a_file_wherever_it_is_moved() {
    let stage = Stage::new().await;
    let uploader = Uploader::of(stage.web.logged_in("ada@example.org").await).await;
    fs::create_dir(stage.web.share("open").join("sub")).unwrap();
    assert_eq!(uploader.put("/open/sub", "a.bin", b"abc").await.status, 204);
    let known = async |path: &str| -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM file_digests WHERE path = $1 AND size = 3")
            .bind(path)
            .fetch_one(stage.web.outside.db.reader())
            .await
            .unwrap()
    };
    assert_eq!(known("/open/sub/a.bin").await, 1);
    stage.rename("/open/sub", "sub%_!2").await.unwrap();
    assert_eq!(known("/open/sub%_!2/a.bin").await, 1);
    let id = stage.trash("/open/sub%_!2").await.unwrap();
    assert_eq!(known(&format!("/open/.oncelink/trash/{id}/a.bin")).await, 1);
    stage.restore(&id).await.unwrap();
    assert_eq!(known("/open/sub%_!2/a.bin").await, 1);
    stage.move_to("/open/sub%_!2", "/private").await.unwrap();
    assert_eq!(known("/private/sub%_!2/a.bin").await, 1);
    stage.web.stop().await;
}

#[actix_web::test]
async fn each_right_includes_the_one_before_and_a_share_itself_is_the_operators() {
    let web = TestWeb::spawn_with(|settings| {
        for share in &mut settings.shares {
            share.read = vec!["readers".to_owned()];
            share.write = vec!["writers".to_owned(), "ada@example.org".to_owned()];
            share.manage = vec!["managers".to_owned()];
        }
    })
    .await;
    let rights = Rights::new(&web.settings.shares);
    for (email, groups, most) in [
        ("a@example.org", &[][..], None),
        ("b@example.org", &["readers"], Some(Right::Read)),
        ("ada@example.org", &[], Some(Right::Write)),
        ("c@example.org", &["writers", "readers"], Some(Right::Write)),
        ("d@example.org", &["managers"], Some(Right::Manage)),
    ] {
        let account = web.account(email, groups).await;
        assert_eq!(rights.highest(&account, &path("/open")), most, "{email}");
        let file = || path("/open/file.txt");
        assert_eq!(rights.readable(&account, file()).is_some(), most >= Some(Right::Read), "{email}");
        assert_eq!(rights.writable(&account, file()).is_some(), most >= Some(Right::Write), "{email}");
        assert_eq!(rights.manageable(&account, file()).is_some(), most >= Some(Right::Manage), "{email}");
        assert!(rights.manageable(&account, path("/open")).is_none(), "{email}");
        assert!(rights.highest(&account, &path("/missing")).is_none());
    }
    web.stop().await;
}
