//! When a file request takes nothing more: what guests and its owner are told, and that nothing is lost.

use std::collections::BTreeSet;
use std::fs;

use oncelink::config::Settings;
use oncelink::web::audit::Actor;

use crate::support::requests::{Asked, Guest, ask, fields};
use crate::support::tus::writable;
use crate::support::web::{Browser, PASSWORD, START, TestWeb};

/// On each database.
async fn stages() -> Vec<(TestWeb, Browser)> {
    let mut stages = Vec::new();
    let change = |settings: &mut Settings| {
        writable(settings);
        for share in &mut settings.shares {
            if share.name == "staff" {
                share.write = vec!["staff".to_owned()];
            }
        }
    };
    for web in TestWeb::on_each_database(change).await {
        web.account("ada@example.org", &["staff"]).await;
        let ada = web.logged_in("ada@example.org").await;
        stages.push((web, ada));
    }
    stages
}

/// A guest who has begun a file and sent half of it.
async fn halfway(web: &TestWeb, asked: &Asked) -> (Guest, String) {
    let guest = Guest::admitted(&web.base, &asked.public, &[]).await;
    let address = guest.begin("half.txt", 8).await;
    assert_eq!(guest.patch(&address, 0, b"half").await.status, 204);
    (guest, address)
}

/// Checks that a guest is told kindly that nothing more is accepted, on the page and by the protocol.
async fn assert_over(web: &TestWeb, asked: &Asked, guest: &Guest, slug: &str) {
    let page = web.browser().get(&asked.public).await;
    assert!([404, 410].contains(&page.status), "{}", page.status);
    assert!(page.body.contains("ask the person who gave you this link"), "{}", page.body);
    assert!(!page.body.contains("open") && !page.body.contains("staff"), "{}", page.body);
    let told = Guest::try_admitted(&web.base, &asked.public, &[]).await;
    assert_eq!(told.problem().0, slug);
    assert!([404, 410].contains(&guest.try_put("new.txt", b"new").await.status));
}

#[actix_web::test]
async fn after_its_end_only_what_was_begun_before_may_be_completed_within_the_hour() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[("ends", "2027-01-15T09:00")]).await;
        let (guest, address) = halfway(&web, &asked).await;
        web.pass(3_600);
        assert_over(&web, &asked, &guest, "request-ended").await;
        assert_eq!(guest.patch(&address, 4, b"rest").await.status, 204, "within the hour");
        assert_eq!(fs::read(web.share("open").join("half.txt")).unwrap(), b"halfrest");
        web.pass(3_600);
        let late = guest.patch(&address, 8, b"").await;
        assert_eq!((late.status, late.problem().0.as_str()), (410, "request-over"));
        // Its owner can extend it, and the same ticket goes on.
        ada = web.logged_in("ada@example.org").await;
        let longer = fields(&[("ends", "2027-01-20T00:00")]);
        let longer: Vec<_> = longer.into_iter().filter(|(name, _)| *name != "folder").collect();
        assert_eq!(ada.fill(&asked.page, &asked.page, &longer).await.status, 303);
        guest.put("late.txt", b"late").await;
        web.stop().await;
    }
}

#[actix_web::test]
async fn stopping_is_for_good_cancels_what_is_on_the_way_and_keeps_what_has_arrived() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[]).await;
        let (guest, address) = halfway(&web, &asked).await;
        guest.put("whole.txt", b"whole").await;
        let answer = ada.fill(&asked.page, &format!("{}/stop", asked.page), &[]).await;
        assert_eq!(answer.status, 303);
        assert_over(&web, &asked, &guest, "request-stopped").await;
        assert_eq!(guest.patch(&address, 4, b"rest").await.status, 404);
        assert_eq!(fs::read(web.share("open").join("whole.txt")).unwrap(), b"whole");
        assert_eq!(fs::read_dir(web.share("open").join(".oncelink/uploads")).unwrap().count(), 0);
        let page = ada.get(&asked.page).await.body;
        assert!(page.contains("stopped") && page.contains("whole.txt"), "{page}");
        // No form brings it back.
        let longer = fields(&[]);
        let longer: Vec<_> = longer.into_iter().filter(|(name, _)| *name != "folder").collect();
        ada.fill("/account", &asked.page, &longer).await;
        assert_over(&web, &asked, &guest, "request-stopped").await;
        web.stop().await;
    }
}

#[actix_web::test]
async fn it_ends_when_its_owner_leaves_the_group_that_may_write_and_comes_back_with_the_right() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[("folder", "/staff")]).await;
        let (guest, address) = halfway(&web, &asked).await;
        let account =
            web.outside.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap();
        let (admin, operator, none) = (&web.outside.account_admin, Actor::operator(), BTreeSet::new());
        admin.set_rights(&account, &none, false, &operator, START).await.unwrap();
        web.pass(2);
        assert_over(&web, &asked, &guest, "request-gone").await;
        assert_eq!(guest.patch(&address, 4, b"rest").await.problem().0, "request-over");
        assert!(ada.get(&asked.page).await.body.contains("You may no longer add files to this folder"));
        let staff: BTreeSet<_> = ["staff".parse().unwrap()].into();
        admin.set_rights(&account, &staff, false, &operator, START).await.unwrap();
        web.pass(2);
        assert_eq!(guest.patch(&address, 4, b"rest").await.status, 204, "nothing was lost");
        assert_eq!(fs::read(web.share("staff").join("half.txt")).unwrap(), b"halfrest");
        web.stop().await;
    }
}

#[actix_web::test]
async fn it_ends_with_its_owners_account() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[]).await;
        let (guest, address) = halfway(&web, &asked).await;
        guest.put("whole.txt", b"whole").await;
        let account =
            web.outside.accounts.by_email(&"ada@example.org".parse().unwrap()).await.unwrap().unwrap();
        let (admin, operator) = (&web.outside.account_admin, Actor::operator());
        admin.set_disabled(&account, true, &operator, START).await.unwrap();
        assert_over(&web, &asked, &guest, "request-gone").await;
        assert_eq!(guest.patch(&address, 4, b"rest").await.status, 410);
        admin.set_disabled(&account, false, &operator, START).await.unwrap();
        let mut ada = web.logged_in("ada@example.org").await;
        let gone = ada.fill("/account", "/account/delete", &[("current_password", PASSWORD)]).await;
        assert_eq!(gone.status, 303, "{}", gone.body);
        assert_eq!(web.browser().get(&asked.public).await.status, 404);
        assert_eq!(guest.patch(&address, 4, b"rest").await.problem().0, "no-ticket");
        assert_eq!(fs::read(web.share("open").join("whole.txt")).unwrap(), b"whole", "what arrived stays");
        web.stop().await;
    }
}

#[actix_web::test]
async fn it_follows_its_folder_even_while_a_file_is_on_its_way() {
    for (web, mut ada) in stages().await {
        fs::create_dir(web.share("open").join("inbox")).unwrap();
        let asked = ask(&mut ada, &[("folder", "/open/inbox")]).await;
        let (guest, address) = halfway(&web, &asked).await;
        let rename = [("path", "/open/inbox"), ("name", "renamed")];
        assert_eq!(ada.fill("/account", "/manage/rename", &rename).await.status, 303);
        assert_eq!(guest.patch(&address, 4, b"rest").await.status, 204);
        assert_eq!(fs::read(web.share("open").join("renamed/half.txt")).unwrap(), b"halfrest");
        assert!(!web.share("open").join("inbox").exists());
        guest.put("new.txt", b"new").await;
        assert!(web.share("open").join("renamed/new.txt").exists());
        assert!(ada.get(&asked.page).await.body.contains("/open/renamed"));
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_folder_that_was_deleted_is_a_kind_answer_until_it_is_restored() {
    for (web, mut ada) in stages().await {
        fs::create_dir(web.share("open").join("inbox")).unwrap();
        let asked = ask(&mut ada, &[("folder", "/open/inbox")]).await;
        let (guest, address) = halfway(&web, &asked).await;
        let deleted = ada.fill("/account", "/manage/delete", &[("path", "/open/inbox")]).await;
        assert_eq!(deleted.status, 303);
        assert_over(&web, &asked, &guest, "request-folder").await;
        assert!(ada.get(&asked.page).await.body.contains("The folder for these files is missing"));
        assert!(ada.get("/requests").await.body.contains("folder missing"));
        // What was on its way arrives where it was meant to go: nothing that was acknowledged is lost.
        assert_eq!(guest.patch(&address, 4, b"rest").await.status, 204);
        assert_eq!(fs::read(web.share("open").join("inbox/half.txt")).unwrap(), b"halfrest");
        guest.put("new.txt", b"new").await;
        web.stop().await;
    }
}

#[actix_web::test]
async fn requests_that_ended_long_ago_and_their_tickets_are_swept_and_the_files_stay() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[("ends", "2027-01-15T09:00")]).await;
        let guest = Guest::admitted(&web.base, &asked.public, &[("name", "Eve")]).await;
        guest.put("whole.txt", b"whole").await;
        web.pass(3 * 24 * 3600);
        web.app.upkeep().prune().await;
        assert_eq!(guest.try_put("new.txt", b"new").await.problem().0, "no-ticket");
        assert!(ada.get(&asked.page).await.status == 303, "her session has ended as well");
        let mut ada = web.logged_in("ada@example.org").await;
        assert!(ada.get(&asked.page).await.body.contains("from <bdi>Eve</bdi>"), "who sent it is kept");
        web.pass(90 * 24 * 3600);
        web.app.upkeep().prune().await;
        let mut ada = web.logged_in("ada@example.org").await;
        assert_eq!(ada.get(&asked.page).await.status, 404);
        assert_eq!(web.browser().get(&asked.public).await.status, 404);
        assert_eq!(fs::read(web.share("open").join("whole.txt")).unwrap(), b"whole");
        web.stop().await;
    }
}
