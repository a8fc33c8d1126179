//! Variables by number: names are looked up once, when the scenario is read.

use std::collections::HashMap;

/// Whose a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Each call has its own.
    Call,
    /// All calls share it.
    Global,
}

/// A variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Var {
    /// Whose.
    pub scope: Scope,
    /// Its place among those of its scope.
    pub index: u16,
}

/// All names of a scenario.
#[derive(Debug, Default)]
pub struct Names {
    known: HashMap<String, Var>,
    calls: u16,
    globals: Vec<String>,
}

impl Names {
    /// Makes a name one of the whole run.
    pub fn declare_global(&mut self, name: &str) {
        if !self.known.contains_key(name) {
            let index = self.globals.len() as u16;
            self.globals.push(name.to_owned());
            self.known.insert(
                name.to_owned(),
                Var {
                    scope: Scope::Global,
                    index,
                },
            );
        }
    }

    /// The variable of that name; a new name is one of the call.
    pub fn var(&mut self, name: &str) -> Var {
        if let Some(&var) = self.known.get(name) {
            return var;
        }
        let var = Var {
            scope: Scope::Call,
            index: self.calls,
        };
        self.calls += 1;
        self.known.insert(name.to_owned(), var);
        var
    }

    /// How many variables each call has.
    #[must_use]
    pub fn call_count(&self) -> usize {
        self.calls.into()
    }

    /// Names of the run's variables, by index.
    #[must_use]
    pub fn globals(&self) -> &[String] {
        &self.globals
    }
}
