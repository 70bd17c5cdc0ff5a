//! The emails about what has arrived: one for each guest and visit, not one for each file.

use crate::support::requests::{Guest, ask, fields};
use crate::support::tus::writable;
use crate::support::web::{Browser, TestWeb};

/// On each database.
async fn stages() -> Vec<(TestWeb, Browser)> {
    let mut stages = Vec::new();
    for web in TestWeb::on_each_database(writable).await {
        web.account("ada@example.org", &[]).await;
        let ada = web.logged_in("ada@example.org").await;
        stages.push((web, ada));
    }
    stages
}

/// The subjects of all mails sent so far, after what is due was queued.
async fn subjects(web: &TestWeb) -> Vec<String> {
    web.app.upkeep().tell_owners().await;
    web.mails().await.iter().map(|mail| mail.header("subject")).collect()
}

#[actix_web::test]
async fn forty_files_of_one_guest_are_one_email_and_what_comes_later_another() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[("notify", "yes")]).await;
        let eve = Guest::admitted(&web.base, &asked.public, &[("name", "Eve")]).await;
        for n in 0..40 {
            eve.put(&format!("{n}.txt"), b"0123456789").await;
        }
        assert!(subjects(&web).await.is_empty(), "she may not be done");
        web.pass(61);
        assert_eq!(subjects(&web).await, ["Eve sent you files for \"Photos\""]);
        let mail = web.mails().await.remove(0);
        let text = mail.prose();
        assert!(text.contains("40 files, 400 bytes") && text.contains("35 more"), "{text}");
        assert!(mail.link().ends_with(&asked.page), "{}", mail.link());
        web.pass(600);
        assert_eq!(subjects(&web).await.len(), 1, "it isn't repeated");
        eve.put("later.txt", b"later").await;
        web.pass(61);
        assert_eq!(subjects(&web).await.len(), 2);
        web.stop().await;
    }
}

#[actix_web::test]
async fn an_email_waits_for_a_guest_who_is_still_sending_but_not_for_ever() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[("notify", "yes")]).await;
        let eve = Guest::admitted(&web.base, &asked.public, &[]).await;
        eve.put("a.txt", b"a").await;
        eve.begin("large.bin", 1_000).await;
        web.pass(14 * 60);
        assert!(subjects(&web).await.is_empty());
        web.pass(2 * 60);
        assert_eq!(subjects(&web).await, ["Files arrived for \"Photos\""]);
        web.stop().await;
    }
}

#[actix_web::test]
async fn many_guests_at_once_are_one_email() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[("notify", "yes")]).await;
        for n in 0..12 {
            let guest = Guest::admitted(&web.base, &asked.public, &[("name", &format!("Guest {n}"))]).await;
            guest.put("homework.pdf", b"homework").await;
        }
        web.pass(61);
        assert_eq!(subjects(&web).await, ["12 people sent you files for \"Photos\""]);
        web.stop().await;
    }
}

#[actix_web::test]
async fn nobody_is_told_who_does_not_want_it() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[]).await;
        let eve = Guest::admitted(&web.base, &asked.public, &[]).await;
        eve.put("a.txt", b"a").await;
        web.pass(61);
        assert!(subjects(&web).await.is_empty());
        let wanted = fields(&[("notify", "yes")]);
        let wanted: Vec<_> = wanted.into_iter().filter(|(name, _)| *name != "folder").collect();
        assert_eq!(ada.fill(&asked.page, &asked.page, &wanted).await.status, 303);
        web.pass(61);
        assert!(subjects(&web).await.is_empty(), "what came before isn't reported late");
        eve.put("b.txt", b"b").await;
        web.pass(61);
        assert_eq!(subjects(&web).await.len(), 1);
        web.stop().await;
    }
}

#[actix_web::test]
async fn each_file_that_arrives_and_each_change_is_a_line_in_the_audit_log() {
    for (web, mut ada) in stages().await {
        let asked = ask(&mut ada, &[]).await;
        let eve = Guest::admitted(&web.base, &asked.public, &[("name", "Eve")]).await;
        eve.put("a.txt", b"a").await;
        let fields = fields(&[("max_files", "5")]);
        let fields: Vec<_> = fields.into_iter().filter(|(name, _)| *name != "folder").collect();
        ada.fill(&asked.page, &asked.page, &fields).await;
        ada.fill(&asked.page, &format!("{}/stop", asked.page), &[]).await;
        let (lines, _) = oncelink::web::audit::list(&web.outside.db, "request", 0, 100).await.unwrap();
        let seen: Vec<(&str, &str)> =
            lines.iter().rev().map(|line| (line.actor.as_str(), line.action.as_str())).collect();
        let who = &lines.last().unwrap().actor;
        assert_eq!(
            seen,
            [
                (who.as_str(), "request-made"),
                ("guest", "file-received"),
                (who.as_str(), "request-changed"),
                (who.as_str(), "request-stopped"),
            ]
        );
        assert!(lines.iter().any(|line| line.subject.contains("/open/a.txt")), "{lines:?}");
        web.stop().await;
    }
}
