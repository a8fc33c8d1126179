//! Variables by number: names are looked up once, when the scenario is read.

use std::collections::HashMap;

/// Whose a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Each call has its own.
    Call,
    /// A user's calls (`-users`) have it one after the other; without users each call has its own.
    User,
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
    users: u16,
    globals: Vec<String>,
}

impl Names {
    /// Says whose a name is, before it is used.
    /// # Errors
    /// One sentence when it was said to be somebody else's.
    pub fn declare(&mut self, name: &str, scope: Scope) -> Result<(), String> {
        if let Some(known) = self.known.get(name) {
            return if known.scope == scope {
                Ok(())
            } else {
                Err(format!("variable {name} cannot be both <Global> and <User>"))
            };
        }
        let index = match scope {
            Scope::Call => self.calls,
            Scope::User => self.users,
            Scope::Global => self.globals.len() as u16,
        };
        match scope {
            Scope::Call => self.calls += 1,
            Scope::User => self.users += 1,
            Scope::Global => self.globals.push(name.to_owned()),
        }
        self.known.insert(name.to_owned(), Var { scope, index });
        Ok(())
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

    /// How many variables each user has.
    #[must_use]
    pub fn user_count(&self) -> usize {
        self.users.into()
    }

    /// Names of the run's variables, by index.
    #[must_use]
    pub fn globals(&self) -> &[String] {
        &self.globals
    }
}
