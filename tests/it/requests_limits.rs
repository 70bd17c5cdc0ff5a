//! What a file request takes at most, exactly, however many guests send at once; and whose quota it is.

use std::fs;

use futures_util::future::join_all;

use crate::support::pattern;
use crate::support::requests::{Guest, ask};
use crate::support::tus::{Uploader, metadata, writable};
use crate::support::web::TestWeb;

async fn guests(web: &TestWeb, public: &str, count: usize) -> Vec<Guest> {
    let mut guests = Vec::new();
    for n in 0..count {
        // A minute each, because tickets are limited per address.
        if n % 16 == 0 {
            web.pass(60);
        }
        guests.push(Guest::admitted(&web.base, public, &[]).await);
    }
    guests
}

#[actix_web::test]
async fn of_32_guests_at_once_exactly_as_many_send_a_file_as_the_limit_says() {
    for web in TestWeb::on_each_database(writable).await {
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let asked = ask(&mut ada, &[("max_files", "10")]).await;
        let guests = guests(&web, &asked.public, 32).await;
        let sent = guests.iter().map(|guest| guest.try_put("photo.jpg", b"a photo"));
        let sent = join_all(sent).await;
        let arrived = sent.iter().filter(|answer| answer.status == 204).count();
        let refused = sent.iter().filter(|answer| answer.status == 413).count();
        assert_eq!((arrived, refused), (10, 22), "{sent:?}");
        let refusal = sent.iter().find(|answer| answer.status == 413).unwrap();
        assert_eq!(refusal.problem().0, "request-files");
        // One file was there before, and the service's own folder.
        assert_eq!(fs::read_dir(web.share("open")).unwrap().count(), 12);
        assert!(ada.get(&asked.page).await.body.contains("limit reached"));
        assert!(web.browser().get(&asked.public).await.body.contains("No more files are accepted"));
        web.stop().await;
    }
}

#[actix_web::test]
async fn of_32_guests_at_once_exactly_as_many_bytes_arrive_as_the_limit_says() {
    for web in TestWeb::on_each_database(writable).await {
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let asked = ask(&mut ada, &[("max_bytes", "700 kB")]).await;
        let guests = guests(&web, &asked.public, 32).await;
        let content = pattern(100_000);
        let sent = join_all(guests.iter().map(|guest| guest.try_put("film.bin", &content))).await;
        let arrived = sent.iter().filter(|answer| answer.status == 204).count();
        assert_eq!(arrived, 7, "{sent:?}");
        let refusal = sent.iter().find(|answer| answer.status == 413).unwrap();
        assert_eq!(refusal.problem().0, "request-bytes");
        assert_eq!(guests[0].try_put("empty", b"").await.status, 413, "nothing is left");
        web.stop().await;
    }
}

#[actix_web::test]
async fn files_of_unknown_size_stay_within_the_limit_together() {
    for web in TestWeb::on_each_database(writable).await {
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let asked = ask(&mut ada, &[("max_bytes", "500 kB")]).await;
        let guests = guests(&web, &asked.public, 8).await;
        let said = metadata(&[("filename", "stream.bin")]);
        let content = pattern(100_000);
        let send = async |guest: &Guest| {
            let headers = [("upload-defer-length", "1"), ("upload-metadata", said.as_str())];
            let begun = guest.send("POST", "/uploads", &headers, Vec::new()).await;
            if begun.status != 201 {
                return 0;
            }
            let address = begun.header("location").unwrap().to_owned();
            guest.patch(&address, 0, &content).await;
            let head = guest.send("HEAD", &address, &[], Vec::new()).await;
            head.offset().unwrap()
        };
        let sent: u64 = join_all(guests.iter().map(send)).await.into_iter().sum();
        assert!(sent <= 500_000, "{sent}");
        web.stop().await;
    }
}

#[actix_web::test]
async fn an_upload_that_is_given_up_makes_room_again() {
    for web in TestWeb::on_each_database(writable).await {
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let asked = ask(&mut ada, &[("max_files", "1"), ("max_bytes", "10 bytes")]).await;
        let guest = Guest::admitted(&web.base, &asked.public, &[]).await;
        let address = guest.begin("a.txt", 10).await;
        assert_eq!(guest.try_put("b.txt", b"b").await.problem().0, "request-files");
        assert_eq!(guest.send("DELETE", &address, &[], Vec::new()).await.status, 204);
        guest.put("b.txt", b"b").await;
        // A file that has arrived can't be taken back, and counts even after its owner has moved it away.
        fs::remove_file(web.share("open").join("b.txt")).unwrap();
        assert_eq!(guest.try_put("c.txt", b"c").await.problem().0, "request-files");
        web.stop().await;
    }
}

#[actix_web::test]
async fn parts_count_as_one_file_when_they_are_joined() {
    for web in TestWeb::on_each_database(writable).await {
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let asked = ask(&mut ada, &[("max_files", "1"), ("max_bytes", "8 bytes")]).await;
        let guest = Guest::admitted(&web.base, &asked.public, &[]).await;
        let said = metadata(&[("filename", "whole.txt")]);
        let mut parts = Vec::new();
        for content in [b"half", b"rest"] {
            let headers = [("upload-length", "4"), ("upload-concat", "partial")];
            let begun = guest.send("POST", "/uploads", &headers, Vec::new()).await;
            assert_eq!(begun.status, 201, "{begun:?}");
            parts.push(begun.header("location").unwrap().to_owned());
            guest.patch(parts.last().unwrap(), 0, content).await;
        }
        let join = format!("final;{}", parts.join(" "));
        let headers = [("upload-concat", join.as_str()), ("upload-metadata", said.as_str())];
        assert_eq!(guest.send("POST", "/uploads", &headers, Vec::new()).await.status, 201);
        assert_eq!(fs::read(web.share("open").join("whole.txt")).unwrap(), b"halfrest");
        assert_eq!(guest.try_put("more.txt", b"m").await.problem().0, "request-files");
        web.stop().await;
    }
}

#[actix_web::test]
async fn what_guests_send_counts_against_the_quota_of_the_person_who_asked_and_they_don_t_learn_it() {
    let web = TestWeb::spawn_with(|settings| {
        writable(settings);
        settings.web.account_quota = 1_000;
    })
    .await;
    let uploader = Uploader::ada(&web).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let asked = ask(&mut ada, &[]).await;
    let guest = Guest::admitted(&web.base, &asked.public, &[]).await;
    guest.put("a.bin", &pattern(600)).await;
    let own = uploader.try_begin("/open", "own.bin", 500).await;
    assert_eq!(own.problem().0, "account-quota");
    let refused = guest.try_put("b.bin", &pattern(500)).await;
    let (slug, sentence) = refused.problem();
    assert_eq!((refused.status, slug.as_str()), (507, "request-space"));
    assert!(!sentence.contains("400"), "{sentence}");
    web.stop().await;
}

#[actix_web::test]
async fn unfinished_files_of_guests_leave_room_for_the_uploads_of_the_person_who_asked() {
    for web in TestWeb::on_each_database(writable).await {
        let uploader = Uploader::ada(&web).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let asked = ask(&mut ada, &[("max_files", "2000")]).await;
        let guest = Guest::admitted(&web.base, &asked.public, &[]).await;
        for n in 0..1_001 {
            guest.begin(&format!("{n}.txt"), 1).await;
        }
        uploader.put("/open", "own.txt", b"own").await;
        assert_eq!(fs::read(web.share("open").join("own.txt")).unwrap(), b"own");
        let list = ada.get(&asked.page).await;
        assert_eq!(list.status, 200);
        assert!(list.body.len() < 80_000, "{}", list.body.len());
        web.stop().await;
    }
}
