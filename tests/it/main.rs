//! All integration tests, in one binary: one module per endpoint or promise.

mod architecture;
mod dependencies;
mod settings;
mod used_tokens;
