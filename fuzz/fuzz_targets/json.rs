#![no_main]

use libfuzzer_sys::fuzz_target;
use oncelink_fuzz::web::Web;

thread_local!(static WEB: &'static Web = Web::leaked());

fuzz_target!(|data: &[u8]| WEB.with(|web| web.json(data)));
