//! All integration tests, in one binary: one module per endpoint or promise.

mod settings;
