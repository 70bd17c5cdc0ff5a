//! The addresses of download services: the one of `[download]`, or each `[[node]]`.

use super::{DownloadSettings, NodeSettings, Settings, WebSettings};

/// The name of the one in `[download]` if there is no `[[node]]`.
const ONLY: &str = "download";

impl Settings {
    /// Returns the download services that tokens are issued for, with their inner addresses filled in: each
    /// `[[node]]`, or the one of `[download]`.
    pub fn download_services(&self) -> Vec<NodeSettings> {
        if self.nodes.is_empty() {
            return vec![NodeSettings {
                name: ONLY.to_owned(),
                public_url: self.download.public_url.clone(),
                inner_url: self.download.inner_address(),
                weight: 1,
            }];
        }
        let filled = |node: &NodeSettings| match node.inner_url.is_empty() {
            true => NodeSettings { inner_url: node.public_url.clone(), ..node.clone() },
            false => node.clone(),
        };
        self.nodes.iter().map(filled).collect()
    }
}

impl WebSettings {
    /// Returns the address at which other programs on this machine reach the web app.
    pub fn inner_address(&self) -> String {
        // A free port was picked, which `public_url` contains, or systemd passes the socket.
        self.listen.reachable().unwrap_or_else(|| self.public_url.clone())
    }
}

impl DownloadSettings {
    /// Returns the address at which the web app reaches this service.
    pub fn inner_address(&self) -> String {
        match self.inner_url.is_empty() {
            false => self.inner_url.clone(),
            true => self.listen.reachable().unwrap_or_else(|| self.public_url.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ListenAddress;

    fn inner(listen: &str, inner_url: &str) -> String {
        let mut settings = Settings::default();
        settings.download.listen = listen.parse::<ListenAddress>().unwrap().into();
        settings.download.inner_url = inner_url.to_owned();
        settings.download.public_url = "https://dl.example.org".to_owned();
        settings.download_services()[0].inner_url.clone()
    }

    #[test]
    fn the_inner_address_follows_the_listener() {
        assert_eq!(inner("0.0.0.0:8081", ""), "http://127.0.0.1:8081");
        assert_eq!(inner("[::]:8081", ""), "http://[::1]:8081");
        assert_eq!(inner("10.0.0.7:9000", ""), "http://10.0.0.7:9000");
        assert_eq!(inner("unix:/run/d.sock", ""), "unix:/run/d.sock");
        assert_eq!(inner("systemd", ""), "https://dl.example.org");
        assert_eq!(inner("0.0.0.0:8081", "http://download:8081"), "http://download:8081");
    }

    #[test]
    fn a_node_without_an_inner_address_is_reached_by_its_public_one() {
        let node = NodeSettings {
            name: "eu".to_owned(),
            public_url: "https://eu.example.org".to_owned(),
            inner_url: String::new(),
            weight: 1,
        };
        let settings = Settings { nodes: vec![node], ..Settings::default() };
        let services = settings.download_services();
        assert_eq!(services.len(), 1);
        assert_eq!(services[0].inner_url, "https://eu.example.org");
    }
}
