//! Prints the addresses of the services to the terminal.

use std::io::{self, Write};

use crate::server::running::RunningServices;

/// Not written to the log, because the first administrator's link is a secret.
pub(super) fn announce(running: &RunningServices) {
    let mut text = String::new();
    if running.web_app.is_some() {
        text += &format!("Web app:           {}\n", running.settings.web.public_url);
    }
    if running.download_state.is_some() {
        text += &format!("Download service:  {}\n", running.settings.download.public_url);
    }
    if let Some(address) = running.metrics {
        text += &format!("Metrics:           http://{address}/metrics\n");
    } else if let Some(listen) = &running.settings.metrics.listen {
        text += &format!("Metrics:           /metrics at {listen}\n");
    }
    for share in &running.settings.shares {
        text += &format!("Share:             {} ({})\n", share.name.escape_debug(), share.path.display());
    }
    if running.web_app.is_some() && running.settings.mail.send.as_str() == "outbox" {
        text += &format!("Emails:            written to {}\n", running.settings.outbox_dir().display());
    }
    if let Some(link) = &running.first_admin_link {
        text += &format!(
            "\nThere is no administrator yet. Create the first one with this link, which works once:\n{link}\n"
        );
    }
    // The service runs even if the terminal is gone.
    let _written = io::stdout().lock().write_all(text.as_bytes());
}
