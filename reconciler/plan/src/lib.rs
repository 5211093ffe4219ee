//! Decides what a pass will do: lowering, verdicts, rollout, drift. Pure.
