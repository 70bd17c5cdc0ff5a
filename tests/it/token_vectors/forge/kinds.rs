//! Vectors of tokens that are given to the wrong verifier, and of the other kinds of tokens.

use crate::token_vectors::forge::{AUDIENCE, Claims, FENCE, Forge, NOW, ed, ed_header, header};
use crate::token_vectors::keys::ED_KID;

pub(super) fn other_kinds(forge: &mut Forge) {
    let kinds = [
        ("download", "dl+jwt", Claims::download()),
        ("action", "act+jwt", Claims::action()),
        ("command", "cmd+jwt", Claims::command()),
        ("view", "view+jwt", Claims::view()),
    ];
    for (of, typ, claims) in &kinds {
        let token = ed(header("EdDSA", ED_KID, typ), claims.json());
        for (to, _, _) in &kinds {
            forge.add(
                format!("{of} token shown to {to}"),
                to,
                token.clone(),
                if of == to { "good" } else { "wrong-kind" },
            );
        }
        let under = ed(ed_header(), claims.json());
        // The claims of a view are those of a download, so only the header tells them apart.
        if !matches!(*of, "download" | "view") {
            forge.download(
                format!("{of} claims under dl+jwt"),
                under,
                "claim-missing:sub".replace("sub", if *of == "command" { "sub" } else { "file" }).as_str(),
            );
        }
    }
    let action = |claims: Claims| ed(header("EdDSA", ED_KID, "act+jwt"), claims.json());
    for claim in ["purpose", "state", "sub"] {
        forge.add(
            format!("action: {claim} missing"),
            "action",
            action(Claims::action().without(claim)),
            &format!("claim-missing:{claim}"),
        );
        forge.add(
            format!("action: {claim} a number"),
            "action",
            action(Claims::action().with(claim, "1")),
            &format!("claim-type:{claim}"),
        );
        forge.add(
            format!("action: {claim} empty"),
            "action",
            action(Claims::action().with(claim, "\"\"")),
            &format!("claim-value:{claim}"),
        );
    }
    forge.add(
        "action: for the download service",
        "action",
        action(Claims::action().with("aud", &format!("\"{AUDIENCE}\""))),
        "wrong-audience",
    );
    forge.add(
        "action: expired",
        "action",
        action(Claims::action().with("iat", &(NOW - 100).to_string()).with("exp", &(NOW - 50).to_string())),
        "expired",
    );
    forge.add(
        "action: before the fence",
        "action",
        action(Claims::action().with("iat", &(FENCE - 1).to_string())),
        "before-fence",
    );
    let command = |claims: Claims| ed(header("EdDSA", ED_KID, "cmd+jwt"), claims.json());
    let jtis = |count: usize| format!("[{}]", vec!["\"AAECAwQFBgcICQoLDA0ODw\""; count].join(","));
    for (name, raw, reason) in [
        ("an empty list", "[]".to_owned(), "claim-value:revoke"),
        ("no list", r#""AAECAwQFBgcICQoLDA0ODw""#.to_owned(), "claim-type:revoke"),
        ("a number in it", "[1]".to_owned(), "claim-type:revoke"),
        ("no jti", r#"["*"]"#.to_owned(), "claim-value:revoke"),
        ("a hundred", jtis(100), "good"),
        ("a hundred and one", jtis(101), "claim-value:revoke"),
    ] {
        forge.add(
            format!("command: {name}"),
            "command",
            command(Claims::command().with("revoke", &raw)),
            reason,
        );
    }
    forge.add(
        "command: revoke missing",
        "command",
        command(Claims::command().without("revoke")),
        "claim-missing:revoke",
    );
    forge.add(
        "command: before the fence, which a repeated command may be",
        "command",
        command(Claims::command().with("iat", &(FENCE - 1).to_string())),
        "good",
    );
    views(forge);
}

/// Views are read as strictly as downloads, and last ten minutes at most.
fn views(forge: &mut Forge) {
    let view = |claims: Claims| ed(header("EdDSA", ED_KID, "view+jwt"), claims.json());
    for (name, typ) in [
        ("the typ of a download", "dl+jwt"),
        ("a plain typ", "JWT"),
        ("typ in capitals", "VIEW+JWT"),
        ("a longer typ", "view+jwt2"),
        ("a media type", "application/view+jwt"),
        ("an empty typ", ""),
    ] {
        let token = ed(header("EdDSA", ED_KID, typ), Claims::view().json());
        forge.add(format!("view: {name}"), "view", token, "wrong-kind");
    }
    let within =
        |iat: u64, exp: u64| Claims::view().with("iat", &iat.to_string()).with("exp", &exp.to_string());
    for (name, claims, reason) in [
        ("ten minutes", within(NOW, NOW + 600), "good"),
        ("a second more than ten minutes", within(NOW, NOW + 601), "lives-too-long"),
        ("as long as a download may", within(NOW, NOW + 604_800), "lives-too-long"),
        ("exp in milliseconds", within(NOW, NOW * 1000), "lives-too-long"),
        ("expires when it is issued", within(NOW, NOW), "ends-before-start"),
        ("expired", within(NOW - 100, NOW - 5), "expired"),
        ("within the leeway", within(NOW - 100, NOW - 4), "good"),
        ("before the fence, so long expired", within(FENCE - 1, FENCE + 300), "expired"),
        ("from the future", within(NOW + 6, NOW + 60), "not-yet-valid"),
        ("another issuer", Claims::view().with("iss", r#""https://evil.example""#), "wrong-issuer"),
        ("another audience", Claims::view().with("aud", r#""https://dl2.example""#), "wrong-audience"),
        ("sub missing", Claims::view().without("sub"), "claim-missing:sub"),
        ("file missing", Claims::view().without("file"), "claim-missing:file"),
        ("file a number", Claims::view().with("file", "1"), "claim-type:file"),
        ("a file outside", Claims::view().with("file", r#""/books/../a.pdf""#), "claim-value:file"),
        ("file twice", Claims::view().and("file", r#""/books/b.pdf""#), "claims-duplicate"),
        ("no jti", Claims::view().with("jti", r#""short""#), "claim-value:jti"),
        ("size a text", Claims::view().with("size", r#""1""#), "claim-type:size"),
        ("an empty version", Claims::view().with("version", "\"\""), "claim-value:version"),
        ("claims of a download, which mean nothing here", Claims::view().with("confirm", "1"), "good"),
    ] {
        forge.add(format!("view: {name}"), "view", view(claims), reason);
    }
}
