"""Training step, encoding and decoding of the model of molecules, in float32 and bfloat16."""

from collections.abc import Iterator
from typing import Any

import jax
import optax

from benchmarks.accelerator.measure import Program, Row
from wrlso.models.elbo import weighted_negative_elbo
from wrlso.models.sequences import lengths
from wrlso.models.vae import VAE
from wrlso.tasks.molecule.model import load_model
from wrlso.tasks.molecule.task import SHIPPED


def molecules(small: bool) -> Iterator[Program]:
    """On decodes of the prior, most of which are molecules of ordinary size."""
    model = load_model(SHIPPED)
    optimizer = optax.adam(1e-3)
    state = optimizer.init(model.params)
    for batch in (2,) if small else (256, 2048):
        latents = jax.random.normal(jax.random.key(0), (batch, model.vae().latent_dim))
        row = Row("molecules", "decode", f"{batch} molecules, float32", per=batch)
        yield Program(row, model.vae().decode, (model.params, latents))
        objects = jax.jit(model.vae().decode)(model.params, latents)
        # Without columns that are empty, which the model would leave out.
        objects = objects[:, : int(lengths(objects).max()) + 1]
        for half in (False, True):
            vae, name = model.vae(half), "bfloat16 products" if half else "float32"
            programs = {
                "encode": (vae.encode, (model.params, objects)),
                "training step": (_training_step(vae, optimizer), (model.params, state, objects)),
            }
            for what, (function, arguments) in programs.items():
                if small and half != (what == "training step"):
                    continue  # each function once
                row = Row("molecules", what, f"{batch} molecules, {name}", per=batch)
                yield Program(row, function, arguments, half)


def _training_step(vae: VAE, optimizer: optax.GradientTransformation) -> Any:
    """``step(params, state, objects)``: one step of the unweighted negative ELBO."""

    def step(params: Any, state: Any, objects: Any) -> Any:
        slope = jax.grad(weighted_negative_elbo, argnums=1)(jax.random.key(0), params, vae, objects)
        updates, state = optimizer.update(slope, state, params)
        return optax.apply_updates(params, updates), state

    return step
