"""The models of a run at its stages: as pretrained, and after rounds whose state is kept."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from wrlso.data import Dataset
from wrlso.models.sampling import prng_key
from wrlso.models.vae import VAE, decode_all
from wrlso.results.record import load_state
from wrlso.runs.folder import RunFolder
from wrlso.runs.pretrained import pretrained_params
from wrlso.tasks.base import Task

Stages = Mapping[str, Sequence[Any]]
"""The parameters of every seed's model, by the name of a stage, from the first to the last."""


def stages_of(folder: RunFolder, task: Task, base: Dataset) -> Stages:
    """The models as pretrained, after the first retraining, in the middle, and at the end.

    A run under way has those that it has reached.
    """
    done = folder.checkpoints()
    seeds = folder.config.seeds
    stages = {"pretrained": [pretrained_params(task, base)] * seeds}
    if not done:
        return stages
    names = {done[0]: "after the first retraining", done[-1]: f"after {done[-1]} retrainings"}
    if len(done) > 2:
        names[done[len(done) // 2]] = f"after {done[len(done) // 2]} retrainings"
    for number in sorted(names):
        state = load_state(folder, number, task, base)
        stages[names[number]] = [lane(state, i).params for i in range(seeds)]
    return stages


def lane(tree: Any, i: int) -> Any:
    """The part of a seed in arrays with a leading axis of seeds."""
    return jax.tree.map(lambda a: a[i], tree)


def prior_scores(
    task: Task, score: Callable[[Any], Any], stages: Stages, count: int
) -> dict[str, np.ndarray]:
    """The scores of ``count`` samples of each seed's prior at each stage, without failures.

    The same latents are decoded at each stage. No method sees these scores.
    """

    sample = _sampler(task.vae, count)

    def scores(models: Sequence[Any]) -> np.ndarray:
        same = len({id(params) for params in models}) == 1  # as pretrained: one model of all seeds
        kept = models[:1] if same else models
        found = np.concatenate([np.asarray(score(sample(params)), float) for params in kept])
        return found[np.isfinite(found)]

    return {name: scores(models) for name, models in stages.items()}


@lru_cache(4)
def _sampler(vae: VAE, count: int) -> Callable[[Any], jax.Array]:
    """A compiled function from parameters to decoded samples of the prior."""

    @jax.jit
    def sample(params: Any) -> jax.Array:
        latents = jax.random.normal(prng_key(0), (count, vae.latent_dim))
        return decode_all(vae, params, latents)

    return sample
