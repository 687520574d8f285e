"""The evidence of the gates as plain numbers, to compare with other computations."""

from __future__ import annotations

import math

import numpy as np

from rollout.gates.evidence import check_counts, check_evidence_gate, log_halt, log_pass
from rollout.values import EvidenceGate


def halt_evidence(failed: float, seen: float, gate: EvidenceGate) -> float:
    """Give E_halt for `failed` of `seen` devices; infinite where it exceeds the range of a float.

    Raise a `ValueError` on impossible counts or parameters.
    """
    check_evidence_gate(gate)
    s, n = check_counts(failed, seen)
    return _exp(float(log_halt(np.array([s]), np.array([n]), gate)[0]))


def pass_evidence(failed: float, seen: float, gate: EvidenceGate) -> float:
    """Give E_pass for `failed` of `seen` devices; infinite where it exceeds the range of a float.

    Raise a `ValueError` on impossible counts or parameters.
    """
    check_evidence_gate(gate)
    s, n = check_counts(failed, seen)
    return _exp(float(log_pass(np.array([s]), np.array([n]), gate)[0]))


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
