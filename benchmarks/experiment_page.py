"""The result page of an experiment with 10,000 runs: what its parts cost the server.

The trials are made up (their figures are drawn at random); what is measured is reading and computing.
"""

from __future__ import annotations

import argparse
import itertools
import random
import time
from collections.abc import Callable
from typing import Any

from benchmarks import stage
from benchmarks.report import write_result

TASKS, ARMS, STEPS = 1_667, 6, (3, 40)


def fill(experiment: Any) -> None:
    """Let every trial have ended."""
    import msgspec

    from collab_core.experiments.records import Facts, Trace
    from webapp.experiments.models import Experiment, Trial

    rng = random.Random(1)
    trials = list(Trial.objects.filter(experiment=experiment))
    for trial in trials:
        steps = rng.randint(*STEPS)
        tiers = tuple(rng.randint(0, 1) for _ in range(steps))
        latency_s = tuple(rng.uniform(0.5, 3.0) for _ in range(steps))
        facts = Facts(
            steps=steps,
            large_steps=sum(tiers),
            switches=sum(a != b for a, b in itertools.pairwise(tiers)),
            moves=steps - 1,
            latency_s=sum(latency_s),
            input_tokens=1_000 * steps,
            cached_tokens=800 * steps,
            output_tokens=100 * steps,
            large_output_tokens=100 * sum(tiers),
            cost_usd=0.001 * steps,
            model_calls=steps,
            checks=steps,
            stalls=steps // 3,
        )
        cumulative = [sum(latency_s[: n + 1]) for n in range(steps)]
        trace = Trace(
            tiers=tiers,
            scopes=("",) * steps,
            latency_s=latency_s,
            cumulative_s=tuple(cumulative),
            output_tokens=(100,) * steps,
            decode_s=(1.0,) * steps,
            verdicts=tuple(rng.choice((0, 1)) for _ in range(steps)),
            top=1,
        )
        trial.state, trial.outcome = "done", rng.choice(("correct", "incorrect"))
        trial.facts = msgspec.json.encode(facts).decode()
        trial.trace = msgspec.json.encode(trace).decode()
    Trial.objects.bulk_update(trials, ["state", "outcome", "facts", "trace"], batch_size=500)
    Experiment.objects.filter(pk=experiment.pk).update(
        status="finished", trials_done=len(trials), revision=1
    )


def took_ms(action: Callable[[], Any], rounds: int = 5) -> float:
    best = float("inf")
    for _ in range(rounds):
        began = time.perf_counter()
        action()
        best = min(best, time.perf_counter() - began)
    return round(1_000 * best, 1)


def main() -> None:
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    with stage.folder() as folder:
        stage.set_up(folder)
        from django.test import Client

        from benchmarks.experiment_engine import sets_of_tasks
        from collab_core.experiments.definition import build
        from webapp.experiments import creation, reads, results
        from webapp.experiments.models import ResultCache

        made = stage.make_stage(base_url="http://127.0.0.1:9/v1")
        sets_of_tasks(made, TASKS)
        arms = [
            {
                "label": f"arm {n}",
                "strategy": "agentcollab" if n else "large",
                "ladder": made.ladder.name,
            }
            for n in range(ARMS)
        ]
        values = {"name": "Page", "tasks": {"name": "harbours"}, "arms": arms, "baseline": "arm 0"}
        began = time.perf_counter()
        experiment = creation.create(made.workspace, made.user, build(values))
        figures: dict[str, Any] = {"create, ms": round(1_000 * (time.perf_counter() - began))}
        fill(experiment)
        experiment.refresh_from_db()
        client = Client()
        client.force_login(made.user, backend=stage.BACKEND)
        page = f"/experiments/{experiment.uuid}/"
        ask = [("the page", page), ("a page of trials", f"{page}trials/")]

        def anew() -> None:
            ResultCache.objects.all().delete()
            results.body(experiment)

        def table_anew() -> None:
            results.own_table(experiment)

        figures |= {
            "trials": experiment.trials_total,
            "reading the trials, ms": took_ms(lambda: reads.trials(experiment)),
            "the table alone, computed anew, ms": took_ms(table_anew),
            "all figures, computed anew, ms": took_ms(anew, rounds=2),
            "figures that are kept, ms": took_ms(lambda: client.get(f"{page}results.json")),
        }
        for name, address in ask:
            assert client.get(address).status_code == 200
            figures[f"{name}, ms"] = took_ms(lambda address=address: client.get(address))  # type: ignore[misc]
    for name, value in figures.items():
        print(f"{name}: {value}")
    write_result("experiment_page", figures)


if __name__ == "__main__":
    main()
