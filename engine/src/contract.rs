//! What every engine must do: one suite, passed by the fake and by the real ones.
