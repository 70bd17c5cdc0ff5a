//! Applies changed settings to the web app while it runs.

use crate::config::{Settings, SettingsTable};
use crate::web::db::QueryError;
use crate::web::mail::way::MailWay;
use crate::web::services::WebOpenError;
use crate::web::{WebApp, instance};

impl WebApp {
    /// Prepares how mails are sent with these settings.
    ///
    /// # Errors
    /// See [`WebOpenError`].
    pub fn mail_way(&self, settings: &Settings) -> Result<MailWay, WebOpenError> {
        WebApp::way_of_mail(settings, self.state.brand.clone())
    }

    /// Shows administrators the values in force.
    pub fn show_settings(&self, table: SettingsTable) {
        self.state.settings_table.replace(table);
    }

    /// Applies shares, quotas, limits for links, trusted proxies and mail from now on, and revokes what was issued by
    /// rights that are gone. The folders of the shares have been replaced by the caller.
    ///
    /// # Errors
    /// If the tokens that were issued before can't be reviewed; then the next start does it.
    pub async fn apply(
        &self,
        settings: &Settings,
        table: SettingsTable,
        way: MailWay,
    ) -> Result<(), QueryError> {
        let (state, services) = (&self.state, &self.state.services);
        self.show_settings(table);
        services.rights.replace(&settings.shares);
        services.links.limits.replace(settings.into());
        self.upkeep.retention.rules.replace(settings.into());
        state.throttle.set_limits(&settings.links);
        state.throttle.set_api_requests(settings.api.requests);
        state.uploads.set_limits(settings.into());
        state.addresses.set_proxies(&settings.web.trusted_proxies, settings.web.proxy_header);
        state.test_mailer.set_rules(settings);
        self.sender.set_way(way);
        let now = services.clock.now();
        instance::review_readers(&services.db, &settings.shares, &services.issued, now).await?;
        services.issued.revocations.wake();
        Ok(())
    }
}
