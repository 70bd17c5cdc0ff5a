//! Selecting files in a real browser: the bar, ranges, what is kept over sorting, searching and paging, keyboard
//! shortcuts, and rows on a phone.

use std::fs;

use serde_json::{Value, json};
use thirtyfour::{By, Key};

use crate::support::browser::Browser;
use crate::support::tus::writable;
use crate::support::web::{PASSWORD, TestWeb};

const NAMES: [&str; 6] = ["a.txt", "b.txt", "c.txt", "d.pdf", "e.txt", "f.txt"];

struct Stage {
    web: TestWeb,
    browser: Browser,
}

impl Stage {
    async fn start() -> Option<Stage> {
        let browser = Browser::start().await?;
        let web = TestWeb::spawn_with(writable).await;
        web.account("ada@example.org", &[]).await;
        fs::remove_file(web.share("open").join("file.txt")).unwrap();
        for (size, name) in NAMES.iter().enumerate() {
            fs::write(web.share("open").join(name), "x".repeat(10 - size)).unwrap();
        }
        fs::create_dir(web.share("open").join("Archive")).unwrap();
        browser.goto(&format!("{}/login", web.base)).await;
        for (css, text) in [("#email", "ada@example.org"), ("#password", PASSWORD)] {
            browser.find(css).await.send_keys(text).await.unwrap();
        }
        browser.leave_by("main button[type=submit]").await;
        let stage = Stage { web, browser };
        stage.open("/files/open").await;
        Some(stage)
    }

    async fn open(&self, path: &str) {
        self.browser.goto(&format!("{}{path}", self.web.base)).await;
    }

    fn pick(name: &str) -> String {
        format!("input.pick[value$='/{name}']")
    }

    async fn tick(&self, name: &str) {
        self.browser.find(&Stage::pick(name)).await.click().await.unwrap();
    }

    async fn shift_tick(&self, name: &str) {
        let pick = self.browser.find(&Stage::pick(name)).await;
        let chain = self.browser.driver.action_chain().key_down(Key::Shift).move_to_element_center(&pick);
        chain.click().key_up(Key::Shift).perform().await.unwrap();
    }

    /// Presses the button for another page, which is above the bar only at the end of the list.
    async fn turn_page(&self) {
        self.browser.run("scrollTo(0, document.body.scrollHeight); return 0").await;
        self.browser.leave_by("button[name=page]").await;
    }

    /// The names of the ticked files, in the order of the page.
    async fn ticked(&self) -> Value {
        let script = "return [...document.querySelectorAll('input.pick:checked')].map(box => box.value.split('/').pop())";
        self.browser.run(script).await
    }

    async fn says(&self, words: &str) {
        let said = self.browser.run("return document.querySelector('.selection .count').textContent").await;
        assert_eq!(said, json!(words));
    }

    async fn press(&self, key: &str) {
        self.browser.driver.action_chain().send_keys(key).perform().await.unwrap();
    }

    async fn focused(&self) -> Value {
        self.browser.run("return document.activeElement.id || document.activeElement.value || ''").await
    }

    async fn end(self) {
        self.browser.quit().await;
        self.web.stop().await;
    }
}

#[actix_web::test]
async fn the_bar_counts_and_ticks_survive_sorting_and_searching() {
    let Some(stage) = Stage::start().await else { return };
    let browser = &stage.browser;
    stage.says("Nothing selected").await;
    let disabled =
        "return [...document.querySelectorAll('.selection .deeds button')].map(button => button.disabled)";
    assert_eq!(browser.run(disabled).await, json!([true, true, true, true]));
    browser.inspect("selection-nothing").await;
    stage.tick("a.txt").await;
    stage.shift_tick("d.pdf").await;
    assert_eq!(stage.ticked().await, json!(["a.txt", "b.txt", "c.txt", "d.pdf"]));
    stage.tick("b.txt").await;
    stage.says("3 selected").await;
    assert_eq!(browser.run(disabled).await, json!([false, false, false, false]));
    browser.inspect("selection").await;

    browser.leave_by("button.sort[value^=size]").await;
    assert_eq!(
        browser.url().await,
        format!("{}/files/open?sort=size-desc", stage.web.base),
        "a clean address"
    );
    stage.says("3 selected").await;
    assert_eq!(stage.ticked().await, json!(["a.txt", "c.txt", "d.pdf"]));
    browser.find("#q").await.send_keys("pdf\n").await.unwrap();
    browser.at(|url| url.contains("q=pdf")).await;
    stage.says("3 selected").await;
    assert_eq!(stage.ticked().await, json!(["d.pdf"]));
    stage.tick("d.pdf").await;
    stage.says("2 selected").await;
    browser.inspect("selection-search").await;
    browser.driver.back().await.unwrap();
    browser.at(|url| url.ends_with("sort=size-desc")).await;
    stage.says("2 selected").await;
    stage.open("/files/private").await;
    stage.says("Nothing selected").await;
    stage.end().await;
}

#[actix_web::test]
async fn the_selected_files_are_linked_moved_and_deleted() {
    let Some(stage) = Stage::start().await else { return };
    let browser = &stage.browser;
    stage.tick("a.txt").await;
    stage.tick("c.txt").await;
    browser.leave_by("[formaction='/links/new']").await;
    browser.at(|url| url.contains("/links/new?file=")).await;
    browser.says("c.txt").await;
    browser.driver.back().await.unwrap();
    browser.find(&Stage::pick("a.txt")).await;
    stage.says("2 selected").await;

    browser.leave_by("[formaction='/manage/selected/to']").await;
    browser.says("Move 2 items").await;
    browser.inspect("selected-move").await;
    browser.leave_by("button.as-link[value='/open/Archive']").await;
    browser.leave_by("[formaction='/manage/selected/move']").await;
    browser.says("2 items moved to this folder.").await;
    assert!(stage.web.share("open").join("Archive/c.txt").exists());
    stage.open("/files/open").await;
    stage.says("Nothing selected").await;

    stage.tick("b.txt").await;
    stage.tick("e.txt").await;
    browser.leave_by("[formaction='/manage/selected/confirm']").await;
    browser.says("Delete 2 items?").await;
    browser.inspect("selected-delete").await;
    browser.named("Cancel").await.click().await.unwrap();
    browser.at(|url| url.ends_with("/files/open")).await;
    stage.says("2 selected").await;
    browser.leave_by("[formaction='/manage/selected/confirm']").await;
    browser.leave_by(".button.danger").await;
    browser.says("2 items deleted.").await;
    stage.says("Nothing selected").await;
    browser.inspect("selected-deleted").await;
    stage.end().await;
}

#[actix_web::test]
async fn all_pages_of_a_large_folder_can_be_selected_and_the_bar_stays_in_sight() {
    let Some(stage) = Stage::start().await else { return };
    let browser = &stage.browser;
    let many = stage.web.share("open").join("many");
    fs::create_dir(&many).unwrap();
    for number in 0..1_000 {
        fs::write(many.join(format!("Photo {number} of the summer.jpg")), "x").unwrap();
    }
    stage.open("/files/open/many").await;
    browser.inspect("selection-many").await;
    browser.look(390, "light").await;
    let sight = "const bar = document.querySelector('.selection').getBoundingClientRect(); \
                 return bar.top > 0 && bar.bottom <= innerHeight + 1";
    assert_eq!(browser.run(sight).await, true, "the bar is in sight above the list's end");
    browser.look(1280, "light").await;
    for number in 1_000..1_004 {
        fs::write(many.join(format!("Photo {number} of the summer.jpg")), "x").unwrap();
    }
    stage.open("/files/open/many").await;
    stage.tick("Photo 7 of the summer.jpg").await;
    stage.turn_page().await;
    stage.says("1 selected").await;
    browser.find(".selection [name=ticks]").await.click().await.unwrap();
    stage.says("5 selected").await;
    browser.find(".selection [name=ticks][value=all]").await.click().await.unwrap();
    stage.says("1,004 selected").await;
    stage.turn_page().await;
    stage.says("1,004 selected").await;
    browser.leave_by("[formaction='/manage/selected/confirm']").await;
    browser.says("Delete 1,004 items?").await;
    browser.named("Cancel").await.click().await.unwrap();
    browser.find(&Stage::pick("Photo 7 of the summer.jpg")).await;
    stage.says("1,004 selected").await;
    stage.tick("Photo 7 of the summer.jpg").await;
    stage.says("1,003 selected").await;
    stage.end().await;
}

#[actix_web::test]
async fn shortcuts_work_in_the_list_and_never_in_a_text_field() {
    let Some(stage) = Stage::start().await else { return };
    let browser = &stage.browser;
    stage.press("a").await;
    stage.says("7 selected").await;
    stage.press(&String::from(Key::Escape.value())).await;
    stage.says("Nothing selected").await;
    stage.press("j").await;
    stage.press("j").await;
    assert_eq!(stage.focused().await, "/open/a.txt");
    stage.press(" ").await;
    stage.press("k").await;
    assert_eq!(stage.focused().await, "/open/Archive");
    stage.says("1 selected").await;
    stage.press("/").await;
    assert_eq!(stage.focused().await, "q");
    stage.press("a/jk").await;
    stage.press(&String::from(Key::Delete.value())).await;
    assert_eq!(browser.find("#q").await.value().await.unwrap().as_deref(), Some("a/jk"));
    stage.says("1 selected").await;
    // Keys with Ctrl belong to the browser.
    let body = browser.driver.find(By::Css("h1")).await.unwrap();
    body.click().await.unwrap();
    let chain = browser.driver.action_chain().key_down(Key::Control).send_keys("a").key_up(Key::Control);
    chain.perform().await.unwrap();
    stage.says("1 selected").await;

    browser.find("#shortcuts summary").await.click().await.unwrap();
    browser.inspect("selection-shortcuts").await;
    browser.find("#shortcuts-on").await.click().await.unwrap();
    stage.press("a").await;
    stage.says("1 selected").await;
    stage.open("/files/open").await;
    stage.press("a").await;
    stage.says("1 selected").await;
    browser.find("#shortcuts summary").await.click().await.unwrap();
    browser.find("#shortcuts-on").await.click().await.unwrap();
    stage.press(&String::from(Key::Delete.value())).await;
    browser.says("Delete 1 item?").await;
    assert!(stage.web.share("open").join("a.txt").exists(), "it asks first");
    stage.end().await;
}

#[actix_web::test]
async fn a_row_on_a_phone_is_low_and_a_tap_anywhere_on_it_acts() {
    let Some(stage) = Stage::start().await else { return };
    let browser = &stage.browser;
    let long = "The minutes of the meeting about the new building, final version 12.pdf";
    fs::write(stage.web.share("open").join(long), "x").unwrap();
    for (width, path) in [(390, "/files/open"), (320, "/files/open"), (390, "/files/open?q=a")] {
        stage.open(path).await;
        browser.look(width, "light").await;
        let heights =
            "return [...document.querySelectorAll('.listing tbody tr')].map(row => row.offsetHeight)";
        let heights = browser.run(heights).await;
        for height in heights.as_array().unwrap() {
            assert!(height.as_u64().unwrap() <= 72, "{path} at {width}: {heights}");
        }
        // The end of a long name is in sight.
        let end = "const end = document.querySelector('.split > :last-child').getBoundingClientRect(); \
                   const row = document.querySelector('tr:has(.split)').getBoundingClientRect(); \
                   return [end.width > 0, end.right <= row.right, end.top >= row.top]";
        assert_eq!(browser.run(end).await, json!([true, true, true]), "{path} at {width}");
    }
    stage.open("/files/open").await;
    browser.look(390, "light").await;
    // What a tap on the row, beside its buttons, meets.
    let target = "const row = document.querySelector(`tr:has(${arguments[0]})`).getBoundingClientRect(); \
                  const at = document.elementFromPoint(row.left + row.width * 0.35, row.top + row.height / 2); \
                  const found = at.closest('button, a'); \
                  return found?.getAttribute('aria-label') ?? found?.textContent.trim() ?? at.outerHTML";
    let target = async |css: &str| browser.run(&target.replace("${arguments[0]}", css)).await;
    assert_eq!(target("[value=\"/open/a.txt\"]").await, "Download a.txt");
    assert_eq!(target("[value=\"/open/Archive\"]").await, "Archive");
    let nested = browser
        .run("return document.querySelectorAll('a a, a button, button a, button button, label a').length");
    assert_eq!(nested.await, 0);
    stage.end().await;
}
