//! Converts the settings into the values that each part of the web app needs.

use crate::config::Settings;
use crate::http_client::address_rule::AddressRule;
use crate::web::db::DatabaseSettings;
use crate::web::deliveries::ReceiptRules;
use crate::web::links::limits::LinkLimits;
use crate::web::links::progress::LeaseRules;
use crate::web::mail::transport::MailRules;
use crate::web::membership::action_links::ActionLifetimes;
use crate::web::retention::RetentionRules;
use crate::web::time_reset::TimeLimits;
use crate::web::uploads::UploadLimits;

impl From<&Settings> for DatabaseSettings {
    fn from(settings: &Settings) -> DatabaseSettings {
        DatabaseSettings { address: settings.web.database.clone(), file: settings.database_file() }
    }
}

impl From<&Settings> for MailRules {
    fn from(settings: &Settings) -> MailRules {
        MailRules {
            mail: settings.mail.clone(),
            brand: settings.brand.clone(),
            outbox: settings.outbox_dir(),
            public_url: settings.web.public_url.clone(),
        }
    }
}

impl From<&Settings> for ActionLifetimes {
    fn from(settings: &Settings) -> ActionLifetimes {
        ActionLifetimes {
            activation: settings.web.activation_lifetime,
            reset: settings.web.reset_lifetime,
            invitation: settings.web.invitation_lifetime,
        }
    }
}

impl From<&Settings> for LinkLimits {
    fn from(settings: &Settings) -> LinkLimits {
        let links = &settings.links;
        LinkLimits {
            longest: Some(links.longest).filter(|longest| !longest.is_zero()),
            most_downloads: Some(links.most_downloads).filter(|most| *most > 0),
            end_required: links.end_required,
        }
    }
}

impl From<&Settings> for RetentionRules {
    fn from(settings: &Settings) -> RetentionRules {
        RetentionRules { receipts: settings.retention.receipts, links: settings.retention.links }
    }
}

impl From<&Settings> for AddressRule {
    fn from(settings: &Settings) -> AddressRule {
        AddressRule { allow_private: settings.webhooks.allow_private }
    }
}

impl From<&Settings> for LeaseRules {
    fn from(settings: &Settings) -> LeaseRules {
        let download = &settings.download;
        LeaseRules { lease: download.lease, lease_max: download.lease_max, resume: download.resume }
    }
}

impl From<&Settings> for ReceiptRules {
    fn from(settings: &Settings) -> ReceiptRules {
        ReceiptRules {
            address: settings.web.receipt_address,
            own_audience: settings.download.public_url.clone(),
            leeway: settings.token.leeway,
        }
    }
}

impl From<&Settings> for UploadLimits {
    fn from(settings: &Settings) -> UploadLimits {
        UploadLimits {
            keep: settings.web.upload_keep,
            file_max: settings.web.upload_max,
            account_quota: settings.web.account_quota,
            share_quotas: settings.shares.iter().map(|share| (share.name.clone(), share.quota)).collect(),
        }
    }
}

impl From<&Settings> for TimeLimits {
    fn from(settings: &Settings) -> TimeLimits {
        TimeLimits {
            leeway: settings.token.leeway,
            token: settings.token.max_lifetime,
            lease: settings.download.lease_max,
            unactivated: settings.web.unactivated_max,
            upload: settings.web.upload_keep,
            trash: settings.web.trash_keep,
            invitation: settings.web.invitation_lifetime,
        }
    }
}
