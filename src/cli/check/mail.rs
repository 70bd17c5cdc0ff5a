//! Checks how email is sent: goes through every step except sending an email.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use url::Url;

use crate::cli::check::findings::Findings;
use crate::config::{MailSettings, MailTls, Settings};
use crate::web::mail::test_mail;

/// A mail server that takes longer than this to greet is a problem in itself.
const PATIENCE: Duration = Duration::from_secs(45);

pub(super) async fn look(settings: &Settings, findings: &mut Findings) {
    let mail = &settings.mail;
    let is_public = !is_loopback(&settings.web.public_url);
    if mail.send.as_str() == "outbox" {
        let text = format!("emails are only written to {}", settings.outbox_dir().display());
        if is_public {
            let remedy = "nobody receives them: name a mail server in `mail.send`";
            findings.warning("mail", &text, remedy);
        } else {
            findings.ok("mail", &text);
        }
        return;
    }
    look_at_settings(settings, findings);
    match tokio::time::timeout(PATIENCE, test_mail::connect(settings)).await {
        Ok(Ok(seen)) => findings.ok("mail", &seen),
        Ok(Err(error)) => findings.error("mail", &error),
        Err(_) => {
            let text = format!("the mail server did not respond within {} s", PATIENCE.as_secs());
            findings.problem("mail", &text, "check `mail.send`, and whether the server is running");
        }
    }
}

fn look_at_settings(settings: &Settings, findings: &mut Findings) {
    let mail = &settings.mail;
    if mail.from.contains("@localhost") {
        let remedy = "other servers refuse it: set `mail.from` to an address of yours";
        findings.warning("mail", &format!("the sender is {}", mail.from), remedy);
    }
    let url = Url::parse(&mail.send).ok().filter(|url| url.scheme() == "smtp");
    if let Some(url) = url.filter(|url| !MailSettings::is_this_machine(url))
        && mail.tls_for(&url) != MailTls::Required
    {
        let remedy = "require TLS: `tls = \"required\"`";
        findings.warning(
            "mail",
            "emails, and the links in them, may be sent to another machine unencrypted",
            remedy,
        );
    }
    if let Ok(metadata) = std::fs::metadata(&mail.credentials)
        && metadata.permissions().mode() & 0o077 != 0
    {
        let text = format!("other users can read {}", mail.credentials.display());
        findings.warning("mail", &text, "run `chmod 600` on it");
    }
}

fn is_loopback(public_url: &str) -> bool {
    Url::parse(public_url).is_ok_and(|url| MailSettings::is_this_machine(&url))
}
