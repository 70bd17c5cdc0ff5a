//! Applies changed settings while the services run. The settings are read and checked as a whole first: an error
//! changes nothing. What can't be changed in a running process is named, and keeps its value until a restart.

use crate::config::{DownloadSettings, Settings, SettingsError, SettingsTable, WebSettings};
use crate::server::running::RunningServices;
use crate::telemetry::{LogLevel, chain};
use crate::web::db::QueryError;
use crate::web::services::WebOpenError;

/// The single keys whose changes apply at once …
const KEYS: [&str; 8] = [
    "share",
    "log.level",
    "web.trusted_proxies",
    "web.proxy_header",
    "web.account_quota",
    "web.upload_max",
    "download.trusted_proxies",
    "download.proxy_header",
];
/// … and the sections in which all do.
const SECTIONS: [&str; 3] = ["links.", "mail.", "retention."];

/// The settings can't be reloaded. What ran before goes on.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReloadError {
    /// The settings are wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// What they describe can't be used.
    #[error(transparent)]
    Web(#[from] WebOpenError),
    /// The rights apply, but tokens that were issued by those before could not be reviewed.
    #[error("the settings apply, but what was issued before could not be reviewed; reload again")]
    Review(#[source] QueryError),
}

/// Returns whether a change of this key applies at once.
fn applies_at_once(key: &str) -> bool {
    KEYS.contains(&key) || SECTIONS.iter().any(|section| key.starts_with(section))
}

/// Returns the settings that run, with what of the new ones applies at once.
fn merged(running: &Settings, new: &Settings) -> Settings {
    let mut next = running.clone();
    next.shares.clone_from(&new.shares);
    next.links = new.links.clone();
    next.mail = new.mail.clone();
    next.retention = new.retention.clone();
    next.log.level.clone_from(&new.log.level);
    next.web = WebSettings {
        trusted_proxies: new.web.trusted_proxies.clone(),
        proxy_header: new.web.proxy_header,
        account_quota: new.web.account_quota,
        upload_max: new.web.upload_max,
        ..next.web
    };
    next.download = DownloadSettings {
        trusted_proxies: new.download.trusted_proxies.clone(),
        proxy_header: new.download.proxy_header,
        ..next.download
    };
    next
}

impl RunningServices {
    /// Applies what of `loaded` can be applied, and says in the log what was and what needs a restart. `table` are the
    /// values in force. Public keys are read again in any case.
    pub(super) async fn reload(
        &mut self,
        loaded: Result<(Settings, SettingsTable), SettingsError>,
        table: &mut SettingsTable,
        log: &LogLevel,
    ) {
        match self.apply(loaded, table, log).await {
            Ok(changed) => tracing::info!(
                settings = if changed.is_empty() { "none" } else { changed.as_str() },
                "SIGHUP: reloaded; these settings changed"
            ),
            Err(error) => {
                let cause = chain(&error);
                tracing::error!(cause, "SIGHUP: the settings were not reloaded, nothing has changed");
            }
        }
    }

    async fn apply(
        &mut self,
        loaded: Result<(Settings, SettingsTable), SettingsError>,
        table: &mut SettingsTable,
        log: &LogLevel,
    ) -> Result<String, ReloadError> {
        let (new, new_table) = loaded?;
        let (now, later): (Vec<String>, Vec<String>) =
            table.changed(&new_table).into_iter().partition(|key| applies_at_once(key));
        let next = merged(&self.settings, &new);
        // Whatever can fail comes first.
        let way = self.web_app.as_ref().map(|app| app.mail_way(&next)).transpose()?;
        log.set(&next.log);
        if now.iter().any(|key| key == "share") {
            self.folders.replace(&next.shares);
        }
        if let Some(state) = &self.download_state {
            let download = &next.download;
            state.set_proxies(&download.trusted_proxies, download.proxy_header);
            state.read_keys_again().await;
        }
        *table = table.with(&new_table, applies_at_once);
        self.settings = next;
        if let (Some(app), Some(way)) = (&self.web_app, way) {
            app.apply(&self.settings, table.clone(), way).await.map_err(ReloadError::Review)?;
        }
        if !later.is_empty() {
            let settings = later.join(", ");
            tracing::warn!(settings, "SIGHUP: these settings changed, too, and need a restart");
        }
        Ok(now.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_applies_at_once_exists_and_is_merged() {
        let empty: [(std::ffi::OsString, std::ffi::OsString); 0] = [];
        let (running, table) = Settings::load_with_table(None, empty).unwrap();
        let keys: Vec<&str> = table.lines().iter().map(|line| line.key.as_str()).collect();
        assert!(KEYS.iter().all(|key| keys.contains(key)), "{keys:?}");
        let set = |name: &str, value: &str| (name.to_owned().into(), value.to_owned().into());
        let (new, new_table) = Settings::load_with_table(
            None,
            [
                set("ONCELINK_SHARE", "[{ name = \"a\", path = \"/a\" }]"),
                set("ONCELINK_LOG__LEVEL", "debug"),
                set("ONCELINK_WEB__TRUSTED_PROXIES", "[\"10.0.0.1\"]"),
                set("ONCELINK_WEB__PROXY_HEADER", "forwarded"),
                set("ONCELINK_WEB__ACCOUNT_QUOTA", "1GiB"),
                set("ONCELINK_WEB__UPLOAD_MAX", "1GiB"),
                set("ONCELINK_DOWNLOAD__TRUSTED_PROXIES", "[\"10.0.0.1\"]"),
                set("ONCELINK_DOWNLOAD__PROXY_HEADER", "forwarded"),
                set("ONCELINK_LINKS__LONGEST", "7d"),
                set("ONCELINK_MAIL__PER_SECOND", "7"),
                set("ONCELINK_RETENTION__LINKS", "7d"),
                set("ONCELINK_WEB__FORM_MAX", "128KiB"),
            ],
        )
        .unwrap();
        let changed = table.changed(&new_table);
        assert_eq!(changed.iter().filter(|key| applies_at_once(key)).count(), KEYS.len() + SECTIONS.len());
        let next = merged(&running, &new);
        assert_eq!(next.web.form_max, running.web.form_max, "needs a restart");
        let restarted =
            Settings { web: WebSettings { form_max: new.web.form_max, ..next.web.clone() }, ..next };
        assert_eq!(restarted, new);
    }
}
