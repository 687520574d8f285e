"""The same result wherever it is computed, also when a worker dies on the way."""

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
from sim.workers import Here, workers_of

distributed = pytest.importorskip("distributed")


def square(value: int) -> int:
    return value * value


def die_once(told: tuple[str, int]) -> int:
    """Kill the process that does item 3 for the first time."""
    folder, value = told
    mark = Path(folder) / "died"
    if value == 3 and not mark.exists():
        mark.write_text("")
        os._exit(1)
    time.sleep(0.05)
    return value * value


@pytest.fixture(name="cluster", scope="module")
def _cluster() -> Iterator[Any]:
    """A scheduler and two workers on loopback."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=50
        ) as cluster:
            yield cluster


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_dask_and_processes_and_one_process_give_equal_bytes(cluster: Any) -> None:
    """A tuning through two Dask workers is that of this process, to the last digit."""
    effort = Effort(trials=8, runs=1)
    with workers_of(cluster=cluster.scheduler_address) as hands:
        there = tune(job(), effort, hands, look_around=False)
    here = tune(job(), effort, Here(), look_around=False)
    assert repr(there.tried) == repr(here.tried)
    assert (there.front, there.chosen, there.reason) == (here.front, here.chosen, here.reason)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_killed_dask_worker_costs_time_and_not_the_result(cluster: Any, tmp_path: Path) -> None:
    """The nanny starts another one; its work is begun anew."""
    with workers_of(cluster=cluster.scheduler_address) as hands:
        told = hands.map(die_once, [(str(tmp_path), value) for value in range(8)])
    assert told == [square(value) for value in range(8)]
    assert (tmp_path / "died").exists()


@pytest.mark.slow
def test_a_killed_process_costs_time_and_not_the_result(tmp_path: Path) -> None:
    """A broken pool is made anew, and only what is missing is repeated."""
    with workers_of(2) as hands:
        told = hands.map(die_once, [(str(tmp_path), value) for value in range(8)])
    assert told == [square(value) for value in range(8)]
    assert (tmp_path / "died").exists()


@pytest.mark.filterwarnings("ignore")
def test_nobody_at_the_address_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler that is not there, and a package that is not installed, say what to do."""
    monkeypatch.setattr("sim.workers.WAIT", "500ms")
    with (
        pytest.raises(OutsideError, match="expected a Dask scheduler"),
        workers_of(cluster="tcp://127.0.0.1:9"),
    ):
        pass
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(UsageError, match="distributed"), workers_of(cluster="tcp://127.0.0.1:9"):
        pass


def test_one_worker_is_this_process() -> None:
    """No process is started for one worker."""
    with workers_of(1) as hands:
        assert hands.map(square, [1, 2, 3]) == [1, 4, 9]
        assert isinstance(hands, Here)
