//! Planted mistakes, with which the simulation proves that it finds mistakes (docs/reliability.md).
//!
//! `mutant!("name")` stands where one line of code could be wrong and is `false` unless the crate is built with the
//! feature `mutants` and the simulation has switched that very mistake on. Builds without the feature contain
//! nothing of it: the macro is the literal `false`. Nothing here reads an environment.

/// True while the planted mistake with this name is switched on.
#[cfg(feature = "mutants")]
macro_rules! mutant {
    ($name:literal) => {
        $crate::mutants::is_on($name)
    };
}

/// No mistakes are planted in this build.
#[cfg(not(feature = "mutants"))]
macro_rules! mutant {
    ($name:literal) => {
        false
    };
}

#[cfg(feature = "mutants")]
pub use switch::{is_on, reached, turn_off, turn_on};

#[cfg(feature = "mutants")]
mod switch {
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<&'static str> = const { Cell::new("") };
        static REACHED: Cell<u64> = const { Cell::new(0) };
    }

    /// Switches one mistake on, for this thread; any other goes off.
    pub fn turn_on(name: &'static str) {
        ON.set(name);
        REACHED.set(0);
    }

    /// Switches the mistake off.
    pub fn turn_off() {
        turn_on("");
    }

    /// How often the code has come to the mistake since it was switched on.
    pub fn reached() -> u64 {
        REACHED.get()
    }

    /// Asked by `mutant!`.
    pub fn is_on(name: &str) -> bool {
        let on = ON.get() == name;
        if on {
            REACHED.set(REACHED.get() + 1);
        }
        on
    }
}
