"""The grammar of ``wrlso.chem.ringtree`` inside jit: what may come next in a string.

Beside the stack of ``wrlso.models.grammar``, a state keeps what is left of the template that is
being spelled. All functions work on batches ``[B]``.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike

from wrlso.chem.ringtree.nodes import BRIDGE, CHILD, EXIT, ON, TO
from wrlso.chem.ringtree.tables import ENTER, REACH, ROOT, Tables
from wrlso.chem.ringtree.vocabulary import ENTRY
from wrlso.models import grammar

_FIRST_SITE = 2


class Machine(NamedTuple):
    """Tables, the grammars made of them, and the depth D of stacks. ``timed`` are the rules where
    a string must be completed in time."""

    tables: Tables
    rules: grammar.Grammar
    timed: grammar.Grammar
    depth: int


class State(NamedTuple):
    """A string so far.

    Attributes:
      stack: ``[B, D]`` categories to be expanded.
      parents: ``[B, D]`` the symbol that left each of them.
      template: ``[B]`` row of the template that is being spelled, 0 if none is.
      origin: ``[B]`` category from which that node hangs.
      free, most: ``[B, M]`` what its sites can still take: in all, and for one bond.
      begun: ``[B]`` order of the first bond of a bridge whose end is not said yet, and
        ``begun_at [B]`` its site; before a bridge, the site of entry.
    """

    stack: Array
    parents: Array
    template: Array
    origin: Array
    free: Array
    most: Array
    begun: Array
    begun_at: Array


def make_machine(tables: Tables, depth: int) -> Machine:
    """The machine of a vocabulary's tables, for stacks of at most ``depth`` categories."""
    rules, timed = (
        grammar.make_grammar(allowed, tables.pushed, tables.variant, ROOT)
        for allowed in tables.allowed
    )
    return Machine(tables, rules, timed, depth)


def begin(machine: Machine, batch: int) -> State:
    """The state before the first symbol."""
    width = machine.tables.free.shape[1]
    zeros = jnp.zeros(batch, jnp.int32)
    sites = jnp.zeros((batch, width), jnp.int32)
    stack = grammar.begin(machine.rules, (batch,), machine.depth)
    return State(stack, jnp.zeros_like(stack), zeros, zeros, sites, sites, zeros, zeros)


def advance(machine: Machine, state: State, symbol: Array) -> State:
    """The state after a symbol ``[B]``."""
    tables = machine.tables
    symbol = symbol.astype(jnp.int32)
    new = grammar.leaves(machine.rules, state.stack, symbol)
    what, site, order = _uses(tables, symbol)
    new = new.at[:, 1].set(
        jnp.where(what < 0, new[:, 1], _leads_to(machine, state)(what, site, order))
    )
    parent = jnp.where(what < 0, symbol, state.parents[:, 0])
    stack = grammar.push(state.stack, new)
    parents = grammar.push_aligned(state.parents, new, parent)
    row = jnp.asarray(tables.template)[symbol]
    starts = row > 0
    template = jnp.where(starts, row, state.template)
    places = jnp.arange(tables.free.shape[1], dtype=jnp.int32)[None]
    here = (places == site[:, None]) & (what >= 0)[:, None]
    taken = jnp.where(here, order[:, None], 0)
    plain = here & (order > 1)[:, None] & ~jnp.asarray(tables.hyper)[template]
    free = jnp.where(starts[:, None], jnp.asarray(tables.free)[template], state.free - taken)
    most = jnp.where(starts[:, None], jnp.asarray(tables.most)[template], state.most)
    most = jnp.minimum(jnp.where(plain, 1, most), free)
    origin = jnp.where(starts, state.stack[:, 0], state.origin)
    begun = jnp.where(what == BRIDGE, order, state.begun)
    begun_at = jnp.where((what == BRIDGE) | (what == ENTRY), site, state.begun_at)
    return State(stack, parents, template, origin, free, most, begun, begun_at)


def allowed(machine: Machine, state: State, left: ArrayLike | None = None) -> Array:
    """``[B, S]`` booleans: the symbols that may come next; ``left`` as in the shared grammar."""
    rules = machine.rules if left is None else machine.timed
    possible = grammar.allowed(rules, state.stack, left)
    count = len(machine.tables.uses)
    sites = possible[:, _FIRST_SITE : _FIRST_SITE + count] & _fits(machine, state, left)
    return possible.at[:, _FIRST_SITE : _FIRST_SITE + count].set(sites)


def _uses(tables: Tables, symbol: Array) -> tuple[Array, Array, Array]:
    """``[B]`` each: what the symbol uses a site for (-1: it is none of a site), site, order."""
    number = symbol - _FIRST_SITE
    is_site = (number >= 0) & (number < len(tables.uses))
    uses = jnp.asarray(tables.uses)[jnp.clip(number, 0, len(tables.uses) - 1)]
    return jnp.where(is_site, uses[:, 0], -1), uses[:, 1], uses[:, 2]


def _leads_to(machine: Machine, state: State) -> Callable[[Array, Array, Array], Array]:
    """The category that a use of a site adds: of what, site and order, ``[B]`` or ``[B, U]``."""
    tables = machine.tables

    def category(what: Array, site: Array, order: Array) -> Array:
        wide = lambda a: a.reshape(a.shape + (1,) * (what.ndim - 1))  # noqa: E731
        on_hetero = (jnp.asarray(tables.variant)[state.origin] == 1).astype(jnp.int32)
        child = jnp.asarray(tables.slot)[wide(on_hetero), wide(state.template), site, order]
        bridges = jnp.asarray(tables.bridge)
        short = jnp.minimum(order, 2)
        loop = (site == wide(state.begun_at)).astype(jnp.int32)
        ends = bridges[loop, wide(state.begun), short]
        goes_on = bridges[0, short, wide(jnp.asarray(tables.last)[state.origin])]
        return jnp.select([what == CHILD, what == TO, what == ON], [child, ends, goes_on], 0)

    return category


def _fits(machine: Machine, state: State, left: ArrayLike | None) -> Array:
    """``[B, U]``: site symbols for which the template has room, and which lead on."""
    tables = machine.tables
    what, site, order = (jnp.asarray(column)[None] for column in tables.uses.T)
    free, most = state.free[:, site[0]], state.most[:, site[0]]
    room = (order <= free) & (order <= most)
    table = jnp.asarray(tables.enters[0 if left is None else 1])
    enters = table[state.origin[:, None], state.template[:, None], site]
    enters &= order == jnp.asarray(tables.order)[state.origin][:, None]
    exits = order == jnp.asarray(tables.last)[state.origin][:, None]
    exits &= ~(jnp.asarray(tables.loop)[state.origin][:, None] & (site == state.begun_at[:, None]))
    # In time, there must be room for the end of a bridge on another site.
    spare = state.free.sum(-1, keepdims=True, dtype=jnp.int32) > (order if left is None else free)
    category = _leads_to(machine, state)(
        jnp.broadcast_to(what, room.shape),
        jnp.broadcast_to(site, room.shape),
        jnp.broadcast_to(order, room.shape),
    )
    more = jnp.asarray(machine.timed.needed, jnp.int32)[category]
    leads = (category > 0) & (more < grammar.NEVER)
    bridge = jnp.asarray(tables.bridge)[0, jnp.minimum(order, 2), 1]
    more_bridge = jnp.asarray(machine.timed.needed, jnp.int32)[bridge]
    more = jnp.where(what == BRIDGE, more_bridge + 1, more)
    possible = jnp.select(
        [what == ENTRY, what == EXIT, what == BRIDGE],
        [enters, exits, spare & (more_bridge < grammar.NEVER)],
        leads,
    )
    if left is not None:
        rest = grammar.steps_needed(machine.timed, state.stack[:, 1:])[:, None]
        closing = 1
        ends = jnp.asarray(left, jnp.int32) - 1
        in_time = rest + closing + more <= (ends[:, None] if ends.ndim else ends)
        adds = (what == CHILD) | (what == TO) | (what == ON) | (what == BRIDGE)
        possible &= ~adds | in_time
    return room & possible


def spelling(state: State) -> Array:
    """``[B]``: whether a node is being spelled."""
    top = state.stack[:, 0]
    return (top >= ENTER) & (top <= REACH)
