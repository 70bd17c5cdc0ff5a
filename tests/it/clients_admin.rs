//! The pages of the administration in a real browser, with an axe check of each, in four looks: everybody's links
//! and downloads, shares, keys and settings; and that their rows stay low on a phone.

use oncelink::config::{Settings, SettingsTable};

use crate::support::browser::Browser;
use crate::support::links::make;
use crate::support::web::{PASSWORD, TestWeb};
use crate::web_admin::administrator;

#[actix_web::test]
async fn an_administrator_looks_through_everything_and_stops_a_link() {
    let Some(browser) = Browser::start().await else { return };
    let web = TestWeb::spawn().await;
    administrator(&web, "root@example.org").await;
    let ada = web.account("ada@example.org", &[]).await;
    let mut ada_browser = web.logged_in("ada@example.org").await;
    let long = "The minutes of the meeting about the new building, final version 12";
    let made = make(
        &mut ada_browser,
        &[("title", long), ("uses", "20"), ("recipients", "bob@example.org, kim@example.org")],
    )
    .await;
    make(&mut ada_browser, &[("title", "Photos"), ("uses", "")]).await;
    let id = made.page.rsplit('/').next().unwrap().to_owned();
    for (n, state) in ["complete", "broken", "running"].into_iter().enumerate() {
        let query = "INSERT INTO receipts (jti, link, node, sequence, redeemed_at, started_at, last_at, size, bytes, \
             state, resumed, address) VALUES ($1, $2, 'download', 1, $3, $3, $3, 1000000, 500000, $4, 0, '192.0.2.0/24')";
        sqlx::query(query)
            .bind(format!("AAAAAAAAAAAAAAAAAAAAA{n}"))
            .bind(&id)
            .bind(1_799_999_000_i64 + n as i64)
            .bind(state)
            .execute(web.outside.db.writer())
            .await
            .unwrap();
    }
    let none: [(std::ffi::OsString, std::ffi::OsString); 0] = [];
    let (_, table): (Settings, SettingsTable) = Settings::load_with_table(None, none).unwrap();
    web.app.show_settings(table);
    browser.goto(&format!("{}/login", web.base)).await;
    for (css, text) in [("#email", "root@example.org"), ("#password", PASSWORD)] {
        browser.find(css).await.send_keys(text).await.unwrap();
    }
    browser.leave_by("main button[type=submit]").await;
    let account = format!("accounts/{}", ada.id);
    for page in ["links", "deliveries", "shares", "settings", "keys", account.as_str(), "invite"] {
        browser.goto(&format!("{}/admin/{page}", web.base)).await;
        browser.inspect(&format!("admin-{}", page.split('/').next().unwrap())).await;
    }
    for page in ["links", "deliveries"] {
        browser.goto(&format!("{}/admin/{page}", web.base)).await;
        browser.look(390, "light").await;
        let script = "return [...document.querySelectorAll('.entries > li')].map(row => row.offsetHeight)";
        let heights = browser.run(script).await;
        let heights = heights.as_array().unwrap().clone();
        assert!(
            !heights.is_empty() && heights.iter().all(|height| height.as_u64().unwrap() <= 72),
            "{heights:?}"
        );
        let wide = browser.run("return document.documentElement.scrollWidth").await;
        assert!(wide.as_u64().unwrap() <= 390, "{page} is {wide} wide");
    }
    // From the list to a link that no longer works.
    browser.goto(&format!("{}/admin/links?q=minutes", web.base)).await;
    browser.leave_by(".entries .main > a").await;
    browser.inspect("admin-link").await;
    browser.find("details.confirm summary").await.click().await.unwrap();
    browser.leave_by("details.confirm button[type=submit]").await;
    browser.says("no longer shared").await;
    browser.inspect("admin-link-stopped").await;
    assert_eq!(web.browser().post(&made.public[0], &[]).await.status, 410);
    browser.quit().await;
    web.stop().await;
}
