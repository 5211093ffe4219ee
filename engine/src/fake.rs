//! An engine in plain memory, for the tests of whoever plans and records.
