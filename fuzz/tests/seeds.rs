//! Runs each target on its seeds and on the test vectors, without libFuzzer. An input with which fuzzing found
//! a fault becomes a seed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use oncelink_fuzz::web::Web;
use oncelink_fuzz::{TARGETS, answers, texts, tokens};

/// Runs a target on one input.
fn put(web: &Web, target: &str, data: &[u8]) {
    match target {
        "client_address" => texts::client_address(data),
        "content_disposition" => answers::content_disposition(data),
        "form" => web.form(data),
        "json" => web.json(data),
        "jwks" => tokens::jwks(data),
        "multipart" => web.multipart(data),
        "path" => texts::path(data),
        "range" => answers::range(data),
        "recipients" => texts::recipients(data),
        "signed_token" => tokens::signed_token(data),
        "token" => tokens::token(data),
        "tus" => web.tus(data),
        other => panic!("there is no function for the target {other}"),
    }
}

fn names(folder: &str) -> BTreeSet<String> {
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn vectors(file: &str) -> serde_json::Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/vectors").join(file);
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_target_has_a_program_and_seeds() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|target| (*target).to_owned()).collect();
    let programs = names("fuzz_targets").iter().map(|name| name.trim_end_matches(".rs").to_owned()).collect();
    assert_eq!(targets, programs);
    assert_eq!(targets, names("seeds"));
}

#[test]
fn every_seed_holds() {
    let web = Web::start();
    for target in TARGETS {
        let seeds = names(&format!("seeds/{target}"));
        assert!(!seeds.is_empty(), "{target} has no seeds");
        for seed in seeds {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target).join(&seed);
            // Shown if the target fails.
            println!("{target}/{seed}");
            put(&web, target, &fs::read(path).unwrap());
        }
    }
}

#[test]
fn every_hostile_body_holds() {
    let web = Web::start();
    for body in vectors("api/bodies.json").as_array().unwrap() {
        println!("{}", body["name"]);
        put(&web, "json", body["body"].as_str().unwrap_or_default().as_bytes());
    }
}

#[test]
fn every_hostile_token_and_name_holds() {
    let web = Web::start();
    let tokens = vectors("tokens.json");
    let tokens_of =
        tokens["vectors"].as_array().unwrap().iter().filter_map(|vector| vector["token"].as_str());
    let tokens_of: Vec<&str> = tokens_of.collect();
    assert!(tokens_of.len() > 400, "only {} tokens", tokens_of.len());
    for token in tokens_of {
        put(&web, "token", token.as_bytes());
    }
    put(&web, "jwks", tokens["jwks"].to_string().as_bytes());
    for upload in vectors("upload_names.json")["uploads"].as_array().unwrap() {
        let name = upload["name"].as_str().unwrap();
        println!("{name:?}");
        for target in ["content_disposition", "path", "recipients"] {
            put(&web, target, name.as_bytes());
        }
        put(&web, "path", format!("/open/{name}").as_bytes());
        let metadata = format!("folder {},filename {}", STANDARD.encode("/open"), STANDARD.encode(name));
        put(&web, "tus", format!("{metadata}\n4\n\n\n\nbody").as_bytes());
        let file = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\nbody\r\n--b--\r\n"
        );
        put(&web, "multipart", file.as_bytes());
    }
}
