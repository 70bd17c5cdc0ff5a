//! The page of a link with a thousand recipients: pages, a search by address, those whom no email has reached.

use crate::support::links::fields;
use crate::support::web::{Answer, Browser, TestWeb};

const MANY: usize = 1_000;

async fn made(ada: &mut Browser) -> String {
    let people: Vec<String> = (0..MANY).map(|n| format!("person{n:03}@example.org")).collect();
    let people = people.join("\n");
    let answer = ada.fill("/account", "/links", &fields(&[("recipients", &people)])).await;
    assert_eq!(answer.status, 303, "{}", answer.body);
    answer.location.unwrap()
}

/// The addresses of the recipients on a page, in order.
fn people(answer: &Answer) -> Vec<String> {
    let rows = answer.body.split("<strong><bdi dir=\"ltr\">").skip(1);
    rows.map(|row| row.split('<').next().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn a_thousand_recipients_are_on_ten_pages_and_found_by_their_addresses() {
    for web in TestWeb::on_each_database(|_| {}).await {
        web.account("ada@example.org", &[]).await;
        let mut ada = web.logged_in("ada@example.org").await;
        let page = made(&mut ada).await;
        let first = ada.get(&page).await;
        assert!(first.body.len() < 300_000, "{} bytes", first.body.len());
        assert!(first.body.contains("1,000 recipients, page 1 of 10"), "{}", first.body);
        let mut seen = people(&first);
        for number in 2..=10 {
            let next = format!("href=\"{page}?page={number}#recipients\"");
            assert!(number == 10 || seen.len() == (number - 1) * 100);
            let answer = ada.get(&format!("{page}?page={}", number - 1)).await;
            assert!(answer.body.contains(&next), "{next}");
            seen.extend(people(&ada.get(&format!("{page}?page={number}")).await));
        }
        assert_eq!(seen, (0..MANY).map(|n| format!("person{n:03}@example.org")).collect::<Vec<_>>());

        let found = ada.get(&format!("{page}?q=PERSON99")).await;
        assert_eq!(
            people(&found),
            (990..1_000).map(|n| format!("person{n}@example.org")).collect::<Vec<_>>()
        );
        assert!(found.body.contains("10 of 1,000 recipients"), "{}", found.body);
        assert!(found.body.contains(&format!("data-live=\"{page}/live?q=PERSON99\"")), "{}", found.body);
        let live = ada.get(&format!("{page}/live?q=PERSON99")).await;
        assert_eq!(live.body.matches("data-part=\"count-").count(), 10, "{}", live.body);
        let nobody = ada.get(&format!("{page}?q=%3Cscript%3E")).await;
        assert!(
            people(&nobody).is_empty() && nobody.body.contains("0 of 1,000 recipients"),
            "{}",
            nobody.body
        );
        assert!(nobody.body.contains("value=\"&#60;script&#62;\""), "{}", nobody.body);
        for odd in ["?page=0", "?page=99", "?page=x", "?q=", "?unknown=1"] {
            let answer = ada.get(&format!("{page}{odd}")).await;
            assert_eq!((answer.status, people(&answer).len()), (200, 100), "{odd}");
        }
        web.stop().await;
    }
}

#[actix_web::test]
async fn a_link_with_few_recipients_has_no_search() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let few = crate::support::links::make(&mut ada, &[("recipients", "a@example.org b@example.org")]).await;
    let page = ada.get(&few.page).await;
    assert!(!page.body.contains("role=\"search\"") && people(&page).len() == 2, "{}", page.body);
    web.stop().await;
}

#[actix_web::test]
async fn those_whom_no_email_has_reached_are_one_click_away() {
    let web = TestWeb::spawn().await;
    web.account("ada@example.org", &[]).await;
    let mut ada = web.logged_in("ada@example.org").await;
    let page = made(&mut ada).await;
    let (id,): (String,) = sqlx::query_as("SELECT id FROM recipients WHERE email = 'person777@example.org'")
        .fetch_one(web.outside.db.reader())
        .await
        .unwrap();
    sqlx::query(
        "UPDATE recipients SET mail = 'gone', mail_state = 'failed', mail_ended_at = 1 WHERE id = $1",
    )
    .bind(&id)
    .execute(web.outside.db.writer())
    .await
    .unwrap();
    let first = ada.get(&page).await;
    assert!(!people(&first).contains(&"person777@example.org".to_owned()));
    assert!(first.body.contains("One recipient hasn’t received the link by email."), "{}", first.body);
    assert!(first.body.contains(&format!("{page}?unreached#recipients")), "{}", first.body);
    let unreached = ada.get(&format!("{page}?unreached")).await;
    assert_eq!(people(&unreached), ["person777@example.org"]);
    assert!(unreached.body.contains("Show all recipients"), "{}", unreached.body);
    web.stop().await;
}
