//! Values of variables.

/// What a variable holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Nothing was assigned, or a pattern did not match.
    #[default]
    None,
    /// A text, such as what a pattern matched.
    Text(Box<[u8]>),
    /// A number.
    Number(f64),
    /// The result of a comparison.
    Truth(bool),
}

impl Value {
    /// Whether `next` and `condexec` take it for set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        match self {
            Value::None => false,
            Value::Text(_) => true,
            Value::Number(number) => *number != 0.0,
            Value::Truth(truth) => *truth,
        }
    }

    /// As a number; 0 when it is none.
    #[must_use]
    pub fn number(&self) -> f64 {
        match self {
            Value::None => 0.0,
            Value::Text(text) => std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .unwrap_or(0.0),
            Value::Number(number) => *number,
            Value::Truth(truth) => f64::from(u8::from(*truth)),
        }
    }

    /// Appends it as `[$name]` shows it: numbers with six decimals, as SIPp does.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Value::None => {}
            Value::Text(text) => out.extend_from_slice(text),
            Value::Number(number) => out.extend_from_slice(format!("{number:.6}").as_bytes()),
            Value::Truth(truth) => out.extend_from_slice(if *truth { b"true" } else { b"false" }),
        }
    }
}
