"""The starting molecules that are evaluated at the cost of the budget."""

from typing import Literal

from wrlso.chem.objective import Objective
from wrlso.evaluation.objective import measured

INITIAL = 50
"""Default of the number of starting molecules without scores that a user's objective evaluates."""


def initial_evaluations(
    initial: int | None, score_column: str | None, built_in: bool
) -> int | None:
    """The number of starting molecules that are scored at the cost of the budget; None: no cost.

    Args:
      initial: as the user gives it.
      score_column: the column of the starting data's scores; None if they have none.
      built_in: whether the objective is one of the library's, also of several properties, whose
        evaluations are not charged.

    Raises:
      ValueError: if it is below 1, or has no meaning.
    """
    if initial is None:
        return None if score_column is not None or built_in else INITIAL
    if initial < 1:
        raise ValueError(f"initial must be at least 1 molecule, got {initial}")
    if score_column is not None:
        raise ValueError(
            f"initial = {initial} has no meaning: score_column = {score_column!r} has all scores"
        )
    return initial


def starting_words(
    data: str | None, score_column: str | None, initial: int | None, objective: str
) -> str:
    """The starting data in words, for the plan of a run."""
    origin = "samples of the model's prior" if data is None else f"molecules of {data}"
    if score_column is not None:
        return f"scored molecules of {data}"
    return origin if initial else f"{origin}, scored by {objective} (built in, not charged)"


def check_measured(made: Objective, data: str | None, score_column: str | None) -> None:
    """Refuse starting data without scores where nobody but people could score them.

    Raises:
      ValueError: with the remedy.
    """
    if made.score is measured and None in (data, score_column):
        raise ValueError(
            f"objective = 'measured' needs starting data with scores, got data = {data!r} and "
            f"score_column = {score_column!r}: give a CSV file of molecules that were measured, "
            "and the column of their scores"
        )


def default_penalty(made: Objective, minimize: bool) -> float | Literal["lowest"]:
    """The default; a built-in objective's own is meant for an objective that is maximised."""
    return "lowest" if minimize else made.penalty
