"""The shapes task: the four corners of the ablation, r = 5, and other pretrained models.

    python -m benchmarks.shapes            the default architecture, pretraining seeds 0 to 2
    python -m benchmarks.shapes --paper    the paper's architecture (hours)
    python -m benchmarks.shapes --bo       Bayesian optimisation and gradient proposers instead
                                           of the grid that peeks

See benchmarks.experiments for where runs and results go.
"""

import argparse
import shutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from benchmarks.experiments import RESULTS, Entry, Presentation, parse_options, run_all
from wrlso import methods
from wrlso.parallel import request_cpu_devices


def without_grid(models: Sequence[Mapping[str, Any]]) -> Iterator[Entry]:
    headline = methods.weighted_retraining(1e-3, 50)
    for model in models:
        yield _entry("bo, weighted retraining, r = 50", headline, models, model, "bo")
    for climb in ("regressor", "objective"):
        for way in ("latent_ascent", "data_ascent", "generator"):
            name = f"{way} on the {climb}, weighted retraining, r = 50"
            yield _entry(name, headline, models, models[0], way, climb)
    yield _entry("bo, LSO", methods.lso(), models, models[0], "bo")


def with_grid(models: Sequence[Mapping[str, Any]], with_r5: bool) -> Iterator[Entry]:
    for model in models:
        yield _entry("LSO", methods.lso(), models, model)
        yield _entry("weight only", methods.weight_only(1e-3), models, model)
        yield _entry("retrain only, r = 50", methods.retrain_only(50), models, model)
        headline = methods.weighted_retraining(1e-3, 50)
        yield _entry("weighted retraining, r = 50", headline, models, model)
        if with_r5 and model is models[0]:
            often = methods.weighted_retraining(1e-3, 5)
            yield _entry("weighted retraining, r = 5", often, models, model)


def _entry(
    name: str,
    method: Any,
    models: Sequence[Mapping[str, Any]],
    model: Mapping[str, Any],
    proposer: str = "grid",
    climb: Any = None,
) -> Entry:
    seed, first = str(model["pretrain_seed"]), model is models[0]
    return Entry(name, method, seed, model, proposer, climb, details=first)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--paper", action="store_true", help="the paper's architecture")
    parser.add_argument(
        "--bo", action="store_true", help="Bayesian optimisation and gradient proposers"
    )
    parser.add_argument("--pretrain-seeds", type=int, nargs="+", default=[0, 1, 2])


def main() -> None:
    options = parse_options(__doc__, "shapes", 5, _more)
    request_cpu_devices(options.seeds)
    architecture = "paper" if options.paper else "coordinate"
    models = [
        {"architecture": architecture, "pretrain_seed": seed} for seed in options.pretrain_seeds
    ]
    stem = "shapes-paper" if options.paper else "shapes-bo" if options.bo else "shapes"
    entries = without_grid(models) if options.bo else with_grid(models, not options.paper)
    rows = run_all(
        "shapes",
        list(entries),
        options,
        stem,
        f"Shapes, {'proposer as named' if options.bo else 'proposer grid'}",
        "python -m benchmarks.shapes" + " --paper" * options.paper + " --bo" * options.bo,
        Presentation(name="best area", variant="pretraining seed"),
    )
    if not (options.only or options.paper):
        headline = next(r for e, r in rows if "weighted retraining, r = 50" in e.name)
        drawn = {path.stem: path for path in headline.plot()}
        more = () if options.bo else ("weights", "prior_samples")
        for name in ("best_so_far", "manifold", *more):
            shutil.copy(drawn[name], RESULTS / f"{stem}-{name.replace('_', '-')}.png")


if __name__ == "__main__":
    main()
