//! Tests of the whole specification.
