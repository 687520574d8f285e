"""The README's path from exports to a report, as a script: each step is the function behind its command.

python scenarios/example.py [EXPORTS] [FOLDER]
"""

import sys
from datetime import UTC, datetime
from pathlib import Path

import rollout

HERE = Path(__file__).parent
TAKEN = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp())


def main(exports: str = str(HERE / "data" / "*.csv"), folder: str = "example") -> None:
    out = Path(folder)
    out.mkdir(exist_ok=True)
    with rollout.open_database(str(out / "rollout.db")) as database:
        # Every result has its values and, as `document`, what its command prints with --json.
        inventory = rollout.store_inventory(database, rollout.read_inventory([exports], taken=TAKEN))
        print(f"{inventory.id}: {inventory.document.accepted} devices")

        checked = rollout.check_inventory(database)
        print(f"blocked: {checked.blocked}; findings by rule: {checked.document.counts}")

        planned = rollout.make_plan(database, rollout.read_scenario(HERE / "default.toml"))
        first = planned.plan.phases[0]
        print(f"{planned.id}: {planned.plan.planned} devices, {len(first)} of them in {first.name}")
        print("first:", ", ".join(inventory.inventory.fleet.names[first.order[:3]]))

        simulated = rollout.simulate_plan(database, runs=10)
        figures, native = simulated.simulation.figures, simulated.simulation.baseline_figures
        print("hours to the end:", figures.eta_hours)
        print("peak attempts per hour:", figures.peak_per_hour["p50"], "native:", native.peak_per_hour["p50"])

        approval = rollout.approve_plan(database, by="Your Name")
        print(f"{approval.plan} approved by {approval.approved_by}")

        ran = rollout.run_rollout(database)  # on the simulated directory, as fast as it can
        print(f"{ran.rollout} {ran.progress.state}: {ran.progress.reason}")

        status = rollout.read_status(database)
        print("devices by outcome:", status.document.final.model_dump())

        facts = rollout.gather_report(database)
        rollout.write_report(facts, out)
        picture = rollout.pictures_of(facts)["forecast"]  # plot() also accepts your own axes
        picture.plot().figure.savefig(out / "forecast.png")
        print(picture.sentence())


if __name__ == "__main__":
    main(*sys.argv[1:])
