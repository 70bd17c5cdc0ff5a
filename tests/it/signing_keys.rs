//! The signing keys on disk: created once, rotated without losing a token, readable by nobody else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use oncelink::clock::Timestamp;
use oncelink::id::{FilePath, LinkId};
use oncelink::token::{
    HmacSecret, KeyRing, TokenError, TokenKind, TokenRules, verify_action, verify_command, verify_download,
};
use oncelink::web::tokens::issuer::{ActionClaim, DownloadTokenRequest, IssueError, Issuer};
use oncelink::web::tokens::private_file::PrivateFileError;
use oncelink::web::tokens::signer::{KeyType, Signer, SignerError, list, rotate, sign_shared};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const MAX_LIFETIME: Duration = Duration::from_secs(3600);

fn later(seconds: u64) -> Timestamp {
    NOW.plus(Duration::from_secs(seconds))
}

fn issuer(signer: Signer) -> Issuer {
    Issuer {
        signer: Arc::new(signer),
        issuer: "https://app.example".to_owned(),
        audience: "https://dl.example".to_owned(),
        download_url: "https://dl.example".to_owned(),
        lifetime: Duration::from_secs(120),
    }
}

fn rules(audience: &str) -> TokenRules {
    TokenRules {
        issuer: "https://app.example".to_owned(),
        audience: audience.to_owned(),
        leeway: Duration::from_secs(5),
        max_lifetime: MAX_LIFETIME,
    }
}

fn file() -> FilePath {
    "/books/我这一辈子 \"1\".pdf".parse().unwrap()
}

/// Whether a token that `issuer` makes at `now` verifies with its JWKS of that time.
fn works(issuer: &Issuer, now: Timestamp) -> bool {
    let token = issuer.issue_download(&DownloadTokenRequest::new("u1", &file()), now).unwrap().token;
    let ring = KeyRing::from_jwks(&issuer.signer.jwks(now)).unwrap();
    verify_download(&token, &ring, &rules("https://dl.example"), now, Timestamp::EPOCH).is_ok()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn the_first_start_creates_a_key_and_the_second_finds_it() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("data/keys");
    let first = Signer::open(&keys, NOW).unwrap();
    assert!(first.made_now());
    let second = Signer::open(&keys, NOW).unwrap();
    assert!(!second.made_now());
    assert_eq!(first.jwks(NOW), second.jwks(NOW));
    assert_eq!(mode(&keys), 0o700);
    for entry in fs::read_dir(&keys).unwrap() {
        assert_eq!(mode(&entry.unwrap().path()), 0o600);
    }
    assert!(works(&issuer(second), NOW));
}

#[test]
fn every_kind_of_issued_token_is_accepted_where_it_belongs() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(Signer::open(&folder.path().join("keys"), NOW).unwrap());
    let ring = issuer.signer.ring(NOW).unwrap();
    let file = file();
    let order = DownloadTokenRequest {
        name: Some("a b.pdf"),
        confirm: true,
        link: Some(&LinkId::from_store("l1")),
        size: Some(5),
        version: Some("v1"),
        lifetime: Some(Duration::from_secs(600)),
        ..DownloadTokenRequest::new("u1", &file)
    };
    let issued = issuer.issue_download(&order, NOW).unwrap();
    let grant =
        verify_download(&issued.token, &ring, &rules("https://dl.example"), NOW, Timestamp::EPOCH).unwrap();
    assert_eq!((grant.jti, grant.expires_at, grant.issued_at), (issued.jti, later(600), NOW));
    assert_eq!((grant.content.file(), grant.subject.as_str(), grant.confirm), (Some(&file), "u1", true));
    assert_eq!(
        (grant.name.as_deref(), grant.link.as_ref().map(LinkId::as_str)),
        (Some("a b.pdf"), Some("l1"))
    );
    assert_eq!((grant.size, grant.version.as_deref()), (Some(5), Some("v1")));
    assert_eq!(issued.address, format!("https://dl.example/d/{}/a%20b.pdf", issued.token));
    assert!(!format!("{issued:?}").contains(&issued.token));

    let claim = ActionClaim {
        subject: "u1".to_owned(),
        purpose: "activate".to_owned(),
        state: "s1".to_owned(),
        jti: oncelink::id::Jti::random().unwrap(),
        issued_at: NOW,
        expires_at: later(600),
    };
    let token = issuer.issue_action_claim(&claim, NOW).unwrap();
    let action = verify_action(&token, &ring, &rules("https://app.example"), NOW, Timestamp::EPOCH).unwrap();
    assert_eq!((action.jti, action.purpose.as_str(), action.state.as_str()), (claim.jti, "activate", "s1"));

    let command = issuer.issue_command(&[grant.jti], NOW).unwrap();
    let command = verify_command(&command.token, &ring, &rules("https://dl.example"), NOW).unwrap();
    assert_eq!(command.revoke, [grant.jti]);
    assert!(matches!(issuer.issue_command(&[], NOW), Err(IssueError::RevokedCount)));
    let most = issuer.issue_command(&[grant.jti; 100], NOW).unwrap();
    assert!(verify_command(&most.token, &ring, &rules("https://dl.example"), NOW).is_ok());
}

#[test]
fn an_address_can_contain_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(Signer::open(&folder.path().join("keys"), NOW).unwrap());
    let issued = issuer.issue_download(&DownloadTokenRequest::new("u1", &file()), NOW).unwrap();
    let (_, name) = issued.address.rsplit_once('/').unwrap();
    assert_eq!(name, "%E6%88%91%E8%BF%99%E4%B8%80%E8%BE%88%E5%AD%90%20%221%22.pdf");
}

#[test]
fn a_running_signer_notices_a_rotation_and_no_token_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let issuer = issuer(Signer::open(&keys, NOW).unwrap());
    let before = issuer.issue_download(&DownloadTokenRequest::new("u1", &file()), NOW).unwrap().token;
    let old = list(&keys).unwrap().remove(0).kid;

    let new = rotate(&keys, KeyType::P256, NOW, MAX_LIFETIME).unwrap();
    assert!(works(&issuer, later(1)), "signing still works");
    let ring = KeyRing::from_jwks(&issuer.signer.jwks(later(1))).unwrap();
    assert_eq!(ring.kids().collect::<Vec<_>>(), [new.as_str(), old.as_str()]);
    let check = |ring: &KeyRing| {
        verify_download(&before, ring, &rules("https://dl.example"), later(1), Timestamp::EPOCH)
    };
    assert!(check(&ring).is_ok(), "the old key's tokens stay valid");

    let listed = list(&keys).unwrap();
    assert_eq!(listed.iter().map(|key| key.algorithm).collect::<Vec<_>>(), ["ES256", "EdDSA"]);
    let until = listed[1].retired_until.unwrap();
    assert!(until >= later(3600 + 10), "{until}: as long as a token of the old key can be valid");
    let ring = KeyRing::from_jwks(&issuer.signer.jwks(until)).unwrap();
    assert_eq!(ring.kids().collect::<Vec<_>>(), [new.as_str()]);
    assert_eq!(check(&ring), Err(TokenError::UnknownKey));

    let third = rotate(&keys, KeyType::Ed25519, until, MAX_LIFETIME).unwrap();
    let left: Vec<_> = list(&keys).unwrap().into_iter().map(|key| key.kid).collect();
    assert_eq!(left, [third, new]);
    assert!(!keys.join(format!("{old}.pem")).exists(), "an expired key is deleted");
}

#[test]
fn the_jwks_never_holds_more_keys_than_a_ring_takes() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let signer = Signer::open(&keys, NOW).unwrap();
    for _ in 0..7 {
        rotate(&keys, KeyType::Ed25519, NOW, MAX_LIFETIME).unwrap();
    }
    let free_at = match rotate(&keys, KeyType::Ed25519, NOW, MAX_LIFETIME) {
        Err(SignerError::Full { free_at }) => free_at,
        other => panic!("{other:?}"),
    };
    assert_eq!(KeyRing::from_jwks(&signer.jwks(later(1))).unwrap().kids().count(), 8);
    rotate(&keys, KeyType::Ed25519, free_at, MAX_LIFETIME).unwrap();
}

#[test]
fn a_jwks_holds_no_private_member_and_its_kids_are_thumbprints() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let signer = Signer::open(&keys, NOW).unwrap();
    rotate(&keys, KeyType::P256, NOW, MAX_LIFETIME).unwrap();
    let set: serde_json::Value = serde_json::from_str(&signer.jwks(later(1))).unwrap();
    for key in set["keys"].as_array().unwrap() {
        assert!(key.get("d").is_none() && key.get("k").is_none());
        let library: jsonwebtoken::jwk::Jwk = serde_json::from_value(key.clone()).unwrap();
        let thumbprint = library.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap();
        assert_eq!(key["kid"].as_str(), Some(thumbprint.as_str()));
    }
}

#[test]
fn keys_that_others_can_read_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    drop(Signer::open(&keys, NOW).unwrap());
    let pem = keys.join(format!("{}.pem", list(&keys).unwrap()[0].kid));
    for wrong in [0o640, 0o604, 0o620] {
        fs::set_permissions(&pem, fs::Permissions::from_mode(wrong)).unwrap();
        let error = Signer::open(&keys, NOW).err().unwrap();
        assert!(matches!(error, SignerError::File(PrivateFileError::Exposed { .. })), "{error}");
        assert!(error.to_string().contains("chmod go-rwx"), "{error}");
    }
    fs::set_permissions(&pem, fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o777)).unwrap();
    let error = Signer::open(&keys, NOW).err().unwrap();
    assert!(matches!(error, SignerError::File(PrivateFileError::Exposed { .. })), "{error}");
}

#[test]
fn a_damaged_folder_is_refused_and_never_filled_with_a_new_key() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    drop(Signer::open(&keys, NOW).unwrap());
    let index = keys.join("keys.json");
    let text = fs::read_to_string(&index).unwrap();
    let pem = keys.join(format!("{}.pem", list(&keys).unwrap()[0].kid));

    for damaged in ["", "{}", r#"{"keys":[]}"#, r#"{"keys":[{"kid":"../../etc/passwd","made_at":1}]}"#] {
        fs::write(&index, damaged).unwrap();
        assert!(matches!(Signer::open(&keys, NOW), Err(SignerError::Damaged { .. })), "{damaged}");
    }
    fs::remove_file(&index).unwrap();
    fs::copy(&pem, keys.join(format!("{}.pem", "A".repeat(43)))).unwrap();
    assert!(matches!(Signer::open(&keys, NOW), Err(SignerError::NoIndex { .. })));
    fs::write(&index, &text).unwrap();
    fs::set_permissions(&index, fs::Permissions::from_mode(0o600)).unwrap();
    let good = fs::read_to_string(&pem).unwrap();
    fs::write(&pem, good.replace("MC4C", "MC4D")).unwrap();
    assert!(matches!(Signer::open(&keys, NOW), Err(SignerError::Damaged { .. })));
    fs::write(&pem, good).unwrap();
    assert!(!Signer::open(&keys, NOW).unwrap().made_now());
}

#[test]
fn a_running_signer_keeps_signing_when_the_folder_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let issuer = issuer(Signer::open(&keys, NOW).unwrap());
    fs::write(keys.join("keys.json"), "").unwrap();
    assert!(works(&issuer, later(1)));
    fs::remove_dir_all(&keys).unwrap();
    assert!(works(&issuer, later(2)));
}

#[test]
fn a_key_left_by_a_rotation_that_broke_off_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let issuer = issuer(Signer::open(&keys, NOW).unwrap());
    fs::write(keys.join("keys.new"), "half").unwrap();
    fs::write(keys.join(format!("{}.pem", "A".repeat(43))), "half").unwrap();
    assert!(works(&issuer, later(1)));
    rotate(&keys, KeyType::Ed25519, later(1), MAX_LIFETIME).unwrap();
    assert!(works(&issuer, later(2)));
}

#[test]
fn a_first_start_that_broke_off_is_finished() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let jwks = Signer::open(&keys, NOW).unwrap().jwks(NOW);
    fs::remove_file(keys.join("keys.json")).unwrap();
    let finished = Signer::open(&keys, NOW).unwrap();
    assert_eq!(finished.jwks(NOW), jwks);
    assert!(!finished.made_now(), "the key may have signed tokens before keys.json was lost");
}

#[test]
fn many_first_starts_at_once_make_one_key() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    let made: usize = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| usize::from(Signer::open(&keys, NOW).unwrap().made_now())))
            .collect();
        starts.into_iter().map(|start| start.join().unwrap()).sum()
    });
    assert_eq!(made, 1);
    assert_eq!(list(&keys).unwrap().len(), 1);
}

#[test]
fn a_shared_secret_signs_and_is_not_shown_by_debug() {
    let secret = HmacSecret::new("node-1", b"01234567890123456789012345678901").unwrap();
    assert!(HmacSecret::new("node-1", b"0123456789012345678901234567890").is_err());
    assert!(HmacSecret::new("a\"b", b"01234567890123456789012345678901").is_err());
    assert_eq!(format!("{secret:?}"), "SharedSecret(node-1, ..)");
    let claims = serde_json::json!({
        "iss": "https://app.example", "aud": "https://dl.example", "jti": "AAECAwQFBgcICQoLDA0ODw",
        "iat": NOW, "exp": later(60), "sub": "u1", "file": "/books/a.pdf",
    });
    let token = sign_shared(&secret, TokenKind::Download, &claims).unwrap();
    let ring = KeyRing::default().with_secret(secret).unwrap();
    assert!(verify_download(&token, &ring, &rules("https://dl.example"), NOW, Timestamp::EPOCH).is_ok());
    assert_eq!(ring.to_jwks(), r#"{"keys":[]}"#, "a shared secret is never published");
    assert_eq!(format!("{ring:?}"), r#"{"node-1"}"#);
}
