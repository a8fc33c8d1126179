//! Configuration: file types (unknown keys are errors) resolved once into a [`Plan`].

pub mod plan;

pub use plan::Plan;
