//! The settings of log lines and metrics.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::Listen;

/// `[log]`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSettings {
    /// Minimum severity, or a filter such as `info,oncelink::download=debug`.
    pub level: String,
    /// Text or JSON lines.
    pub format: LogFormat,
}

/// `[metrics]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// Where `/metrics` is served, to anyone who reaches it; `None`: nowhere.
    #[serde(deserialize_with = "listen_or_off")]
    pub listen: Option<Listen>,
}

fn listen_or_off<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Listen>, D::Error> {
    /// `off`, or places to listen.
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        One(String),
        Several(Vec<String>),
    }
    let texts = match Written::deserialize(deserializer)? {
        Written::One(text) if text == "off" => return Ok(None),
        Written::One(text) => vec![text],
        Written::Several(texts) => texts,
    };
    let addresses = texts.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>();
    addresses
        .and_then(Listen::new)
        .map(Some)
        .map_err(|problem| D::Error::custom(format!("{problem}; `off` means nowhere")))
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
