//! The web app is killed and stopped repeatedly while it sends mails: none is lost, a stop sends none twice,
//! and what a kill sends twice is the same mail.
//!
//! A few rounds run with all other tests. Many: `ONCELINK_TEST_MAIL_ROUNDS=50 cargo test mail_crashes`;
//! `ONCELINK_TEST_SEED=7` before it changes the moments.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use oncelink::clock::Clock;
use oncelink::config::Settings;
use oncelink::files::ShareFolders;
use oncelink::web::WebApp;
use oncelink::web::mail::queue::MailState;
use oncelink::web::services::Services;
use rustix::process::Signal;

use crate::needs::variable;
use crate::support::links::send;
use crate::support::process::{Dice, pause, say, signal, wait_for};
use crate::support::scripted_smtp::{At, Does, ScriptedSmtp, Seen};
use crate::support::web::{Browser, PASSWORD};
use crate::support::web_process::WebSite;

fn number(name: &str, otherwise: u64) -> u64 {
    variable(name).map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Mails that wait in each round; fewer are sent before the process ends.
const MAILS_PER_ROUND: u64 = 20;

/// The server's delay, so that a round ends while mails are being sent.
const THINKS: Duration = Duration::from_millis(15);

/// How a round ends.
#[derive(Clone, Copy)]
enum End {
    Kill,
    Stop,
}

/// The recipient of each mail that arrived, with the ids of the mails to them in order of arrival.
fn arrived(seen: &Seen) -> BTreeMap<String, Vec<String>> {
    let mut arrived: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (recipient, mail) in seen.taken.iter().zip(&seen.mails) {
        let id = mail.lines().find_map(|line| line.strip_prefix("Message-ID: ")).expect("an id");
        arrived.entry(recipient.clone()).or_default().push(id.to_owned());
    }
    arrived
}

/// Sends `rounds` × [`MAILS_PER_ROUND`] mails with a process that ends in each round, and then the rest with
/// one that doesn't. Returns how many mails arrived twice.
async fn sent_over(rounds: u64, end: End) -> usize {
    let mut dice = Dice::new(number("ONCELINK_TEST_SEED", 1));
    let smtp = ScriptedSmtp::start(|at, _| {
        (at == At::Content).then(|| Does::SaysAfter(THINKS, "250 2.0.0 queued".to_owned()))
    })
    .await;
    let send_by = format!("smtp://127.0.0.1:{}", smtp.port);
    let site = WebSite::new(None, &format!("[mail]\nsend = '{send_by}'"));
    std::fs::write(site.share.join("file.txt"), "a file").unwrap();
    let recipients: BTreeSet<String> =
        (0..rounds * MAILS_PER_ROUND).map(|number| format!("r{number}@d{}.example", number % 7)).collect();
    for round in 0..rounds {
        let mut process = site.start();
        if round == 0 {
            let mut ada = Browser::at(&format!("http://{}", site.address));
            assert_eq!(ada.log_in("ada@example.org", PASSWORD).await.status, 303);
            for some in recipients.iter().collect::<Vec<_>>().chunks(500) {
                let list = some.iter().map(|one| one.as_str()).collect::<Vec<_>>().join("\n");
                let answer = send(&mut ada, &[("recipients", &list), ("mail", "yes")]).await;
                assert_eq!(answer.status, 303, "{}", answer.body);
            }
        }
        let before = smtp.seen();
        let (more, at_content) = (1 + dice.below(MAILS_PER_ROUND / 2), dice.below(2) == 0);
        let wanted = usize::try_from(more).unwrap();
        smtp.until("mails leave", |seen| match at_content {
            true => seen.taken.len() >= before.taken.len() + wanted,
            false => seen.asked.len() >= before.asked.len() + wanted,
        })
        .await;
        pause(Duration::from_millis(dice.below(30)));
        match end {
            End::Kill => process.kill(),
            End::Stop => {
                signal(process.id(), Signal::TERM);
                wait_for("the process to end", || process.ended().is_some());
                assert!(process.ended().unwrap().success(), "{}", site.log());
            }
        }
    }
    let before = smtp.seen().taken.len();
    let settings = settings(&site, &send_by);
    // Reservations of a killed process expire after a minute, so this is later.
    let clock = Clock::manual(Clock::wall().now().plus(Duration::from_secs(61)));
    let app =
        WebApp::open(&settings, clock.clone(), ShareFolders::open(&settings.shares).unwrap()).await.unwrap();
    app.send_due_mails().await.unwrap();
    let queue = Services::open(&settings, clock).await.unwrap().queue;
    let counts = [MailState::Waiting, MailState::Failed].map(|state| queue.count(state));
    assert_eq!(
        futures_util::future::try_join_all(counts).await.unwrap(),
        [0, 0],
        "no mail waits or was given up"
    );
    app.close().await;

    let arrived = arrived(&smtp.seen());
    assert_eq!(arrived.keys().cloned().collect::<BTreeSet<_>>(), recipients, "each mail arrived");
    let ids: BTreeSet<&String> = arrived.values().flatten().collect();
    assert_eq!(ids.len(), recipients.len(), "a mail that arrived twice is the same mail");
    assert!(before >= usize::try_from(rounds).unwrap(), "only {before} mails were sent in {rounds} rounds");
    assert!(!site.log().contains("panicked"), "{}", site.log());
    arrived.values().filter(|ids| ids.len() > 1).count()
}

/// The settings of the site's process.
fn settings(site: &WebSite, send_by: &str) -> Settings {
    let mut settings = Settings { data_dir: site.dir.path().join("data"), ..Settings::default() };
    settings.web.public_url = format!("http://{}", site.address);
    settings.mail.send = send_by.to_owned().into();
    settings.shares = vec![oncelink::config::ShareSettings {
        name: "open".to_owned(),
        path: site.share.clone(),
        write: vec!["everyone".to_owned()],
        manage: vec!["everyone".to_owned()],
        ..Default::default()
    }];
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_killed_while_it_sends_loses_no_mail_and_sends_twice_only_the_same_one() {
    let rounds = number("ONCELINK_TEST_MAIL_ROUNDS", 3);
    let twice = sent_over(rounds, End::Kill).await;
    say(&format!("{rounds} kills among {} mails: none lost, {twice} sent twice", rounds * MAILS_PER_ROUND));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_is_stopped_while_it_sends_loses_no_mail_and_sends_none_twice() {
    let rounds = number("ONCELINK_TEST_MAIL_ROUNDS", 3);
    let twice = sent_over(rounds, End::Stop).await;
    assert_eq!(twice, 0, "an ordinary stop sends nothing twice");
    say(&format!("{rounds} stops among {} mails: none lost, none sent twice", rounds * MAILS_PER_ROUND));
}
