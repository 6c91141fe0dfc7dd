"""Arithmetic expressions: find an expression close to a target (the paper's second task)."""

import os
from functools import cache, partial
from pathlib import Path
from typing import Literal

from wrlso.gp.fit import FitConfig
from wrlso.loop.retraining import RetrainConfig
from wrlso.proposers.bo_config import BOConfig
from wrlso.proposers.surrogate import SurrogateConfig
from wrlso.tasks.base import PretrainConfig, Task, shipped_params
from wrlso.tasks.expression.data import base_data
from wrlso.tasks.expression.evaluate import log_mse_scores, parse_target, same_values
from wrlso.tasks.expression.grammar import decode, encode
from wrlso.tasks.expression.model import Architecture, Decoding, make_vae

TARGET = "1 / 3 + x + sin(x * x)"
"""The paper's target."""

SHIPPED = Path(__file__).with_name("pretrained.safetensors")
"""The parameters of the default model, pretrained with seed 0; ``pretrained.md`` describes them."""


def expressions(
    target: str = TARGET,
    data: str | None = None,
    rows: int = 5000,
    architecture: Architecture = "feedback",
    decoding: Decoding = "argmax",
    distinct: Literal["values", "spelling"] = "values",
    pretrain: bool = False,
    pretrain_seed: int = 0,
    pretrain_epochs: int = 50,
) -> Task:
    """Find an arithmetic expression that is close to a target; the score is -log(1 + MSE).

    Args:
      target: the target expression, of x, 1, 2, 3, + * /, sin, exp and parentheses.
      data: a file of expressions, one per line, plain or gzipped. Default: 20,000 samples of the
        grammar. The base data are a draw from the worse half by score.
      rows: size of that draw.
      architecture: the model: 'feedback', or 'paper', the grammar VAE of 2017.
      decoding: 'argmax' decodes to the most likely production at each step, 'majority' to the most
        frequent of 5 samples, as in the paper.
      distinct: 'values' or 'spelling'. With 'values', expressions with equal values are duplicates,
        such as x + 1 and 1 + x. With 'spelling', as in the paper, only equal spellings are.
      pretrain: train the model anew (a minute, then cached) instead of using the parameters that
        come with the package. For other base data (target, data, rows), another architecture, seed
        or number of epochs, it is always trained anew.
      pretrain_seed: seed of the pretraining.
      pretrain_epochs: number of passes over the data in pretraining; the protocol has 50.

    Raises:
      ValueError: if the target is not an expression of x, or an argument is invalid.
      OSError: if the file cannot be read.
    """
    derivation = parse_target(target)
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    if distinct not in ("values", "spelling"):
        raise ValueError(f"distinct must be 'values' or 'spelling', got {distinct!r}")
    vae = make_vae(architecture, decoding=decoding)
    settings = (list(derivation), data, rows, architecture, pretrain_seed, pretrain_epochs)
    defaults = (list(parse_target(TARGET)), None, 5000, "feedback", 0, 50)
    shipped = not pretrain and settings == defaults
    return Task(
        name="expressions",
        vae=vae,
        load_data=cache(
            partial(base_data, data, derivation, rows)
        ),  # a run and its figures share them
        objective=partial(log_mse_scores, target=derivation),
        dedup_key=same_values if distinct == "values" else None,
        retrain=RetrainConfig(
            first_epochs=1.0, epochs=3.0, batch_size=100, learning_rate=1e-3, beta=0.1
        ),
        pretrain=PretrainConfig(
            pretrain_epochs, batch_size=100, learning_rate=1e-3, beta=0.1, seed=pretrain_seed
        ),
        params=shipped_params(SHIPPED, vae) if shipped else None,
        proposer="bo",
        bo=_bayesian_optimisation(),
        version=f"1-{architecture}",
        options={
            "target": target,
            "data": None if data is None else os.path.abspath(data),
            "rows": rows,
            "architecture": architecture,
            "decoding": decoding,
            "distinct": distinct,
            "pretrain": pretrain,
            "pretrain_seed": pretrain_seed,
            "pretrain_epochs": pretrain_epochs,
        },
        stated={"target": target},
        to_text=decode,
        from_text=lambda text: encode([text])[0],
    )


def _bayesian_optimisation() -> BOConfig:
    return BOConfig(
        evaluations=40,
        surrogate=SurrogateConfig(best=150, random=100, fit=FitConfig(restarts=2, evaluations=15)),
    )
