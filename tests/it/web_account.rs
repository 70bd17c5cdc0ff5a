//! A person's own account: name, password, email address, and deletion.

use crate::support::web::{PASSWORD, TestWeb};

const NEW: &str = "an entirely new password";

#[actix_web::test]
async fn a_name_is_changed_or_the_mistake_is_shown_beside_it() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    assert_eq!(ada.fill("/account", "/account/name", &[("name", "Ada L.")]).await.status, 303);
    let page = ada.get("/account").await.body;
    assert!(page.contains("Ada L.") && page.contains("Your name has been changed"));
    let refused = ada.fill("/account", "/account/name", &[("name", "  ")]).await;
    assert!(
        refused.status == 422 && refused.body.contains("A name must be on one line and have 1 to 100"),
        "{}",
        refused.body
    );
    web.stop().await;
}

#[actix_web::test]
async fn a_password_is_changed_only_with_the_old_one_and_all_other_sessions_end() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let mut other = web.logged_in("ada@example.org").await;
    let change = |old| [("current_password", old), ("password", NEW), ("password_again", NEW)];
    let refused = ada.fill("/account", "/account/password", &change("not the password")).await;
    assert!(refused.status == 422 && refused.body.contains("not your current password"), "{}", refused.body);
    assert_eq!(ada.fill("/account", "/account/password", &change(PASSWORD)).await.status, 303);
    assert!(ada.get("/account").await.body.contains("Your password has been changed"));
    assert_eq!(other.get("/account").await.status, 303);
    let mails = web.mails().await;
    assert_eq!(mails.len(), 1, "the owner is notified by mail");
    assert!(mails[0].header("to").contains("ada@example.org"));
    web.stop().await;
}

#[actix_web::test]
async fn a_new_address_counts_once_it_is_confirmed_there_and_the_old_one_is_informed() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let fields = [("email", "ada@new.example"), ("current_password", PASSWORD)];
    let wrong = [("email", "ada@new.example"), ("current_password", "not the password")];
    let refused = ada.fill("/account", "/account/email", &wrong).await;
    assert!(refused.status == 422 && refused.body.contains("ada@new.example"), "{}", refused.body);
    assert_eq!(ada.fill("/account", "/account/email", &fields).await.status, 303);
    assert!(ada.get("/account").await.body.contains("ada@new.example"), "it is shown as waiting");
    let mails = web.mails().await;
    assert_eq!((mails.len(), mails[0].header("to").as_str()), (1, "ada@new.example"));
    let path = mails[0].path();
    assert!(path.starts_with("/confirm-address/"));

    let mut scanner = web.browser();
    assert_eq!(scanner.fill(&path, &path, &[]).await.status, 422, "without a login, the password is needed");
    assert_eq!(web.browser().log_in("ada@new.example", PASSWORD).await.status, 403);
    let done = ada.fill(&path, &path, &[]).await;
    assert_eq!((done.status, done.location.as_deref()), (303, Some("/account")), "{}", done.body);
    assert!(ada.get("/account").await.body.contains("has been changed"));
    assert_eq!(web.browser().log_in("ada@example.org", PASSWORD).await.status, 403);
    assert_eq!(web.browser().log_in("ada@new.example", PASSWORD).await.status, 303);
    let mails = web.mails().await;
    assert_eq!((mails.len(), mails[1].header("to").as_str()), (2, "ada@example.org"));
    assert!(mails[1].text.contains("ada@new.example"), "{}", mails[1].text);
    assert_eq!(ada.get(&path).await.status, 200, "already done");
    web.stop().await;
}

#[actix_web::test]
async fn an_address_can_be_confirmed_with_the_password_and_not_when_it_was_taken_or_canceled() {
    let web = TestWeb::spawn().await;
    for email in ["ada@example.org", "bob@example.org"] {
        web.account(email, &[]).await;
    }
    let mut ada = web.logged_in("ada@example.org").await;
    let taken = [("email", "bob@example.org"), ("current_password", PASSWORD)];
    let same = ada.fill("/account", "/account/email", &taken).await;
    assert_eq!(same.status, 303, "nothing reveals who else has an account");
    assert!(web.mails().await.is_empty(), "and Bob, who did not ask, gets no mail");

    let fields = [("email", "ada@new.example"), ("current_password", PASSWORD)];
    ada.fill("/account", "/account/email", &fields).await;
    let given_up = web.mails().await[0].path();
    assert_eq!(ada.fill("/account", "/account/email/cancel", &[]).await.status, 303);
    assert_eq!(ada.get(&given_up).await.status, 410);

    ada.fill("/account", "/account/email", &fields).await;
    let path = web.mails().await[1].path();
    let mut phone = web.browser();
    assert!(phone.get(&path).await.body.contains("type=\"password\""));
    assert_eq!(phone.fill(&path, &path, &[("password", "not the password")]).await.status, 422);
    assert_eq!(phone.fill(&path, &path, &[("password", PASSWORD)]).await.status, 303);
    assert_eq!(web.browser().log_in("ada@new.example", PASSWORD).await.status, 303);
    web.stop().await;
}

#[actix_web::test]
async fn a_change_of_password_cancels_a_pending_change_of_address() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut thief = web.logged_in("ada@example.org").await;
    let fields = [("email", "thief@example.net"), ("current_password", PASSWORD)];
    thief.fill("/account", "/account/email", &fields).await;
    let path = web.mails().await[0].path();
    let mut ada = web.logged_in("ada@example.org").await;
    let change = [("current_password", PASSWORD), ("password", NEW), ("password_again", NEW)];
    assert_eq!(ada.fill("/account", "/account/password", &change).await.status, 303);
    assert_eq!(thief.get(&path).await.status, 410);
    assert!(!ada.get("/account").await.body.contains("thief@example.net"));
    web.stop().await;
}

#[actix_web::test]
async fn an_account_is_deleted_by_its_owner_with_everything_in_it() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let mut other = web.logged_in("ada@example.org").await;
    let wrong = [("current_password", "not the password")];
    assert_eq!(ada.fill("/account", "/account/delete", &wrong).await.status, 422);
    let gone = ada.fill("/account", "/account/delete", &[("current_password", PASSWORD)]).await;
    assert_eq!((gone.status, gone.location.as_deref()), (303, Some("/login")));
    assert_eq!(other.get("/account").await.status, 303);
    assert_eq!(web.browser().log_in("ada@example.org", PASSWORD).await.status, 403);
    let email = "ada@example.org".parse().unwrap();
    assert!(web.outside.accounts.by_email(&email).await.unwrap().is_none());
    assert_eq!(web.mails().await.len(), 1, "and they are notified by mail");
    web.stop().await;
}
