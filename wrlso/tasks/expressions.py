"""Arithmetic expressions: find one that is close to a target (the paper's second task)."""

import os
from functools import cache, partial
from typing import Literal

from wrlso.bo import BOConfig
from wrlso.expressions.data import base_data
from wrlso.expressions.evaluate import log_mse_scores, parse_target, same_values
from wrlso.expressions.grammar import decode
from wrlso.expressions.model import Architecture, Decoding, make_vae
from wrlso.gp.fit import FitConfig
from wrlso.retrain import RetrainConfig
from wrlso.surrogate import SurrogateConfig
from wrlso.tasks.base import PretrainConfig, Task

TARGET = "1 / 3 + x + sin(x * x)"
"""The paper's target."""


def expressions(
    target: str = TARGET,
    data: str | None = None,
    rows: int = 5000,
    architecture: Architecture = "feedback",
    decoding: Decoding = "argmax",
    distinct: Literal["values", "spelling"] = "values",
    pretrain_seed: int = 0,
    pretrain_epochs: int = 50,
) -> Task:
    """The expressions task.

    Args:
      target: an expression of x, in the task's grammar.
      data: a file of expressions, one a line, plain or gzipped; sampled from the grammar if
        None. Either way, runs begin with a draw from the worse half by score.
      rows: size of that draw.
      architecture: ``"feedback"``, the default, or ``"paper"``, see
        ``wrlso.expressions.model.make_vae``.
      decoding: ``"argmax"``, or ``"majority"`` of 5 samples.
      distinct: which expressions are different: those with different ``"values"`` (``x + 1`` is
        ``1 + x``, and not asked for again), or with different ``"spelling"``, as in the paper.
      pretrain_seed: of the pretraining; each seed is cached on its own.
      pretrain_epochs: passes over the data in pretraining.

    Raises:
      ValueError: if the target is not an expression of x, or another argument is unknown.
      OSError: if the file cannot be read.
    """
    derivation = parse_target(target)
    if rows < 1:
        raise ValueError(f"rows must be at least 1, got {rows}")
    if distinct not in ("values", "spelling"):
        raise ValueError(f"distinct must be 'values' or 'spelling', got {distinct!r}")
    return Task(
        name="expressions",
        summary="find an arithmetic expression of x that is close to a target",
        vae=make_vae(architecture, decoding=decoding),
        load_data=cache(partial(base_data, data, derivation, rows)),  # a run's figures ask, too
        objective=partial(log_mse_scores, target=derivation),
        identity=same_values if distinct == "values" else None,
        retrain=RetrainConfig(
            first_epochs=1.0, epochs=3.0, batch_size=100, learning_rate=1e-3, beta=0.1
        ),
        pretrain=PretrainConfig(
            epochs=pretrain_epochs,
            batch_size=100,
            learning_rate=1e-3,
            beta=0.1,
            seed=pretrain_seed,
        ),
        proposer="bo",
        bo=BOConfig(
            evaluations=40,
            surrogate=SurrogateConfig(
                best=150, random=100, fit=FitConfig(restarts=2, evaluations=15)
            ),
        ),
        version=f"1-{architecture}",
        options={
            "target": target,
            "data": None if data is None else os.path.abspath(data),
            "rows": rows,
            "architecture": architecture,
            "decoding": decoding,
            "distinct": distinct,
            "pretrain_seed": pretrain_seed,
            "pretrain_epochs": pretrain_epochs,
        },
        stated={"target": target},
        to_text=decode,
    )
