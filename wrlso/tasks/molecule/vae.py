"""A VAE of strings of ring systems: recurrent encoder in both directions, recurrent decoder.

Objects are ``[B, L] uint16``: numbers of symbols, ended by a 0 where shorter than L. The decoder
sees the symbol before, the symbol of the parent, and the category that comes next; symbols that the
grammar forbids have no probability.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from wrlso.models.dense import Compute, dense, init_dense, product
from wrlso.models.grammar import likeliest
from wrlso.models.gru import GRU, advance, init_gru, over_steps, states_from
from wrlso.models.sequences import cut_columns, lengths, turn
from wrlso.models.vae import VAE
from wrlso.parallel import largest_of_lanes
from wrlso.tasks.molecule import machine as machines
from wrlso.tasks.molecule.machine import Machine

_FORBIDDEN = -1e9

_TOGETHER = 13
"""Steps that all strings of a batch are decoded for; nine of ten molecules take no more."""

_FEW = 64
"""A batch of fewer strings is decoded as a whole."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of the model.

    Attributes:
      latent_dim: d.
      embedding: numbers that stand for a symbol.
      encoder_units: in each direction.
      decoder_units: of the decoder.
      rank: of the map from the decoder's state to the symbols' logits.
      category: numbers that stand for a category.
      properties: predicted by a linear head from the latent; 0 for none.

    Raises:
      ValueError: if a size is below 1, or ``properties`` below 0.
    """

    latent_dim: int = 56
    embedding: int = 128
    encoder_units: int = 256
    decoder_units: int = 512
    rank: int = 192
    category: int = 32
    properties: int = 0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            least = 0 if name == "properties" else 1
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(
                    f"{name} must be a whole number of at least {least}, got {value!r}"
                )

    def to_json(self) -> dict[str, int]:
        """The sizes by name, as plain data."""
        return asdict(self)


class Walk(NamedTuple):
    """The state of the grammar at each of L steps: ``category``, ``parent [L, B]``, and the states
    of the machine ``[L, B, ...]`` before the step."""

    category: Array
    parent: Array
    states: machines.State


def walk(machine: Machine, rows: Array) -> Walk:
    """The grammar along strings ``rows [L, B]``."""

    def step(state: machines.State, symbol: Array) -> tuple[machines.State, machines.State]:
        return machines.advance(machine, state, symbol), state

    _, states = lax.scan(step, machines.begin(machine, rows.shape[1]), rows)
    return Walk(states.stack[..., 0], states.parents[..., 0], states)


def masks(machine: Machine, walked: Walk) -> Array:
    """``[L, B, S]`` booleans: symbols that may come at each step."""
    flat = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), walked.states)
    possible = machines.allowed(machine, flat)
    return possible.reshape(*walked.category.shape, -1)


def make_vae(
    machine: Machine,
    length: int,
    sizes: Sizes,
    compute: Compute = None,
    cut: bool = True,
) -> VAE:
    """The VAE.

    Args:
      machine: the grammar.
      length: L of decodes, which are complete within it.
      sizes: see :class:`Sizes`.
      compute: type in which products are computed while training; None: float32.
      cut: leave out columns that are empty in a whole batch, and let training put strings of
        like length together. False where batches come cut.
    """
    symbols, categories = machine.tables.allowed.shape[:0:-1]

    def short(function: Callable[[Array], Any], objects: Array) -> Any:
        return cut_columns(function, objects) if cut else function(objects)

    def encode(params: Any, objects: Array) -> tuple[Array, Array]:
        return short(partial(_encode, machine, sizes, compute, params), objects)

    def log_likelihood(params: Any, latents: Array, objects: Array) -> Array:
        return short(partial(_log_likelihood, machine, compute, params, latents), objects)

    return VAE(
        sizes.latent_dim,
        partial(_init, sizes, symbols, categories),
        encode,
        partial(_decode, machine, length),
        log_likelihood,
        lengths=lengths if cut else None,
        prepare=prepare,
    )


def properties(params: Any, latents: Array) -> Array:
    """``[B, P]`` standardised properties that the head reads from latents."""
    return dense(params["head"], latents)


def _init(sizes: Sizes, symbols: int, categories: int, key: Array) -> dict[str, Any]:
    keys, normal = iter(jax.random.split(key, 16)), jax.random.normal
    e, h, d = sizes.embedding, sizes.encoder_units, sizes.latent_dim
    units = sizes.decoder_units
    params = {
        "symbols": normal(next(keys), (symbols, e), jnp.float32) * 0.3,
        "encoder": {
            "forward": init_gru(next(keys), 2 * e, h)._asdict(),
            "backward": init_gru(next(keys), 2 * e, h)._asdict(),
            "pooled": init_dense(next(keys), 2 * h, 2 * h),
            "out": init_dense(next(keys), 4 * h, 2 * d),
        },
        "decoder": {
            "categories": normal(next(keys), (categories, sizes.category), jnp.float32) * 0.3,
            "gru": init_gru(next(keys), 2 * e + sizes.category, units)._asdict(),
            "start": init_dense(next(keys), d, units),
            "gates": init_dense(next(keys), d, 3 * units),
            "narrow": init_dense(next(keys), units, sizes.rank),
            "logits": init_dense(next(keys), sizes.rank, symbols),
        },
    }
    if sizes.properties:
        params["head"] = init_dense(next(keys), d, sizes.properties)
    return params


def _encode(
    machine: Machine, sizes: Sizes, compute: Compute, params: Any, objects: Array
) -> tuple[Array, Array]:
    rows = objects.astype(jnp.int32).T
    n, steps = lengths(objects), len(rows)
    encoder = params["encoder"]
    parents = walk(machine, rows).parent

    def read(direction: str, rows: Array, parents: Array) -> Array:
        gru = GRU(**encoder[direction])
        if "tables" in params:
            by_symbol, by_parent = params["tables"][direction]
            projected = by_symbol[rows] + by_parent[parents]
        else:
            x = jnp.concatenate([params["symbols"][rows], params["symbols"][parents]], -1)
            projected = product(x, gru.input, compute)
        start = jnp.zeros((rows.shape[1], sizes.encoder_units), projected.dtype)
        bias = jnp.broadcast_to(gru.bias, (rows.shape[1], 3 * sizes.encoder_units))
        return states_from(gru, start, projected, bias, compute)

    ahead = read("forward", rows, parents)
    # Backwards from the last symbol, so that neither direction reads padding first.
    back = read("backward", turn(rows, n), turn(parents, n))
    place = jnp.arange(steps, dtype=n.dtype)[:, None]
    used = (place < n[None])[..., None]
    last = (place == jnp.clip(n - 1, 0)[None])[..., None]
    final = [over_steps(jnp.where(last, states, 0.0)) for states in (ahead, back)]
    both = jnp.concatenate([ahead, turn(back, n)], -1)
    both = jax.nn.relu(dense(encoder["pooled"], both, compute))
    read_steps = jnp.maximum(n, 1).astype(both.dtype)
    pooled = over_steps(jnp.where(used, both, 0.0)) / jnp.sqrt(read_steps)[:, None]
    out = dense(encoder["out"], jnp.concatenate([*final, pooled], -1))
    return out[:, : sizes.latent_dim], out[:, sizes.latent_dim :]


def _begin(params: Any, latents: Array) -> tuple[Array, Array, GRU]:
    decoder, latents = params["decoder"], latents.astype(params["symbols"].dtype)
    start = jnp.tanh(dense(decoder["start"], latents))
    gru = GRU(**decoder["gru"])
    return start, dense(decoder["gates"], latents) + gru.bias[None], gru


def _seen(params: Any, before: Array, parent: Array, category: Array) -> Array:
    # Plain indexing: for thousands of symbols its gradient, which adds row by row, takes a CPU a
    # hundredth of the time of a product with one-hot rows.
    table, categories = params["symbols"], params["decoder"]["categories"]
    return jnp.concatenate([table[before], table[parent], categories[category]], -1)


def _logits(params: Any, states: Array, compute: Compute) -> Array:
    decoder = params["decoder"]
    return dense(decoder["logits"], dense(decoder["narrow"], states, compute), compute)


def _log_likelihood(
    machine: Machine, compute: Compute, params: Any, latents: Array, objects: Array
) -> Array:
    state, gates, gru = _begin(params, latents)
    rows = objects.astype(jnp.int32).T
    before = jnp.concatenate([jnp.zeros_like(rows[:1]), rows[:-1]])
    walked = walk(machine, rows)
    x = _seen(params, before, walked.parent, walked.category)
    states = states_from(gru, state, product(x, gru.input, compute), gates, compute)
    logits = jnp.where(masks(machine, walked), _logits(params, states, compute), _FORBIDDEN)
    chosen = jnp.take_along_axis(logits, rows[..., None], -1)[..., 0]
    log_p = chosen - jax.nn.logsumexp(logits, -1)
    # The mask leaves nothing but the end after a complete string, so these steps are certain.
    return jnp.where(walked.category > 0, log_p, 0.0).sum(0)


class _Carry(NamedTuple):
    place: Array
    hidden: Array
    before: Array
    state: machines.State
    out: Array


def _decode(machine: Machine, length: int, params: Any, latents: Array) -> Array:
    hidden, gates, gru = _begin(params, latents)
    batch = latents.shape[0]
    tables = params["tables"] if "tables" in params else prepare(params)["tables"]
    by_symbol, by_parent, by_category = tables["decoder"]

    def step(carry: _Carry, gates: Array) -> _Carry:
        place, hidden, before, state, out = carry
        x = by_symbol[before] + by_parent[state.parents[:, 0]] + by_category[state.stack[:, 0]]
        hidden = advance(gru, hidden, x + gates)
        possible = machines.allowed(machine, state, length - place)
        symbol = likeliest(_logits(params, hidden, None), possible)
        state = machines.advance(machine, state, symbol)
        out = out.at[place].set(symbol.astype(jnp.uint16))
        return _Carry(place + 1, hidden, symbol, state, out)

    carry = _Carry(
        jnp.int32(0),
        hidden,
        jnp.zeros(batch, jnp.int32),
        machines.begin(machine, batch),
        jnp.zeros((length, batch), jnp.uint16),
    )
    together = length if batch < _FEW else min(_TOGETHER, length)
    carry = _run(step, carry, gates, together)
    return (carry if together == length else _rest(step, carry, gates, length)).out.T


_Step = Callable[[_Carry, Array], _Carry]


def _run(step: _Step, carry: _Carry, gates: Array, stop: int) -> _Carry:
    """Steps until all strings are complete, or up to a place."""

    def unfinished(carry: _Carry) -> Array:
        return largest_of_lanes((carry.place < stop) & (carry.state.stack[:, 0] > 0).any())

    return lax.while_loop(unfinished, lambda carry: step(carry, gates), carry)


def _rest(step: _Step, carry: _Carry, gates: Array, length: int) -> _Carry:
    """The strings that are not complete, an eighth of the batch at a time."""
    some = -(-gates.shape[0] // 8)

    def part(carry: _Carry) -> _Carry:
        rows = jnp.argsort(carry.state.stack[:, 0] == 0)[:some]
        state = jax.tree.map(lambda a: a[rows], carry.state)
        chosen = _Carry(
            carry.place, carry.hidden[rows], carry.before[rows], state, carry.out[:, rows]
        )
        done = _run(step, chosen, gates[rows], length)
        stack = carry.state.stack.at[rows].set(done.state.stack)
        # Complete strings fill up a part with too few open ones, and stay as they are.
        kept = jnp.where(chosen.state.stack[:, 0] > 0, done.out, chosen.out)
        out = carry.out.at[:, rows].set(kept)
        return carry._replace(state=carry.state._replace(stack=stack), out=out)

    def unfinished(carry: _Carry) -> Array:
        return largest_of_lanes((carry.state.stack[:, 0] > 0).any())

    return lax.while_loop(unfinished, part, carry)


def prepare(params: Any) -> Any:
    """The parameters with ``tables``: what a symbol, the parent's symbol and the category add to
    the input of each recurrent unit.

    Thousands of molecules then look up what would be a matrix product for each of their symbols.
    """
    table, decoder = params["symbols"], params["decoder"]

    def by_symbol(kernel: Array) -> tuple[Array, Array, Array]:
        own, parent, rest = jnp.split(kernel, [table.shape[1], 2 * table.shape[1]])
        return table @ own, table @ parent, rest

    own, parent, rest = by_symbol(decoder["gru"]["input"])
    directions = {
        name: by_symbol(params["encoder"][name]["input"])[:2] for name in ("forward", "backward")
    }
    return {
        **params,
        "tables": {**directions, "decoder": (own, parent, decoder["categories"] @ rest)},
    }
