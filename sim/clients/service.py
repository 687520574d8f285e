"""The enrollment service: capacity per clock minute, throttling, outages; and the gateway that delivers policy.

Rules that both engines follow:

- Attempts are served in the order of (second, device). Each clock minute accepts `capacity_per_minute` attempts.
- Further attempts are answered with 429 (0x80180033): the client waits its back-off and tries again as soon as it
  can. Being throttled uses up no attempt.
- During an outage every attempt fails after `outage_answer` with 0x80180005. It uses up an attempt, but no
  capacity.
- A crowded cloud management gateway delays policy but refuses no client: internet clients wait up to the share of a
  poll by which the connected clients exceed the limit.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rollout.values import DAY_S, LongArray
from sim.model import LogNormal, ServiceModel

OUTAGE_CODE: Final = 0x80180005
_YEAR_S: Final = 365 * DAY_S
_Z90: Final = 1.2815515655446004


def sigma_of(length: LogNormal) -> float:
    """Return sigma of the log-normal with this median and 90th percentile."""
    return float(np.log(length.p90 / length.median) / _Z90)


def draw_outages(service: ServiceModel, rng: np.random.Generator, start: int, horizon_s: int) -> LongArray:
    """Return the fixed and the drawn outages of a run as (k, 2) int64 Unix seconds, sorted and disjoint."""
    spans = [(start + outage.after, start + outage.after + outage.lasts) for outage in service.outages]
    count = int(rng.poisson(service.outages_per_year * horizon_s / _YEAR_S))
    begins = start + rng.integers(0, max(horizon_s, 1), count)
    lengths = service.outage.median * np.exp(sigma_of(service.outage) * rng.standard_normal(count))
    spans += [(int(at), int(at) + max(1, round(float(s)))) for at, s in zip(begins, lengths, strict=True)]
    return _merged(spans)


def _merged(spans: list[tuple[int, int]]) -> LongArray:
    out: list[list[int]] = []
    for begin, end in sorted(span for span in spans if span[0] < span[1]):
        if out and begin <= out[-1][1]:
            out[-1][1] = max(out[-1][1], end)
        else:
            out.append([begin, end])
    return np.array(out, dtype=np.int64).reshape(-1, 2)


def gateway_delay(service: ServiceModel, devices: int, policy_poll: int) -> int:
    """Return the longest extra wait for policy of an internet client, in seconds.

    An assumption (I): with x times as many connected clients as the gateway serves at once, the wait of a request
    is uniform between 0 and x - 1 polls.
    """
    limit = service.cmg_instances * service.cmg_clients
    if limit == 0:
        return 0
    excess = devices * service.internet_share / limit - 1.0
    return round(max(0.0, excess) * policy_poll)
