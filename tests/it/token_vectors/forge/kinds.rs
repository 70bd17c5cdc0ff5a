//! Vectors of tokens that are given to the wrong verifier, and of the other kinds of tokens.

use crate::token_vectors::forge::{AUDIENCE, Claims, FENCE, Forge, NOW, ed, ed_header, header};
use crate::token_vectors::keys::ED_KID;

pub(super) fn other_kinds(forge: &mut Forge) {
    let kinds = [
        ("download", "dl+jwt", Claims::download()),
        ("action", "act+jwt", Claims::action()),
        ("command", "cmd+jwt", Claims::command()),
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
        if *of != "download" {
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
}
