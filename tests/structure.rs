//! The shape.
