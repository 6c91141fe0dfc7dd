"""The training step of the paper's shapes architecture, in operations and bytes.

    python -m benchmarks.speed.step

It states the operations and the traffic of the compiled step by its compiler's count, the time that
each would take at the machine's measured rates, and the rate of the step's convolutions one by
one: they have 1 to 32 channels, where a matrix product has thousands of columns. PyTorch, if it is
installed, runs the same convolutions. Writes benchmarks/results/step.md and .csv.
"""

from typing import Any

import numpy as np

from benchmarks.speed.harness import Row, main, median_seconds

BATCH = 32
LAYERS = [
    (1, 4, 3, 1, 64), (4, 8, 5, 2, 64), (8, 8, 3, 1, 32), (8, 16, 5, 2, 32), (16, 16, 3, 1, 16),
    (16, 16, 5, 2, 16), (16, 16, 3, 1, 8), (32, 32, 3, 1, 8), (64, 64, 3, 1, 32),
    (128, 128, 3, 1, 16),
]  # fmt: skip
"""Channels in and out, kernel, stride, pixels: convolutions of encoder and decoder, and two
wide ones to compare with."""


def section_step() -> list[Row]:
    """The whole step."""
    import jax
    import jax.numpy as jnp
    import optax

    from wrlso.models.elbo import weighted_negative_elbo
    from wrlso.tasks import shapes

    vae = shapes(architecture="paper").vae
    params = vae.init(jax.random.key(0))
    objects = jnp.zeros((BATCH, *jax.eval_shape(vae.decode, params, jnp.zeros((1, 2))).shape[1:]),
                        jnp.uint8)  # fmt: skip
    optimizer = optax.adam(1e-3)
    state = optimizer.init(params)

    def step(params: Any, state: Any) -> Any:
        slope = jax.grad(weighted_negative_elbo, argnums=1)(jax.random.key(0), params, vae, objects)
        updates, state = optimizer.update(slope, state, params)
        return optax.apply_updates(params, updates), state

    compiled = jax.jit(step).lower(params, state).compile()
    cost = compiled.cost_analysis()
    operations, traffic = cost["flops"], cost["bytes accessed"]
    seconds = median_seconds(lambda: jax.block_until_ready(compiled(params, state)), 11)
    square = jnp.ones((2048, 2048), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    peak = 2 * 2048**3 / median_seconds(lambda: jax.block_until_ready(product(square)))
    large = jnp.ones(50_000_000, jnp.float32)
    copy = jax.jit(lambda a: a + 1)
    bandwidth = 2 * large.nbytes / median_seconds(lambda: jax.block_until_ready(copy(large)))
    return [
        ("training step, paper's architecture, batch 32", f"{1e3 * seconds:.1f} ms", "",
         f"{operations / seconds / 1e9:.0f} GFLOP/s"),
        ("its operations, at the rate of products of 2,048 x 2,048 matrices",
         f"{1e3 * operations / peak:.1f} ms", "",
         f"{operations / 1e9:.2f} GFLOP at {peak / 1e9:.0f} GFLOP/s"),
        ("its traffic by the compiler's count, at the rate of a copy of 200 MB",
         f"{1e3 * traffic / bandwidth:.1f} ms", "",
         f"{traffic / 2**20:.0f} MiB at {bandwidth / 1e9:.1f} GB/s; no activation exceeds 4 MiB"),
    ]  # fmt: skip


def section_layers() -> list[Row]:
    """Forward convolutions one by one, in XLA and PyTorch."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    rows: list[Row] = []
    for c_in, c_out, size, stride, pixels in LAYERS:
        x = jnp.ones((BATCH, pixels, pixels, c_in), jnp.float32)
        kernel = jnp.ones((size, size, c_in, c_out), jnp.float32)
        conv = jax.jit(
            lambda x, k, s=stride: lax.conv_general_dilated(
                x, k, (s, s), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
            )
        )
        operations = 2 * BATCH * (pixels // stride) ** 2 * c_out * size * size * c_in
        ours = median_seconds(lambda f=conv, x=x, k=kernel: jax.block_until_ready(f(x, k)), 11)
        theirs = _torch_seconds(np.asarray(x), np.asarray(kernel), stride)
        peer = "" if theirs is None else f"PyTorch {operations / theirs / 1e9:.0f} GFLOP/s"
        rows.append(
            (
                f"convolution {size} x {size}, {c_in} to {c_out} channels, {pixels} x {pixels}, "
                f"stride {stride}",
                f"{operations / ours / 1e9:.0f} GFLOP/s",
                "",
                f"{1e3 * ours:.2f} ms, {operations / 1e9:.3f} GFLOP; {peer}",
            )
        )
    return rows


def _torch_seconds(x: np.ndarray, kernel: np.ndarray, stride: int) -> float | None:
    try:
        import torch
    except ImportError:
        return None
    images = torch.from_numpy(np.moveaxis(x, -1, 1).copy())
    weights = torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy())
    padding = kernel.shape[0] // 2

    def call() -> None:
        with torch.no_grad():
            torch.nn.functional.conv2d(images, weights, stride=stride, padding=padding)

    return median_seconds(call, 11)


SECTIONS = {"step": section_step, "layers": section_layers}

if __name__ == "__main__":
    main("benchmarks.speed.step", "step", "A training step, in operations and bytes", __doc__,
         SECTIONS)  # fmt: skip
