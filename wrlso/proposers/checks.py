"""Checks of what a proposer's functions return: of shapes and types, which are known under ``jit``.

Functions of this package are not asked.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from wrlso.proposers.base import Observations, Prediction, Proposer
from wrlso.scores.checks import check_real, form_of, in_a_program

MEASURES = ("fit_r2", "fit_spearman")
"""Names of what a proposer may measure at a fit: the log has a column for each."""

_LONGEST = 300
"""Maximum number of characters of a form in a message."""


def is_own(function: Callable[..., Any]) -> bool:
    """Whether a function, or the one within a ``partial``, is a user's."""
    while isinstance(function, partial):
        function = function.func
    # functools.wraps gives a function the module of another one.
    written_in = getattr(function, "__globals__", {}).get("__name__")
    module = written_in or getattr(function, "__module__", None) or ""
    return module.split(".")[0] != "wrlso"


def _called(function: str, proposer: Proposer, *args: Any) -> tuple[str, Any]:
    """The name of a proposer's function in messages, and what it returns."""
    call, who = getattr(proposer, function), f"{function} of proposer {proposer.name!r}"
    with in_a_program(who) if is_own(call) else nullcontext():
        return who, call(*args)


def proposed(proposer: Proposer, key: Array, view: Any, surrogate: Any) -> Any:
    """The pool that ``propose`` returns; the loop checks it, as it knows the objects."""
    return _called("propose", proposer, key, view, surrogate)[1]


def fitted(proposer: Proposer, key: Array, view: Any, memory: Any) -> tuple[Any, Any]:
    """The memory and the surrogate that ``fit`` returns.

    Raises:
      ValueError: for anything but a memory of the form of the one before, and a surrogate of
        arrays.
    """
    who, found = _called("fit", proposer, key, view, memory)
    if not is_own(proposer.fit):
        return found
    if not (isinstance(found, (tuple, list)) and len(found) == 2):
        raise ValueError(
            f"{who} must return a pair, the memory and the surrogate, got {form_of(found)}"
        )
    new, surrogate = found
    for name, tree in (("memory", new), ("surrogate", surrogate)):
        _check_arrays(f"the {name} that {who} returns", tree)
    _check_same(f"{who} must return a memory of the form of the one that it gets", memory, new)
    return new, surrogate


def observed(proposer: Proposer, surrogate: Any, observations: Observations) -> Any:
    """The surrogate that ``observe`` returns.

    Raises:
      ValueError: for anything but a surrogate of the form of the one before.
    """
    return _surrogate("observe", proposer, surrogate, observations)


def fantasized(proposer: Proposer, surrogate: Any, latents: Array, pending: Array) -> Any:
    """The surrogate that ``fantasize`` returns.

    Raises:
      ValueError: for anything but a surrogate of the form of the one before.
    """
    return _surrogate("fantasize", proposer, surrogate, latents, pending)


def _surrogate(function: str, proposer: Proposer, surrogate: Any, *rest: Any) -> Any:
    who, found = _called(function, proposer, surrogate, *rest)
    rule = f"{who} must return a surrogate of the form of the one that it gets, which fit returned"
    _check_same(rule, surrogate, found)
    return found


def measured(proposer: Proposer, surrogate: Any) -> Mapping[str, Array]:
    """The numbers ``[]`` by name that ``measures`` returns for a surrogate.

    Raises:
      ValueError: for anything but real numbers under the names :data:`MEASURES`.
    """
    who, found = _called("measures", proposer, surrogate)
    if not is_own(proposer.measures):
        return found
    names = " and ".join(MEASURES)
    if not isinstance(found, Mapping):
        raise ValueError(
            f"{who} must return a dictionary of numbers, {names}, got {form_of(found)}"
        )
    for name, value in found.items():
        if name not in MEASURES:
            raise ValueError(f"{who} must return numbers by the names {names}, got {name!r}")
        if np.shape(value) != ():
            raise ValueError(f"{name} in {who} must be a single number, got {form_of(value)}")
        _check_arrays(f"{name} in {who}", value)
        check_real(f"{name} in {who}", value)
    return {name: jnp.asarray(value) for name, value in found.items()}


def predicted(proposer: Proposer, surrogate: Any, latents: Array) -> Prediction | None:
    """The prediction for latents ``[q, d]``; None: the proposer has no ``predict``.

    Raises:
      ValueError: for anything but means and deviations, a real number of each per point.
    """
    if proposer.predict is None:
        return None
    who, found = _called("predict", proposer, surrogate, latents)
    rows = len(latents)
    pair = isinstance(found, (tuple, list)) and len(found) == 2
    shapes = [list(np.shape(part)) for part in found] if pair else []
    if shapes != [[rows]] * 2:
        given = " and ".join(map(str, shapes)) if pair else form_of(found)
        raise ValueError(
            f"{who} must return a Prediction of means and deviations for {rows} points, "
            f"{[rows]} each, got {given}"
        )
    prediction = Prediction(*map(jnp.asarray, found))
    for name, part in prediction._asdict().items():
        check_real(f"{name} in {who}", part)
    return prediction


class _Form(str):
    """Shape and type of an array, without quotation marks in a tree of them."""

    __repr__ = str.__str__


def _form(leaf: Any) -> _Form:
    return _Form(f"{_kind(leaf)}{list(np.shape(leaf))}")


def _kind(leaf: Any) -> Any:
    """The type that a leaf has in a program: one of NumPy's may be wider."""
    kind = getattr(leaf, "dtype", None)
    is_key = kind is not None and jnp.issubdtype(kind, jax.dtypes.extended)
    return kind if is_key else jnp.result_type(leaf)


def _is_number(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") or isinstance(leaf, (bool, int, float, complex))


def _words(tree: Any) -> str:
    """Shapes and types of a pytree in its own form."""
    known = lambda leaf: _form(leaf) if _is_number(leaf) else _Form(form_of(leaf))  # noqa: E731
    text = repr(jax.tree.map(known, tree))
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _check_arrays(what: str, tree: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if not _is_number(leaf):
            place = f" at {jax.tree_util.keystr(path)}" if path else ""
            raise ValueError(f"{what} must consist of arrays, got {form_of(leaf)}{place}")


def _check_same(rule: str, before: Any, after: Any) -> None:
    """Refuse a pytree of another structure, or with an array of another shape or type."""
    structures: list[Any] = [jax.tree.structure(tree) for tree in (before, after)]
    if structures[0] != structures[1]:
        raise ValueError(f"{rule}, {_words(before)}, got {_words(after)}")
    leaves = zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True)
    for (path, old), new in leaves:
        _check_arrays(rule, new)
        if _form(old) != _form(new):
            place = f" at {jax.tree_util.keystr(path)}" if path else ""
            raise ValueError(f"{rule}, {_form(old)}{place}, got {_form(new)}")
