"""The options of ``wrlso run TASK``, a dataclass a task."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

from wrlso.parallel import SeedMode


@dataclass(frozen=True)
class RunOptions:
    """Options that every task shares."""

    out: Path
    """Folder for the run: configuration, queries.sqlite, checkpoints, summary.json, figures.
    Must not exist yet, or be empty."""
    method: str = "weighted_retraining"
    """Name of the method; 'wrlso methods' lists them."""
    budget: int = 500
    """Objective evaluations charged to each seed."""
    retrain_every: int | None = None
    """r: charged queries between two retrainings. Default: the method's (50 where it retrains)."""
    k: float | None = None
    """Rank weighting: small k favours the best data, 'inf' weighs all alike. Default: the
    method's (1e-3 where it weights)."""
    quantile: float | None = None
    """For dbas, cem_pi, fb_vae: the quantile of scores that is the threshold. Default: 0.95."""
    noise: float | None = None
    """For dbas: standard deviation of the noise, in units of the score. Default: 0.1."""
    alpha: float | None = None
    """For rwr: factor of the score in the exponent. Default: 1."""
    epochs: float | None = None
    """Passes over the data at every retraining. Default: the task's (such as 1 at the first and
    0.1 at each later one)."""
    beta: float | None = None
    """Factor of the KL at every retraining: a larger one brings the prior nearer to the best data,
    and reconstructs less. Default: the task's."""
    seeds: int = 5
    """Number of independent runs, side by side."""
    first_seed: int = 0
    """The seeds are first_seed, first_seed + 1, ..."""
    proposer: str | None = None
    """How latent points are chosen: 'bo' (Bayesian optimisation; reads nothing but charged
    scores), 'grid' (the paper's for shapes; reads the objective 2,500 times a round without
    charging it), 'prior' (samples), or one that follows gradients: 'latent_ascent',
    'data_ascent', 'generator'. Default: the task's."""
    batch: int | None = None
    """q: queries that proposer 'bo' chooses together, by fantasies. Default: one by one."""
    climb: Literal["regressor", "objective"] | None = None
    """What the gradient proposers climb: a regressor learned from charged scores (default), or
    the objective itself, whose evaluations are then counted as uncharged."""
    devices: int | None = None
    """Devices to spread seeds over. On a CPU these are virtual, one a core by default."""
    seed_mode: SeedMode = "auto"
    """Seeds within a device: one after the other (map) or batched (vmap). auto: map on a
    CPU, vmap on an accelerator."""
    figures: bool = True
    """Draw figures at the end (needs the extra 'plots')."""
    progress: bool = True
    """Show progress bars."""

    def task_options(self) -> Mapping[str, Any]:
        """Arguments of the task's factory: what a task adds to the common options."""
        common = {option.name for option in fields(RunOptions)}
        return {name: value for name, value in asdict(self).items() if name not in common}


@dataclass(frozen=True)
class Shapes(RunOptions):
    """2D shapes: maximise the number of set pixels of a 64 x 64 image."""

    architecture: Literal["coordinate", "paper"] = "coordinate"
    """The model: 'coordinate' (default) or 'paper', the original's, several times slower."""
    pretrain_seed: int = 0
    """Seed of the pretraining; each is trained once and cached."""
    pretrain_epochs: int = 20
    """Passes over the data in pretraining; the protocol's is 20."""


@dataclass(frozen=True)
class Expressions(RunOptions):
    """Arithmetic expressions: find one that is close to a target, by -log(1 + MSE)."""

    target: str = "1 / 3 + x + sin(x * x)"
    """The expression to be found: of x, 1, 2, 3, + * /, sin, exp and parentheses."""
    data: str | None = None
    """A file of expressions, one a line, plain or gzipped; the runs begin with a draw from its
    worse half. Default: 20,000 expressions sampled from the grammar."""
    rows: int = 5000
    """Size of that draw."""
    architecture: Literal["feedback", "paper"] = "feedback"
    """The model: 'feedback' (default) or 'paper', the grammar VAE of 2017."""
    decoding: Literal["argmax", "majority"] = "argmax"
    """Decode to the most likely production at each step, or to the most frequent of 5
    samples, as the paper did."""
    distinct: Literal["values", "spelling"] = "values"
    """Which expressions are different: those with other values (x + 1 is 1 + x, and is not
    asked for again), or those with another spelling, as in the paper."""
    pretrain_seed: int = 0
    """Seed of the pretraining; each is trained once and cached."""
    pretrain_epochs: int = 50
    """Passes over the data in pretraining; the protocol's is 50."""


@dataclass(frozen=True)
class Molecules(RunOptions):
    """Molecules: find one of high score, such as penalised logP."""

    objective: str = "penalized_logp"
    """penalized_logp, qed, or a GuacaMol task: median_1, median_2, osimertinib, fexofenadine,
    ranolazine, perindopril, amlodipine, sitagliptin, zaleplon, valsartan, deco_hop,
    scaffold_hop."""
    command: str | None = None
    """Instead: a program that gets a SMILES and prints its score, such as 'python dock.py'."""
    feed: Literal["argument", "stdin", "lines"] = "argument"
    """How the program gets a SMILES: as an argument (in place of {}, or the last), as a line on
    its standard input, or line after line, started once."""
    data: str | None = None
    """A file of molecules: a SMILES on each line, or a CSV file with a column 'smiles'; plain or
    gzipped. Default: 10,000 samples of the model's prior."""
    column: str = "smiles"
    """The column of a CSV file that holds the SMILES."""
    score_column: str | None = None
    """The column that holds scores, in units of the objective. Default: the molecules of the file
    are scored at first use, and the scores are kept."""
    model: str | None = None
    """A file of 'wrlso train molecules'. Default: the model that comes with wrlso."""
    max_tokens: int = 80
    """SELFIES tokens of a molecule, at most 300; at least the model's largest symbol (12 for the
    model that comes with wrlso)."""
    max_heavy_atoms: int | None = 38
    """Atoms other than hydrogen, at most; larger molecules fail. 38 is ZINC250k's largest."""
    penalty: float | Literal["lowest"] | None = None
    """The score that the surrogate takes a failure for: a number, or 'lowest', the lowest that it
    knows. Default: -4 for penalised logP, 0 for QED and GuacaMol, else 'lowest'."""
    half_products: bool = False
    """Multiply in bfloat16 while the model is retrained and molecules are encoded: faster where
    the processor has such products (AVX512-BF16, AMX), slower elsewhere."""
    timeout: float = 60.0
    """Seconds for one molecule; then it has failed."""
    workers: int | None = None
    """Processes that score molecules. Default: one a core."""


RUN_OPTIONS: dict[str, type[RunOptions]] = {
    "shapes": Shapes,
    "expressions": Expressions,
    "molecules": Molecules,
}
"""The options of ``wrlso run TASK``, by task."""
