"""The result is the same wherever it is computed, even if a worker dies."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tune_jobs import job

from rollout.errors import OutsideError, UsageError
from sim.tuning.tune import Effort, tune
from sim.workers import InProcess, workers_of

distributed = pytest.importorskip("distributed")


def square(value: int) -> int:
    return value * value


def die_once(item: tuple[str, int]) -> int:
    """Kill the process that is the first to compute value 3."""
    folder, value = item
    mark = Path(folder) / "died"
    if value == 3 and not mark.exists():
        mark.write_text("")
        os._exit(1)
    time.sleep(0.05)
    return value * value


@pytest.fixture(name="cluster", scope="module")
def _cluster() -> Iterator[Any]:
    """Provide a scheduler and two workers on the loopback interface."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=50
        ) as cluster:
            yield cluster


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dask_and_processes_and_one_process_give_equal_bytes(cluster: Any) -> None:
    """A tuning with two Dask workers equals a tuning in this process, to the last digit."""
    effort = Effort(trials=8, runs=1)
    with workers_of(cluster=cluster.scheduler_address) as pool:
        there = tune(job(), effort, pool, look_around=False)
    here = tune(job(), effort, InProcess(), look_around=False)
    assert repr(there.tried) == repr(here.tried)
    assert (there.front, there.chosen, there.reason) == (here.front, here.chosen, here.reason)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_killed_dask_worker_costs_time_and_not_the_result(cluster: Any, tmp_path: Path) -> None:
    """The nanny starts another worker, which repeats the work."""
    with workers_of(cluster=cluster.scheduler_address) as pool:
        results = pool.map(die_once, [(str(tmp_path), value) for value in range(8)])
    assert results == [square(value) for value in range(8)]
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_a_killed_process_costs_time_and_not_the_result(tmp_path: Path) -> None:
    """A broken pool is replaced, and only the missing results are computed again."""
    with workers_of(2) as pool:
        results = pool.map(die_once, [(str(tmp_path), value) for value in range(8)])
    assert results == [square(value) for value in range(8)]
    assert (tmp_path / "died").exists()


@pytest.mark.filterwarnings("ignore")
def test_an_address_without_a_scheduler_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """The errors for a missing scheduler and for a missing package say what to do."""
    monkeypatch.setattr("sim.workers.CONNECT_TIMEOUT", "500ms")
    with (
        pytest.raises(OutsideError, match="no Dask scheduler answers"),
        workers_of(cluster="tcp://127.0.0.1:9"),
    ):
        pass
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(UsageError, match="distributed"), workers_of(cluster="tcp://127.0.0.1:9"):
        pass


def test_one_worker_is_this_process() -> None:
    """No process is started for one worker."""
    with workers_of(1) as pool:
        assert pool.map(square, [1, 2, 3]) == [1, 4, 9]
        assert isinstance(pool, InProcess)
