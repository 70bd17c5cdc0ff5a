//! Links: limited download addresses that people make for others.

pub mod uses;
