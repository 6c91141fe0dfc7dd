"""The charts of one run in a report: latent map, scores by round, training, prior samples."""

from collections.abc import Mapping, Sequence
from dataclasses import fields

import numpy as np
from bokeh.models import ColorBar, ColumnDataSource, HoverTool, Range1d
from bokeh.models.plots import Plot
from bokeh.plotting import figure
from bokeh.transform import linear_cmap

from wrlso.results.plane import plane
from wrlso.results.report.charts import OBJECT, columns, finish, plot, rounds_ticker
from wrlso.results.report.objects import Cells, key_of
from wrlso.results.report.view import RunView
from wrlso.results.statistics import Calibration, calibration
from wrlso.results.style import GREY, PALETTE, color_of
from wrlso.runs.log import Query, Round, latent_of
from wrlso.status import Status

_MARKERS = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex", "star")


def latent_map(view: RunView, cells: Cells, label: str) -> tuple[Plot, str] | None:
    """The charged queries in latent space, coloured by score, and the words for its axes.

    Latents of more than two dimensions are projected on their first two principal components.
    Returns None if there is no charged query.
    """
    rows = _numbered(view)
    if not rows:
        return None
    points, (x, y), words = plane(np.stack([latent_of(query) for query, _ in rows]))
    made = plot(520, x, y, match_aspect=True)
    data = {**columns(rows, cells), "x": points[:, 0], "y": points[:, 1]}
    scores = np.asarray(data["score"], float)
    scored = np.isfinite(scores)
    if scored.any():
        _scored_points(made, data, scored, label, view.config.sign)
    measured = np.array([query.status == Status.PENDING for query, _ in rows])
    for kept, marker, legend in (
        (~scored & ~measured, "x", "failed"),
        (measured, "circle", "being measured"),
    ):
        if kept.any():
            made.scatter(
                "x", "y", source=ColumnDataSource(_rows(data, kept)), marker=marker, size=7,
                line_color=GREY, fill_color=None, legend_label=legend,
            )  # fmt: skip
    made.add_tools(HoverTool(tooltips=OBJECT, name="object"))
    return finish(made), words


def _scored_points(
    made: figure, data: Mapping[str, object], scored: np.ndarray, label: str, sign: float
) -> None:
    """One renderer per seed, so that the legend can hide each; the best of each is drawn last.

    The worst 2% share a colour. ``sign`` is -1 if lower scores are better.
    """
    scores = np.asarray(data["score"], float)
    low, high = np.quantile(scores[scored], [0.02, 1.0] if sign > 0 else [0.0, 0.98])
    mapper = linear_cmap("score", "Viridis256", float(low), float(max(high, low + 1e-9)))
    seeds = np.asarray(data["seed"])
    order = np.argsort(np.where(scored, sign * scores, -np.inf))
    for number, seed in enumerate(np.unique(seeds)):
        kept = order[scored[order] & (seeds[order] == seed)]
        if len(kept):
            made.scatter(
                "x", "y", source=ColumnDataSource(_rows(data, kept)), size=8, alpha=0.85,
                marker=_MARKERS[number % len(_MARKERS)], color=mapper, line_color="white",
                line_width=0.5, legend_label=f"seed {seed}",
            )  # fmt: skip
    made.add_layout(ColorBar(color_mapper=mapper["transform"], title=label, width=12), "right")


def _rows(data: Mapping[str, object], kept: np.ndarray) -> dict[str, object]:
    where = np.flatnonzero(kept) if kept.dtype == bool else kept
    return {
        name: values[where] if isinstance(values, np.ndarray) else [values[i] for i in where]  # type: ignore[index]
        for name, values in data.items()
    }


def _numbered(view: RunView) -> list[tuple[Query, int]]:
    rows: list[tuple[Query, int]] = []
    for seed in view.config.seed_numbers:
        charged = [q for q in view.of_seed(seed) if q.status.charged]
        rows += zip(charged, range(1, len(charged) + 1), strict=True)
    return rows


def scores_by_round(view: RunView, label: str) -> Plot | None:
    """The distribution of the scores between two retrainings, beside that of the starting data."""
    groups: dict[str, np.ndarray] = {}
    if view.base_scores is not None:
        groups["start"] = view.base_scores
    for number in sorted({q.round for q in view.queries}):
        scores = [q.score for q in view.queries if q.round == number and q.score is not None]
        if scores:
            groups[str(number)] = np.array(scores, float)
    if not any(name != "start" for name in groups):
        return None
    return distributions(groups, "round: each begins with a retraining", label, view.config.sign)


def distributions(groups: Mapping[str, np.ndarray], x: str, label: str, sign: float) -> Plot:
    """One box per group: median, quartiles, the 5% and 95% quantiles, and the best as a dot.

    ``sign`` is -1 if lower scores are better.
    """
    names = list(groups)
    made = plot(320, x, label, x_range=names)
    quantiles = np.array(
        [np.quantile(v, [0.05, 0.25, 0.5, 0.75, 0.95, float(sign > 0)]) for v in groups.values()]
    )
    source = ColumnDataSource(
        {
            "name": names,
            **dict(zip(("q05", "q25", "q50", "q75", "q95", "best"), quantiles.T, strict=True)),
            "count": [len(v) for v in groups.values()],
            "color": [GREY if name in ("start", "pretrained") else PALETTE[0] for name in names],
        }
    )
    made.segment("name", "q05", "name", "q95", source=source, color="color")
    boxes = made.vbar(
        "name", 0.5, "q75", "q25", source=source, fill_color="color", line_color="color",
        fill_alpha=0.35,
    )  # fmt: skip
    made.scatter("name", "q50", source=source, marker="dash", size=22, line_width=3, color="color")
    made.scatter("name", "best", source=source, size=6, color=PALETTE[1])
    tips = """<b>@name</b>: @count scores; median @q50{0.[000]}, quartiles @q25{0.[000]} to
    @q75{0.[000]}, best @best{0.[000]}"""
    made.add_tools(HoverTool(renderers=[boxes], tooltips=tips))
    return finish(made)


def predictions(view: RunView, label: str) -> tuple[Plot, str] | None:
    """The scores that came against those that the surrogate expected, and a sentence about them.

    Each point has a line of one standard deviation, and is coloured by its round. Returns None if
    no query with a score has a prediction.
    """
    scored = [q for q in view.queries if q.score is not None and key_of(q) in view.predictions]
    if not scored:
        return None
    came = np.array([q.score for q in scored], float)
    mean, deviation = np.array([view.predictions[key_of(q)] for q in scored], float).T
    data = {
        "predicted": mean, "deviation": deviation, "score": came,
        "low": mean - deviation, "high": mean + deviation,
        "seed": np.array([q.seed for q in scored], np.int32),
        "round": np.array([q.round for q in scored], np.int32),
        "name": [q.id for q in scored],
    }  # fmt: skip
    made = plot(420, f"{label} that the surrogate predicted", f"{label} that came")
    source = ColumnDataSource(data)
    last = max(1, int(data["round"].max()))
    colour = linear_cmap("round", "Cividis256", 0, last)
    made.segment("low", "score", "high", "score", source=source, color=GREY, alpha=0.3)
    dots = made.scatter(
        "predicted", "score", source=source, size=7, color=colour, alpha=0.8, line_color="white",
        line_width=0.5,
    )  # fmt: skip
    ends = [float(came.min()), float(came.max())]
    made.line(ends, ends, line_dash="dashed", color="black")
    made.x_range = _around(mean, came)
    bar = ColorBar(
        color_mapper=colour["transform"], title="round", width=12, ticker=rounds_ticker(last + 1)
    )
    made.add_layout(bar, "right")
    tips = """<b>predicted @predicted{0.[0000]} ± @deviation{0.[0000]}, came @score{0.[0000]}</b>
    <div style="color: #555">seed @seed, query @name</div>"""
    made.add_tools(HoverTool(renderers=[dots], tooltips=tips, name="prediction"))
    return finish(made), _agreement(calibration(mean, deviation, came))


def _around(mean: np.ndarray, came: np.ndarray) -> Range1d:
    """A range that holds all predicted means and, for the diagonal, the middle of the scores."""
    low, high = float(min(mean.min(), came.min())), float(max(mean.max(), came.max()))
    margin = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
    return Range1d(low - margin, high + margin)


def _agreement(found: Calibration) -> str:
    ranks = f" The rank correlation is {found.rank_correlation:.2f}."
    return (
        f"{found.within_one:.0%} of {found.number:,} scores came within one predicted standard "
        f"deviation (line) and {found.within_two:.0%} within two. 68% and 95% would be "
        "ideal; fewer mean that the surrogate is too sure."
        f"{'' if np.isnan(found.rank_correlation) else ranks}"
    )


_KNOWN = ("seed", "round", "diverged", "uncharged")
_LABELS = {
    "steps": "training steps",
    "loss": "mean loss / nats",
    "effective_rows": "effective rows",
    "refused": "points refused before asking",
    "fit_r2": "R² on held-out data",
    "fit_spearman": "rank correlation on held-out data",
}


def training(view: RunView) -> list[tuple[str, Plot]]:
    """A small chart of each number that the log has of the retrainings, one line per seed."""
    made = []
    for name in (field.name for field in fields(Round)):
        values = _by_seed(view, name)
        shown = any(np.isfinite(v).any() for _, v in values.values())
        if name in _KNOWN or not shown or (name == "refused" and not _any(values)):
            continue
        title = _LABELS.get(name, name.replace("_", " "))
        chart = plot(240, "round", title, toolbar_location=None)
        rounds = max(r.round for r in view.rounds) + 1
        chart.xaxis.ticker = rounds_ticker(rounds)
        if rounds == 1:
            chart.x_range = Range1d(-0.5, 0.5)
        for number, (seed, (x, y)) in enumerate(values.items()):
            source = ColumnDataSource({"x": x, "y": y, "seed": [seed] * len(x)})
            chart.line("x", "y", source=source, color=color_of(number), alpha=0.7)
            dots = chart.scatter("x", "y", source=source, color=color_of(number), size=6)
            chart.add_tools(HoverTool(renderers=[dots], tooltips="seed @seed: @y{0.[000]}"))
        made.append((name, chart))
    return made


def _any(values: Mapping[int, tuple[np.ndarray, np.ndarray]]) -> bool:
    return any(np.any(y != 0) for _, y in values.values())


def _by_seed(view: RunView, name: str) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    def numbers(rounds: Sequence[Round]) -> np.ndarray:
        found = (getattr(r, name) for r in rounds)
        return np.array([v if isinstance(v, int | float) else np.nan for v in found], float)

    of = {s: [r for r in view.rounds if r.seed == s] for s in view.config.seed_numbers}
    return {s: (np.array([r.round for r in rs]), numbers(rs)) for s, rs in of.items() if rs}
