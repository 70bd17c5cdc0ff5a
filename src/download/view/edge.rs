//! The headers of views. A file that someone else chose is shown here on our origin, so each is put into a
//! sandbox without scripts, without an origin and without anything to load.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};

use crate::download::conditions::{RequestedPart, http_date};
use crate::download::content_disposition::inline;
use crate::download::response;
use crate::files::FileVersion;
use crate::viewable::{self, ViewKind, Viewable};

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// A proxy that compresses files would remove their length and ranges.
const CACHING: HeaderValue = HeaderValue::from_static("private, no-store, no-transform");
const NOBODY: &str = "frame-ancestors 'none'";

/// Who may show views in their pages, which depends on where the two services are.
#[derive(Clone, Debug)]
pub(crate) struct ViewEdge {
    /// The policy's `frame-ancestors`: the web app's origin.
    ancestors: String,
    /// Whose pages may show pictures, audio and video (Fetch, `Cross-Origin-Resource-Policy`).
    resource_policy: HeaderValue,
    /// Whether the web app has another origin.
    pub(super) two_origins: bool,
}

impl ViewEdge {
    /// Creates it for the web app and the download service at these addresses.
    pub(crate) fn new(web: &str, download: &str) -> ViewEdge {
        let two_origins = viewable::are_two_origins(web, download);
        let resource_policy = match two_origins {
            false => "same-origin",
            // Not `same-site`: two ports of an IP address are different sites, and which hosts are one can't be
            // computed without a list of all registries. Others are kept out by the token, which they don't
            // know.
            true => "cross-origin",
        };
        let ancestors = match viewable::origin(web) {
            Some(origin) => format!("frame-ancestors {origin}"),
            None => NOBODY.to_owned(),
        };
        ViewEdge { ancestors, resource_policy: HeaderValue::from_static(resource_policy), two_origins }
    }

    /// Returns the policy for a file: it can neither run nor load anything, except itself, where a browser
    /// shows it in a document that it makes for it. Their styles are inline.
    fn policy(&self, kind: ViewKind) -> String {
        // No browser shows a PDF in a sandbox.
        let (sandbox, itself) = match kind {
            ViewKind::Pdf => ("", " object-src 'self';"),
            ViewKind::Picture => (" sandbox;", " img-src 'self';"),
            ViewKind::Audio | ViewKind::Video => (" sandbox;", " media-src 'self';"),
            ViewKind::Text => (" sandbox;", ""),
        };
        let ancestors = &self.ancestors;
        format!(
            "default-src 'none';{sandbox}{itself} style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; {ancestors}"
        )
    }

    /// Returns the status and headers of a view, without the body.
    pub(super) fn head(
        &self,
        name: &str,
        viewable: Viewable,
        version: FileVersion,
        tag: &str,
        part: &RequestedPart,
    ) -> HttpResponse {
        let mut response = HttpResponse::build(match part {
            RequestedPart::Range(_) => StatusCode::PARTIAL_CONTENT,
            RequestedPart::Whole | RequestedPart::Unsatisfiable => StatusCode::OK,
        });
        response::harden(&mut response);
        for (name, value) in [
            (header::CACHE_CONTROL, CACHING),
            (ACCEL_BUFFERING, HeaderValue::from_static("no")),
            (header::ACCEPT_RANGES, HeaderValue::from_static("bytes")),
            (header::CONTENT_TYPE, HeaderValue::from_static(viewable.content_type)),
            (header::CONTENT_DISPOSITION, inline(name)),
            (RESOURCE_POLICY, self.resource_policy.clone()),
        ] {
            response.insert_header((name, value));
        }
        response.insert_header((header::CONTENT_SECURITY_POLICY, self.policy(viewable.kind)));
        response.insert_header((header::ETAG, format!("\"{tag}\"")));
        response.insert_header((header::LAST_MODIFIED, http_date(version.modified()).to_string()));
        if let RequestedPart::Range(range) = part {
            let last = range.end.saturating_sub(1);
            response.insert_header((
                header::CONTENT_RANGE,
                format!("bytes {}-{last}/{}", range.start, version.len),
            ));
        }
        response.finish()
    }

    /// Lets the web app's page show a refusal where the view would have been.
    pub(crate) fn allow_frame(&self, response: &mut HttpResponse) {
        let policy = response.headers().get(header::CONTENT_SECURITY_POLICY);
        let policy = policy.and_then(|value| value.to_str().ok());
        let framed = policy.map(|policy| policy.replace(NOBODY, &self.ancestors));
        if let Some(Ok(framed)) = framed.map(|policy| HeaderValue::from_str(&policy)) {
            response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, framed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_web_app_alone_may_show_views_and_a_pdf_is_the_only_thing_outside_a_sandbox() {
        for (web, download, resource_policy, two_origins) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8081", "cross-origin", true),
            ("https://app.example", "https://dl.example", "cross-origin", true),
            ("https://app.example/files", "https://app.example/", "same-origin", false),
        ] {
            let edge = ViewEdge::new(web, download);
            assert_eq!(
                (edge.resource_policy.to_str().unwrap(), edge.two_origins),
                (resource_policy, two_origins)
            );
            let origin = viewable::origin(web).unwrap();
            for kind in [ViewKind::Picture, ViewKind::Pdf, ViewKind::Text, ViewKind::Audio, ViewKind::Video] {
                let policy = edge.policy(kind);
                assert!(policy.starts_with("default-src 'none';"), "{policy}");
                assert!(policy.ends_with(&format!("frame-ancestors {origin}")), "{policy}");
                assert_eq!(policy.contains(" sandbox;"), kind != ViewKind::Pdf, "{policy}");
                assert!(!policy.contains("script"), "{policy}");
            }
        }
        assert!(ViewEdge::new("nonsense", "https://dl.example").policy(ViewKind::Text).ends_with(NOBODY));
    }
}
