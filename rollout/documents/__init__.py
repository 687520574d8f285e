"""The documents that `--json` prints, command by command: every key, its type, its unit.

A document is closed: no key is missing, and none is added without a change here. The functions of `rollout.api` return
these objects; `rollout VERB --json`, `rollout schema` and the tests all derive from them.
"""
