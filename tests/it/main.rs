//! All integration tests, in one binary: one module per endpoint or promise.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected must end"
)]
#![allow(unreachable_pub, reason = "one binary; what its modules share is public among them")]

mod architecture;
mod arrival;
mod behaviour;
mod budgets;
mod cli;
mod clients_accounts;
mod clients_aria2;
mod clients_chromium;
mod clients_curl;
mod clients_links;
mod clients_names;
mod clients_receipts;
mod clients_uploads;
mod clients_web_app;
mod clients_wget;
mod deeds_cut_off;
mod deeds_settled;
mod dependencies;
mod faults_clock;
mod faults_damage;
mod faults_disk;
mod faults_kill;
mod faults_order;
mod faults_power;
mod faults_slow;
mod http_grammar;
mod key_sets;
mod key_source;
mod link_uses;
mod log_lines;
mod mail_answers;
mod mail_operator;
mod mail_postfix;
mod mail_smtp;
mod mail_stream;
mod needs;
mod not_a_click;
mod not_spent;
mod odd_files;
mod once_only;
mod proxies_breaks;
mod proxies_clients;
mod proxies_headers;
mod receipts;
mod receipts_http;
mod revocations;
mod serving;
mod settings;
mod shared_store;
mod signing_keys;
mod support;
mod token_properties;
mod token_vectors;
mod uploads_clients;
mod uploads_form;
mod uploads_limits;
mod uploads_names;
mod uploads_tus;
mod used_tokens;
mod used_tokens_faults;
mod web_account;
mod web_activate;
mod web_admin;
mod web_admin_races;
mod web_audit;
mod web_database;
mod web_files;
mod web_forms;
mod web_link_public;
mod web_link_taken;
mod web_links;
mod web_login;
mod web_manage;
mod web_manage_pages;
mod web_reset;
mod web_revoke;
mod web_sessions;
mod web_signup;
mod wycheproof;
