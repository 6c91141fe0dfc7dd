"""Lifts functions of one seed to many seeds.

``shard_map`` distributes the seeds over devices; ``map`` or ``vmap`` runs the seeds of one device.
A seed's position in this batch is its lane. On a CPU, ``vmap`` turns the convolutions and matrix
products of a seed into batched ones, which run several times slower than one seed after the other,
so ``map`` is the default there. An accelerator needs ``vmap`` to be busy.
"""

import contextlib
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from wrlso.scores.checks import check_whole

SeedMode = Literal["auto", "map", "vmap"]

_AXIS = "seed"


@dataclass(frozen=True)
class SeedPlan:
    """A distribution of seeds over devices.

    Attributes:
      seeds: number of seeds S.
      mesh: the devices, along one axis ``"seed"``.
      mode: ``"map"`` or ``"vmap"``, the transformation that runs the seeds of one device.
    """

    seeds: int
    mesh: Mesh
    mode: SeedMode

    @property
    def lanes(self) -> int:
        """Number of lanes: the number of seeds, rounded up to a multiple of the devices.

        The lanes beyond S have zeros as results. They do no work under ``"map"``; under ``"vmap"``
        they compute along with the others.
        """
        devices = self.mesh.size
        return math.ceil(self.seeds / devices) * devices


def plan_seeds(
    seeds: int, devices: int | None = None, mode: SeedMode = "auto", local: bool = False
) -> SeedPlan:
    """Distribute seeds over devices.

    Args:
      seeds: number of seeds, at least 1.
      devices: number of JAX's devices to use. Default: all, but at most the number of seeds.
      mode: ``"auto"`` is ``"map"`` on a CPU and ``"vmap"`` elsewhere.
      local: use devices of this process only, under ``jax.distributed``.

    Raises:
      ValueError: if seeds or devices are out of range.
    """
    check_whole("seeds", seeds, 1)
    available = jax.local_devices() if local else jax.devices()
    count = min(len(available), seeds) if devices is None else devices
    check_whole("devices", count, 0)
    if not 1 <= count <= len(available):
        raise ValueError(
            f"devices must be between 1 and {len(available)}, the number of JAX's devices, got "
            f"{count}; request more virtual CPU devices before JAX starts"
        )
    if mode not in ("auto", "map", "vmap"):
        raise ValueError(f"seed mode must be auto, map or vmap, got {mode!r}")
    if mode == "auto":
        mode = "map" if available[0].platform == "cpu" else "vmap"
    mesh = jax.make_mesh((count,), (_AXIS,), axis_types=(AxisType.Auto,), devices=available[:count])
    return SeedPlan(seeds, mesh, mode)


def request_cpu_devices(seeds: int, devices: int | None = None) -> None:
    """Request virtual CPU devices: one per core, but at most one per seed.

    Call it before JAX starts; it has no effect afterwards. It has no effect on accelerators either,
    as the flag concerns the CPU backend only.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(RuntimeError):  # JAX has started, so its devices are fixed
        jax.config.update("jax_num_cpu_devices", devices or max(1, min(cores or 1, seeds)))


_QUICKLY: dict[str, str | bool] = {
    "xla_gpu_autotune_level": "0",
    "xla_gpu_enable_triton_gemm": False,
}


def compiler_options() -> dict[str, str | bool]:
    """XLA's options for programs of a whole round or training; those in XLA_FLAGS are kept.

    On a GPU, XLA by default tries several kernels for each product of a program. A round has
    hundreds of small ones: on an H100 with 16 cores beside it the trials took minutes. Without
    them a program compiles in 20 seconds.
    """
    if jax.default_backend() != "gpu":
        return {}
    chosen = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in _QUICKLY.items() if name not in chosen}


def over_seeds(function: Callable[..., Any], plan: SeedPlan) -> Callable[..., Any]:
    """Lift ``function(lane, shared) -> out`` from one seed to all seeds.

    Args:
      function: a pure function; ``lane`` is the pytree of one seed, ``shared`` the pytree that all
        seeds read.
      plan: from :func:`plan_seeds`.

    Returns:
      A function of ``(lanes, shared)`` for ``jax.jit``. Every array of ``lanes`` and of the result
      has a leading axis ``[plan.lanes]``; the arrays of ``shared`` do not. The rows beyond
      ``plan.seeds`` are zeros.
    """

    on_lane = _unless_idle(function, plan)

    def on_device(active: Any, lanes: Any, shared: Any) -> Any:
        def one(args: tuple[Any, Any]) -> Any:
            return on_lane(*args, shared)

        return (jax.vmap if plan.mode == "vmap" else _map)(one)((active, lanes))

    return _on_devices(on_device, plan)


def over_seeds_in_place(function: Callable[..., Any], plan: SeedPlan) -> Callable[..., Any]:
    """As :func:`over_seeds`, for ``function((changing, rest), shared) -> (changing, more)``.

    Where ``jit`` donates ``changing``, its lanes are written over one after the other. A program
    that reads all and returns all would hold both.
    """
    if plan.mode == "vmap":
        return over_seeds(function, plan)
    on_lane = _unless_idle(function, plan)

    def on_device(active: Any, lanes: tuple[Any, Any], shared: Any) -> Any:
        def one(changing: Any, lane: tuple[Any, Any, Any]) -> tuple[Any, Any]:
            i, is_active, rest = lane
            own = jax.tree.map(lambda a: lax.dynamic_index_in_dim(a, i, keepdims=False), changing)
            new, more = on_lane(is_active, (own, rest), shared)
            write = partial(lax.dynamic_update_index_in_dim, index=i, axis=0)
            return jax.tree.map(write, changing, new), more

        changing, rest = lanes
        return lax.scan(one, changing, (jnp.arange(len(active)), active, rest))

    return _on_devices(on_device, plan)


def _map(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return partial(lax.map, function)


def _unless_idle(function: Callable[..., Any], plan: SeedPlan) -> Callable[..., Any]:
    """``(is_active, lane, shared) -> out``, zeros for an idle lane."""
    traced = jax.jit(function)  # several calls share one trace

    def on_lane(is_active: Any, lane: Any, shared: Any) -> Any:
        if plan.lanes == plan.seeds:
            return traced(lane, shared)
        out = jax.eval_shape(traced, lane, shared)
        idle = lambda _: jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), out)  # noqa: E731
        return lax.cond(is_active, lambda x: traced(x, shared), idle, lane)

    return on_lane


def _on_devices(on_device: Callable[..., Any], plan: SeedPlan) -> Callable[..., Any]:
    sharded = jax.shard_map(
        on_device,
        mesh=plan.mesh,
        in_specs=(PartitionSpec(_AXIS), PartitionSpec(_AXIS), PartitionSpec()),
        out_specs=PartitionSpec(_AXIS),
        check_vma=False,
    )
    active = np.arange(plan.lanes) < plan.seeds

    def call(lanes: Any, shared: Any) -> Any:
        for leaf in jax.tree.leaves(lanes):
            if np.shape(leaf)[:1] != (plan.lanes,):
                raise ValueError(
                    f"every array of lanes must have a leading axis of plan.lanes = {plan.lanes} "
                    f"(plan.seeds = {plan.seeds}), got shape {list(np.shape(leaf))}: fill the rows "
                    "beyond the seeds up, as with copies of the first"
                )
        return sharded(active, lanes, shared)

    return call


@jax.custom_batching.custom_vmap
def largest_of_lanes(value: jax.Array) -> jax.Array:
    """A number or boolean; under ``vmap`` the largest of all lanes, for each of them.

    ``vmap`` keeps a branch that is chosen by this number. Where each lane has a number of its own,
    ``vmap`` computes every branch and selects, and a loop selects all that it carries at each step.
    """
    return value


@largest_of_lanes.def_vmap
def _(axis_size: int, in_batched: list[bool], value: jax.Array) -> tuple[jax.Array, bool]:
    return largest_of_lanes(value.max(0) if in_batched[0] else value), False


def cond_over_lanes(needed: jax.Array, costly: Callable[[], Any], cheap: Callable[[], Any]) -> Any:
    """``lax.cond`` that ``vmap`` keeps: ``costly`` is computed if any lane needs it.

    Each lane gets the result of its own branch. ``vmap`` of ``lax.cond`` computes both for all
    lanes, and copies all that they read for each, such as the base data.

    Args:
      needed: boolean ``[]``.
      costly, cheap: functions without arguments that return pytrees of equal shapes and types.
    """

    def computed() -> Any:
        select = lambda new, old: jnp.where(needed, new, old)  # noqa: E731
        return jax.tree.map(select, costly(), cheap())

    return lax.cond(largest_of_lanes(needed), computed, cheap)


def spread(plan: SeedPlan, lanes: Any) -> Any:
    """Distribute a pytree with leading axes ``[plan.lanes]`` over the plan's devices."""
    return jax.device_put(lanes, NamedSharding(plan.mesh, PartitionSpec(_AXIS)))


def replicate(plan: SeedPlan, shared: Any) -> Any:
    """Copy a pytree to every device of the plan, one copy per device."""
    return jax.device_put(shared, NamedSharding(plan.mesh, PartitionSpec()))


def broadcast(plan: SeedPlan, tree: Any) -> Any:
    """Repeat a pytree for every lane, ``[...] -> [plan.lanes, ...]``, and distribute the lanes.

    It goes by the host, without copies there: each array would otherwise need programs of its own.
    """

    def repeat(a: Any) -> Any:
        on_host = a if jnp.issubdtype(jnp.result_type(a), jax.dtypes.extended) else np.asarray(a)
        module: Any = np if isinstance(on_host, np.ndarray) else jnp
        return module.broadcast_to(on_host, (plan.lanes, *on_host.shape))

    return spread(plan, jax.tree.map(repeat, tree))
