"""The pictures of the README: how it works and what it pays, and one example of each task.

    python -m benchmarks.pictures --shapes RUN --molecules RUN

The curves and the expression are those of benchmarks/results. The image is the best of a run of
shapes, as ``make run`` makes it; the molecules are those of notebooks/5_molecules.ipynb, whose run
is in notebooks/runs/brain. Without both runs the picture of the tasks is left as it is.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

import wrlso
from wrlso.results.figures import canvas, plot_curves
from wrlso.results.figures.labels import label_end, spread
from wrlso.results.style import GREY, PALETTE
from wrlso.results.summary import best_so_far

RESULTS = Path(__file__).parent / "results"
PICTURES = Path(__file__).parents[1] / "docs" / "pictures"
WEIGHTED, LSO = "1", "10"
"""Numbers of the rows of shapes-bo-queries.csv."""

_STEPS = (
    ("data", "objects and scores"),
    ("model", "a VAE: a continuous\nlatent space"),
    ("propose", "a surrogate picks\nlatents to decode"),
    ("score", "the expensive\nblack box"),
)


def main() -> None:
    """Draw all pictures whose material is there."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--shapes", type=Path, help="folder of a run of shapes")
    parser.add_argument("--molecules", type=Path, help="folder of the run of the notebook")
    options = parser.parse_args()
    with rc_context(canvas.STYLE):
        _save(overview(), "overview.svg")
        if options.shapes and options.molecules:
            _save(tasks(options.shapes, options.molecules), "tasks.png")


def curves_of(entry: str) -> list[np.ndarray]:
    """The best so far of each seed of a row of shapes-bo-queries.csv."""
    scores: dict[str, list[float]] = {}
    with (RESULTS / "shapes-bo-queries.csv").open() as file:
        for row in csv.DictReader(file):
            if row["entry"] == entry:
                scores.setdefault(row["seed"], []).append(float(row["score"] or "nan"))
    return [best_so_far(np.array(one)) for one in scores.values()]


def overview() -> Figure:
    """The loop, and the curves with and without weighted retraining on shapes."""
    figure = Figure(figsize=(9.2, 2.9), layout="constrained")
    loop, axis = figure.subplots(1, 2, width_ratios=(1.45, 1))
    _draw_loop(loop)
    for entry, name in ((WEIGHTED, "weighted retraining"), (LSO, "no retraining (LSO)")):
        found = curves_of(entry)
        end = np.mean([curve[-1] for curve in found])
        plot_curves(axis, found, f"{name}\n{end:.0f}", each_seed=False)
    axis.axhline(400, color=GREY, ls=(0, (1, 1.5)), lw=1)
    label_end(axis, 400, "best of the data\n400", GREY)
    axis.set(xlabel="evaluations", ylabel="set pixels, best so far", xlim=(0, 500))
    axis.set_title("Shapes, mean ± s.d. of five seeds", loc="left")
    spread(axis)
    return figure


def _draw_loop(axis: Axes) -> None:
    axis.set(xlim=(0, 4), ylim=(0, 2))
    axis.set_axis_off()
    for place, (name, words) in enumerate(_STEPS):
        box = FancyBboxPatch(
            (place + 0.08, 0.95), 0.74, 0.5, boxstyle="round,pad=0.04", fc="#eef4f9",
            ec=PALETTE[0], lw=1,
        )  # fmt: skip
        axis.add_patch(box)
        axis.text(place + 0.45, 1.2, name, ha="center", va="center", fontsize=11, weight="bold")
        axis.text(place + 0.45, 0.86, words, ha="center", va="top", fontsize=6.8)
        if place:
            _arrow(axis, (place - 0.13, 1.2), (place + 0.03, 1.2))
    _arrow(axis, (3.45, 1.5), (0.45, 1.5), "arc3,rad=0.16")
    axis.text(1.95, 1.86, "new scores", ha="center", va="center", fontsize=7.5)
    _arrow(axis, (0.45, 0.66), (1.45, 0.55), "arc3,rad=0.35", PALETTE[1])
    axis.text(
        1.15, 0.16, "retrain now and then, the best data weigh most:\nthe latent space bends "
        "towards good objects", ha="left", va="center", fontsize=7.5, color=PALETTE[1],
    )  # fmt: skip


def _arrow(
    axis: Axes, start: Sequence[float], end: Sequence[float], bend: str = "arc3", color: str = GREY
) -> None:
    arrow = FancyArrowPatch(
        (start[0], start[1]), (end[0], end[1]), arrowstyle="-|>", mutation_scale=9,
        connectionstyle=bend, color=color, lw=1.1, shrinkA=0, shrinkB=0,
    )  # fmt: skip
    axis.add_patch(arrow)


def tasks(shapes: Path, molecules: Path) -> Figure:
    """An example of each task: what it begins with or aims at, and what was found."""
    figure = Figure(figsize=(9.2, 2.3), layout="constrained")
    first, second, third = figure.subfigures(1, 3, width_ratios=(1, 1.15, 1.35))
    _shapes(first, wrlso.Result(shapes))
    _expression(second.subplots())
    second.suptitle("Expressions: close to a target", fontsize=9)
    _molecules(third, wrlso.Result(molecules))
    return figure


def _shapes(part: Figure, result: wrlso.Result) -> None:
    task = wrlso.tasks.shapes()
    data = task.load_data()
    assert task.to_images is not None
    start = np.asarray(data.objects)[[int(np.argmax(data.scores))]]
    found = result.best_objects(1)[0]
    like = np.frombuffer(found.object, start.dtype).reshape(start.shape)
    images = task.to_images(np.concatenate([start, like]))
    names = (f"data: {data.scores.max():.0f}", f"found: {found.score:.0f}")
    for axis, image, name in zip(part.subplots(1, 2), images, names, strict=True):
        axis.imshow(image, cmap="gray")
        axis.set(xticks=[], yticks=[], title=name)
    part.suptitle("Shapes: set pixels", fontsize=9)


def _expression(axis: Axes) -> None:
    with (RESULTS / "paper-expressions-seeds.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["entry"] == "1"]
    best = max(rows, key=lambda row: float(row["top1_at_end"]))["best_object"]
    x = np.linspace(-6, 6, 600)
    names = {"__builtins__": {}, "x": x, "sin": np.sin, "exp": np.exp}
    axis.plot(x, 1 / 3 + x + np.sin(x * x), color="black", lw=1, label="target")
    axis.plot(
        x, eval(best, names), "--", color=PALETTE[0], lw=1, label=f"found: {best.replace(' ', '')}"
    )
    axis.set(xlabel="x", ylim=(-8, 13))
    axis.legend(frameon=False, fontsize=6.5, loc="upper left")


def _molecules(part: Figure, result: wrlso.Result) -> None:
    from rdkit import Chem
    from rdkit.Chem import Draw

    start, found = result.summary["starting"], result.best_objects(1)[0]
    shown = [
        (start["best_object"], f"in the file: {start['best']:.2f}"),
        (found.text, f"found: {found.score:.2f}"),
    ]
    for axis, (smiles, name) in zip(part.subplots(1, 2), shown, strict=True):
        axis.imshow(Draw.MolToImage(Chem.MolFromSmiles(smiles), (520, 420)))
        axis.set(xticks=[], yticks=[], title=name)
        for spine in axis.spines.values():
            spine.set_visible(False)
    part.suptitle("Molecules: a drug-like objective", fontsize=9)


def _save(figure: Figure, name: str) -> None:
    PICTURES.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if name.endswith("svg") else {}
    figure.savefig(PICTURES / name, dpi=130, metadata=metadata)
    print(PICTURES / name)


if __name__ == "__main__":
    main()
