//! FreeSWITCH's crash on deeply nested JSON: nothing that reads what comes from outside recurses without
//! a bound. Structured input is read by the REST interface alone, and that is a configuration in TOML;
//! bodies of SIP messages are row 12.

use std::path::Path;

/// As deep as the longest body that the REST interface takes (64 KiB).
#[test]
fn row11_nested_configuration_is_an_error() {
    const MOST: usize = 64 * 1024;
    for (open, close) in [("[", "]"), ("{a=", "}"), ("[{a=", "}]"), ("\"", ""), ("[\n", "")] {
        for depth in [10, 64, 65, 128, 1000, MOST / (open.len() + close.len()).max(1) - 8] {
            let text = format!("a = {}1{}", open.repeat(depth), close.repeat(depth));
            assert!(
                ringfort::config::parse(&text, Path::new("x"), None).is_err(),
                "{depth} of {open}"
            );
        }
    }
    for (start, part, end) in [("", "a.", "a = 1"), ("[", "a.", "a]"), ("[[", "a.", "a]]")] {
        let text = format!("{start}{}{end}", part.repeat(MOST / part.len() - 8));
        assert!(
            ringfort::config::parse(&text, Path::new("x"), None).is_err(),
            "{start}{part}"
        );
    }
}
