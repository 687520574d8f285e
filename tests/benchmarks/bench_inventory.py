"""How long an inventory takes, and how much memory: generate, write as exports, read again, preflight.

Run: python tests/benchmarks/bench_inventory.py [DEVICES]     (default 100000)

Reading happens in a process of its own, so that its peak memory is that of reading alone. The rows of Intune's
export are written for every device, which is the worst case.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from fleet_files import write_exports

from rollout.exports.reading import read_exports
from rollout.preflight import preflight
from rollout.values import Fleet
from sim.fleet.population import FleetModel, generate

TAKEN = 1_795_507_200


def peak_mb() -> float:
    """Give the peak resident memory of this process so far.

    Where Linux tells it: `getrusage` would include the parent's, from before this process was spawned.
    """
    status = Path("/proc/self/status")
    if status.exists():
        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(peak.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(paths: list[Path]) -> None:
    """Read and judge the exports, and print what it took: seconds by the clock and of processor time."""
    before = peak_mb()
    begin, worked = time.perf_counter(), time.process_time()
    inventory = read_exports(paths, taken=TAKEN)
    read, busy = time.perf_counter() - begin, time.process_time() - worked
    peak = peak_mb()
    rows = sum(count for _, _, count in inventory.files)
    print(
        f"read      {read:7.2f} s  {busy:.2f} s busy, {rows:,} rows of {len(paths)} files, {rows / busy:,.0f} rows/s"
    )
    print(f"memory    {peak:7.0f} MB peak, {before:.0f} MB of it before reading")
    begin, worked = time.perf_counter(), time.process_time()
    findings = preflight(inventory)
    read, busy = time.perf_counter() - begin, time.process_time() - worked
    print(
        f"preflight {read:7.2f} s  {busy:.2f} s busy, {len(findings):,} findings, {len(inventory.fleet):,} devices"
    )


def in_intune(fleet: Fleet) -> Fleet:
    """Give the same fleet with every device in Intune."""
    return replace(fleet, flags={**fleet.flags, "intune": np.ones(len(fleet), dtype=np.int8)})


def main(devices: int) -> None:
    """Print the times for a fleet of so many devices."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        fleet = generate(FleetModel(clients=devices), 1, TAKEN).fleet
        print(f"generate  {time.perf_counter() - begin:7.2f} s  {devices:,} devices")
        paths = write_exports(in_intune(fleet), Path(folder))
        size = sum(path.stat().st_size for path in paths) / 1e6
        print(f"files     {size:7.0f} MB")
        del fleet
        child = context.Process(target=measure, args=(paths,))
        child.start()
        child.join()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
