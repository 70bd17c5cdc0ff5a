//! The signature of a message by the Standard Webhooks specification: HMAC-SHA256 over its id, the time of the
//! attempt, and its body.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::clock::Timestamp;
use crate::secret::Secret;
use crate::web::tokens::link_key::LinkKey;
use crate::web::webhooks::webhook::WebhookId;

/// The secret that a webhook shares with us.
pub struct WebhookSecret(Zeroizing<[u8; 32]>);

impl WebhookSecret {
    /// Returns the secret that follows from the link key and a salt.
    pub(super) fn derive(key: &LinkKey, webhook: &WebhookId, salt: &str) -> WebhookSecret {
        WebhookSecret(key.webhook_secret(webhook.as_str(), salt))
    }

    /// Returns the secret as libraries expect it.
    pub fn shown(&self) -> Secret {
        let text = Zeroizing::new(STANDARD.encode(self.0.as_slice()));
        Secret::presented(&format!("whsec_{}", *text))
    }

    fn sign(&self, message: &str, at: Timestamp, body: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice());
        let mut signed = hmac::Context::with_key(&key);
        for part in [message, ".", &at.secs().to_string(), ".", body] {
            signed.update(part.as_bytes());
        }
        format!("v1,{}", STANDARD.encode(signed.sign().as_ref()))
    }
}

/// Returns the value of `webhook-signature`: one signature by each secret that is valid.
pub(super) fn header(secrets: &[WebhookSecret], message: &str, at: Timestamp, body: &str) -> String {
    let signatures: Vec<String> = secrets.iter().map(|secret| secret.sign(message, at, body)).collect();
    signatures.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the README of the specification's own libraries.
    #[test]
    fn a_signature_is_that_of_the_specification() {
        let mut secret = Zeroizing::new([0; 32]);
        let bytes = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(bytes.len(), 24);
        // An HMAC key is padded with zeros to the block, so the shorter key gives the same signature.
        secret.iter_mut().zip(&bytes).for_each(|(to, from)| *to = *from);
        let signature = WebhookSecret(secret).sign(
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            Timestamp::from_secs(1_614_265_330),
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
