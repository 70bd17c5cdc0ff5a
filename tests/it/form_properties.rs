//! Properties of all forms: they are split as a browser joined them, and only the right token in the right
//! field is accepted.

use actix_web::dev::{Service, ServiceResponse};
use actix_web::http::header::{CONTENT_TYPE, COOKIE, HOST};
use actix_web::test::{TestRequest, init_service};
use actix_web::{App, HttpResponse, web};
use oncelink::secret::Secret;
use oncelink::web::http::cookies::Cookies;
use oncelink::web::http::csrf;
use oncelink::web::http::extract::{OpenForm, StrangerForm};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::support::web::{FORM, TestWeb};

/// The value of a browser's form cookie.
const SECRET: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

type Fields = Vec<(String, String)>;

/// Whether the form comes from a page, and its fields; `None` if it was refused.
type Read = Option<(bool, Fields)>;

fn config() -> ProptestConfig {
    ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() }
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// Sends forms to an app's extractors: to `OpenForm` without a cookie, and to `StrangerForm` with one.
async fn with_forms<C: std::fmt::Debug>(
    cases: &impl Strategy<Value = C>,
    body_of: impl Fn(&C) -> Vec<u8>,
    judge: impl Fn(&C, Read, Read),
) {
    let site = TestWeb::spawn().await;
    let open = async |form: OpenForm<Fields>| HttpResponse::Ok().json((form.is_of_a_page, form.fields));
    let own = async |form: StrangerForm<Fields>| HttpResponse::Ok().json((true, form.fields));
    let app = App::new().route("/open", web::post().to(open)).route("/own", web::post().to(own));
    let app = init_service(app.configure(|cfg| site.app.configure(cfg))).await;
    let ask = |path: &str, body: Vec<u8>, cookie: &str| {
        let request = TestRequest::post().uri(path).insert_header((HOST, "localhost"));
        let request = request.insert_header((CONTENT_TYPE, FORM)).insert_header((COOKIE, cookie));
        let answering = app.call(request.set_payload(body).to_request());
        async {
            let answer: ServiceResponse = answering.await.unwrap();
            let status = answer.status();
            assert!(status.is_success() || status.is_client_error(), "{status}");
            match status.is_success() {
                true => Some(actix_web::test::read_body_json(answer).await),
                false => None,
            }
        }
    };
    let cookie = Cookies::new(&site.base).keep_form(&Secret::presented(SECRET)).stripped().to_string();
    let mut runner = TestRunner::new(config());
    for _ in 0..config().cases {
        let case = cases.new_tree(&mut runner).unwrap().current();
        let body = body_of(&case);
        let open: Read = ask("/open", body.clone(), "").await;
        let own: Read = ask("/own", body, &cookie).await;
        judge(&case, open, own);
    }
    site.stop().await;
}

#[actix_web::test]
async fn a_form_is_split_as_the_browser_joined_it_and_the_token_is_taken_out() {
    let field = (".{0,8}".prop_filter("the token is its own field", |name| name != "csrf"), any::<String>());
    let token = prop_oneof![
        Just(csrf::token_for(&Secret::presented(SECRET))),
        Just(csrf::with_id(&csrf::token_for(&Secret::presented(SECRET)))),
        Just(csrf::token_for(&Secret::presented("another browser's"))),
        ".{1,50}",
    ];
    let cases = (prop::collection::vec(field, 0..6), token, any::<prop::sample::Index>());
    let body_of = |(fields, token, at): &(Fields, String, prop::sample::Index)| {
        let mut pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        pairs.insert(at.index(pairs.len() + 1), format!("csrf={}", encode(token)));
        pairs.join("&").into_bytes()
    };
    with_forms(&cases, body_of, |(fields, token, _), open, own| {
        assert_eq!(open, Some((true, fields.clone())));
        let is_ours = csrf::matches(&Secret::presented(SECRET), token);
        assert_eq!(own, is_ours.then(|| (true, fields.clone())));
    })
    .await;
}

#[actix_web::test]
async fn only_one_plain_token_is_accepted_as_the_token() {
    let token = csrf::token_for(&Secret::presented(SECRET));
    let place = prop::sample::select(vec![
        "csrf=TOKEN&csrf=TOKEN",
        "csrf=TOKEN&a=b&csrf=x",
        "csrf=&csrf=TOKEN",
        "%63srf=TOKEN",
        "csrf%3DTOKEN",
        "Csrf=TOKEN",
        " csrf=TOKEN",
        "csrf[]=TOKEN",
        "csrf=TOKEN;a=b",
        "csrf=TOKEN.",
        "csrf=+TOKEN",
        "a=csrf=TOKEN",
        "csrf=TOKEN%00",
        "csrf",
        "",
    ]);
    let cases = (place, "(&?[a-c]{0,2}=?[%+a-c0-9]{0,4}){0,3}");
    let body_of =
        |(place, rest): &(&str, String)| format!("{}&{rest}", place.replace("TOKEN", &token)).into_bytes();
    with_forms(&cases, body_of, |case, _, own| assert_eq!(own, None, "{case:?}")).await;
}

#[actix_web::test]
async fn invalid_utf8_is_refused_wherever_it_is() {
    let bytes = prop_oneof![any::<Vec<u8>>(), "[&=%+0-9a-fA-F]{0,30}".prop_map(String::into_bytes)];
    with_forms(&bytes, Vec::clone, |body, open, own| {
        let text = str::from_utf8(body).ok();
        let is_text = text.is_some_and(|text| percent_decode_str(text).decode_utf8().is_ok());
        assert!(open.is_none() || is_text, "{body:?}");
        assert_eq!(own, None, "{body:?}");
    })
    .await;
}
