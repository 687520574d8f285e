"""Simulate a scenario and draw what it gives: the same as in the README, then a little more.

python scenarios/example.py [SCENARIO.toml] [CLIENTS] [FOLDER]
"""

import sys
from pathlib import Path

import rollout
import sim

HERE = Path(__file__).parent


def main(scenario: str = str(HERE / "default.toml"), clients: str = "20000", folder: str = "example") -> None:
    planned = sim.plan_scenario(sim.load_scenario(scenario).with_clients(int(clients)))
    forecast = sim.simulate(planned.plan, planned.fleet, planned.model, runs=10, seed=1)
    facts = rollout.facts_of(planned, forecast)
    pictures = rollout.pictures_of(facts)

    # Key figures are a plain dict; the bands behind them are arrays, an hour a column.
    figures = forecast.summary()
    bands = forecast.enrolled_bands()
    print("hours to the end:", figures["eta_hours"])
    print("peak attempts an hour:", figures["peak_per_hour"])
    print("enrolled after a week, median:", int(bands.values[bands.quantiles.index(0.5), 167]))

    # A picture is drawn on your axes, or on its own; its sentence is the text for those who cannot see it.
    print(pictures["forecast"].sentence())
    Path(folder).mkdir(exist_ok=True)
    pictures["load"].plot().figure.savefig(Path(folder) / "load.png")
    rollout.write_report(facts, Path(folder))

    # Who would go first, and who does not go at all.
    first = planned.plan.phases[0].order[:3]
    print("first:", ", ".join(planned.fleet.names[first]))
    print("left out:", len(planned.plan) - planned.plan.planned)


if __name__ == "__main__":
    main(*sys.argv[1:])
