//! Compose text to a typed Stack, every value with its span.
