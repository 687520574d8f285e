"""The executor under faults: one loop, a pretend outside that fails on cue, and the invariants that must hold."""
