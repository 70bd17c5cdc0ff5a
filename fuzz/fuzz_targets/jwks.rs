//! Any text as a key set: what is taken is written back as an equal set, and holds nothing private.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oncelink::token::KeyRing;

fuzz_target!(|text: &str| {
    if let Ok(ring) = KeyRing::from_jwks(text) {
        let written = ring.to_jwks();
        let again = KeyRing::from_jwks(&written).unwrap();
        assert_eq!(again.to_jwks(), written);
        assert!((1..=8).contains(&ring.kids().count()));
        for private in [",\"d\":", ",\"k\":"] {
            assert!(!written.contains(private));
        }
    }
});
