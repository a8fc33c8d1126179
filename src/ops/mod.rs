//! Web page, REST, metrics.
