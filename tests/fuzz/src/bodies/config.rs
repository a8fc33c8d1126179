//! The configuration file: any text gives a plan or errors that name its lines.

use ringfort::config;
use std::path::Path;

pub(super) fn config(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    let read = || config::parse(text, Path::new("fuzz.toml"), Some("nowhere".into()));
    match (read(), read()) {
        (Ok(resolved), Ok(again)) => {
            assert_eq!(format!("{:?}", resolved.plan), format!("{:?}", again.plan));
            assert!(!resolved.plan.arithmetic().is_empty());
            let _ = resolved.plan.shortage();
        }
        (Err(errors), Err(again)) => {
            assert!(!errors.0.is_empty());
            assert_eq!(errors.to_string(), again.to_string());
            assert!(errors.to_string().contains("fuzz.toml"));
        }
        _ => panic!("the same text gives a plan once and errors once"),
    }
}
