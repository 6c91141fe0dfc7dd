"""One seed to many: devices by ``shard_map``, lanes within a device by ``map`` or ``vmap``.

On a CPU, ``vmap`` turns a seed's convolutions and matrix products into batched
ones that run several times slower than one seed after the other, so seeds are
mapped; an accelerator is filled by ``vmap``. Either way the functions are the
same, written for one seed.
"""

import contextlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

SeedMode = Literal["auto", "map", "vmap"]

_AXIS = "seed"


@dataclass(frozen=True)
class SeedPlan:
    """How seeds are spread: over the devices of ``mesh``, and as ``mode`` within one.

    Attributes:
      seeds: number of seeds S.
      mesh: one axis, ``"seed"``.
      mode: ``"map"`` or ``"vmap"``.
    """

    seeds: int
    mesh: Mesh
    mode: SeedMode

    @property
    def lanes(self) -> int:
        """Seeds, rounded up to a multiple of the devices. Mapped, the lanes beyond S do no
        work; batched, they run along. Either way their results are zeros."""
        devices = self.mesh.size
        return math.ceil(self.seeds / devices) * devices


def plan_seeds(seeds: int, devices: int | None = None, mode: SeedMode = "auto") -> SeedPlan:
    """Spread seeds over devices.

    Args:
      seeds: how many, at least one.
      devices: how many of JAX's devices to use; by default all of them, but no
        more than there are seeds.
      mode: ``"auto"`` is ``"map"`` on a CPU and ``"vmap"`` elsewhere.

    Raises:
      ValueError: if seeds or devices are out of range.
    """
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    available = jax.devices()
    wanted = min(len(available), seeds) if devices is None else devices
    if not 1 <= wanted <= len(available):
        raise ValueError(
            f"devices must be between 1 and {len(available)} (what JAX sees), got {wanted}; "
            "more virtual CPU devices have to be asked for before JAX starts"
        )
    if mode not in ("auto", "map", "vmap"):
        raise ValueError(f"seed mode must be auto, map or vmap, got {mode!r}")
    if mode == "auto":
        mode = "map" if available[0].platform == "cpu" else "vmap"
    mesh = jax.make_mesh(
        (wanted,), (_AXIS,), axis_types=(AxisType.Auto,), devices=available[:wanted]
    )
    return SeedPlan(seeds, mesh, mode)


def request_cpu_devices(seeds: int, devices: int | None = None) -> None:
    """Ask for virtual CPU devices, one a core but no more than seeds. Call before JAX starts.

    Does nothing where JAX has started already, or an accelerator is in use:
    the flag only concerns the CPU backend.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(RuntimeError):  # JAX has started: use the devices there are
        jax.config.update("jax_num_cpu_devices", devices or max(1, min(cores or 1, seeds)))


def over_seeds(function: Callable[..., Any], plan: SeedPlan) -> Callable[..., Any]:
    """Lift ``function(lane, shared) -> out`` from one seed to all of them.

    Args:
      function: pure; ``lane`` is a seed's own pytree, ``shared`` what all read.
      plan: from :func:`plan_seeds`.

    Returns:
      A function of ``(lanes, shared)`` to be jitted, where every array of
      ``lanes`` and of the result has a leading axis of ``plan.lanes`` and the
      arrays of ``shared`` have none. The rows beyond ``plan.seeds`` are zeros.
    """

    traced = jax.jit(function)  # traced once, however often it is called

    def device(active: Any, lanes: Any, shared: Any) -> Any:
        def one(is_active: Any, lane: Any) -> Any:
            if plan.lanes == plan.seeds:
                return traced(lane, shared)
            out = jax.eval_shape(traced, lane, shared)
            idle = lambda _: jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), out)  # noqa: E731
            return lax.cond(is_active, lambda x: traced(x, shared), idle, lane)

        if plan.mode == "vmap":
            return jax.vmap(one)(active, lanes)
        return lax.map(lambda args: one(*args), (active, lanes))

    sharded = jax.shard_map(
        device,
        mesh=plan.mesh,
        in_specs=(PartitionSpec(_AXIS), PartitionSpec(_AXIS), PartitionSpec()),
        out_specs=PartitionSpec(_AXIS),
        check_vma=False,
    )
    active = np.arange(plan.lanes) < plan.seeds
    return lambda lanes, shared: sharded(active, lanes, shared)


def spread(plan: SeedPlan, lanes: Any) -> Any:
    """Put a pytree with a leading axis of ``plan.lanes`` on the plan's devices."""
    return jax.device_put(lanes, NamedSharding(plan.mesh, PartitionSpec(_AXIS)))


def replicate(plan: SeedPlan, shared: Any) -> Any:
    """Put a pytree on every device of the plan: one copy a device, however many seeds."""
    return jax.device_put(shared, NamedSharding(plan.mesh, PartitionSpec()))


def broadcast(plan: SeedPlan, tree: Any) -> Any:
    """The same pytree for every lane: ``[...] -> [plan.lanes, ...]``, spread."""
    return spread(
        plan, jax.tree.map(lambda a: jnp.broadcast_to(a, (plan.lanes, *jnp.shape(a))), tree)
    )
