"""The functions that commands and scripts call: one module per topic, one function per task of a command.

A function takes typed arguments and returns either the document that its command prints with --json
(`rollout.documents`), or, where a terminal or a script needs more than the document holds, a small frozen result with
those values and the document as its property `document`. Nothing here parses options or prints.

databases, scenarios, file_names             open what is meant
inventory, preflight, planning               from exports to a plan
simulation, tuning, capacity, gates          questions about a plan before it starts
calibration, forecast, status, control,
  device_status, enrollment, workloads       a running rollout
client                                       one client's log, its install command
report_facts, exclusions                     what pictures and reports show
"""
