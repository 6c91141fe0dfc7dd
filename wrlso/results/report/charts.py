"""The charts of a report that compare runs: curves, the best of each seed, costs."""

from collections.abc import Mapping, Sequence

import numpy as np
from bokeh.models import ColumnDataSource, FactorRange, FixedTicker, HoverTool, Range1d
from bokeh.models.plots import Plot
from bokeh.plotting import figure

from wrlso.results.report.objects import Cells
from wrlso.results.report.view import RunView
from wrlso.results.statistics import curve_interval, held, mean_interval
from wrlso.results.style import GREY, color_of
from wrlso.results.words import seeds_in_words
from wrlso.runs.log import Query
from wrlso.storage.numbers import shown

TOOLS = "pan,wheel_zoom,box_zoom,reset,save"

OBJECT = """<div style="max-width: 260px">@object{safe}<div><b>@score{0.[0000]}</b></div>
<div style="color: #555">seed @seed, round @round, query @query</div></div>"""
"""The text that a query shows under the mouse."""


def plot(height: int, x: str, y: str, **options: object) -> figure:
    """An empty chart as wide as the page."""
    made = figure(
        height=height, sizing_mode="stretch_width", tools=TOOLS, x_axis_label=x, y_axis_label=y,
        **{"toolbar_location": "above", **options},
    )  # fmt: skip
    made.toolbar.logo = None
    made.toolbar.autohide = True
    made.grid.grid_line_alpha = 0.35
    made.outline_line_color = None
    made.axis.axis_label_text_font_style = "normal"
    return made


def finish(made: figure) -> Plot:
    """Put the legend beside the chart; a click on an entry hides its curve."""
    if made.legend:
        legend = made.legend[0]
        legend.click_policy = "hide"
        legend.border_line_alpha = 0.0
        legend.background_fill_alpha = 0.0
        legend.label_text_font_size = "12px"
        legend.location = "left"
        legend.orientation = "horizontal"
        made.add_layout(legend, "below")
    return made


def curves(views: Sequence[RunView], cells: Mapping[str, Cells], label: str) -> Plot:
    """The best score so far against charged queries.

    Each run has a thin line per seed, with a dot per improvement, their mean as a thick line, and
    its confidence interval as a band; dashed is the best of the starting data.
    """
    made = plot(420, "charged queries per seed", label)
    for number, view in enumerate(views):
        color = color_of(number)
        found = [curve for curve in view.curves() if np.isfinite(curve).any()]
        if not found:
            continue
        for curve in found:
            made.step(
                np.arange(1, len(curve) + 1), curve, mode="after", color=color, alpha=0.35,
                line_width=1, legend_label=view.name,
            )  # fmt: skip
        _mean(made, view, held(found), color)
        _improvements(made, view, cells[view.name], color)
    differ = _starts_differ(views)
    for number, view in enumerate(views if differ else views[:1]):
        _start(made, view, color_of(number) if differ else GREY)
    made.y_range = _range(np.concatenate([np.concatenate(v.curves()) for v in views]), views)
    return finish(made)


def _range(scores: np.ndarray, views: Sequence[RunView] = ()) -> Range1d:
    """A range that holds all scores and starting data; an interval of two seeds may leave it."""
    starts = [v.start for v in views if v.start is not None]
    shown = np.concatenate([scores[np.isfinite(scores)], np.array(starts, float)])
    low, high = float(shown.min()), float(shown.max())
    margin = 0.12 * (high - low) or 0.1 * abs(high) or 1.0
    return Range1d(low - margin, high + margin)


def _mean(made: figure, view: RunView, found: np.ndarray, color: str) -> None:
    mean, half = curve_interval(found)
    low, high = mean - half, mean + half
    queries = np.arange(1, len(mean) + 1)
    if np.isfinite(half).any():
        made.varea_step(
            x=queries, y1=low, y2=high, step_mode="after", color=color, alpha=0.15,
            legend_label=view.name,
        )  # fmt: skip
    source = ColumnDataSource(
        {
            "x": queries,
            "mean": mean,
            "low": low,
            "high": high,
            "run": [view.name] * len(mean),
            "seeds": [seeds_in_words(n, view.config.seeds) for n in np.isfinite(found).sum(0)],
        }
    )
    made.step(
        "x", "mean", source=source, mode="after", color=color, line_width=3, legend_label=view.name
    )
    dots = made.scatter(
        "x", "mean", source=source, size=7, alpha=0, color=color, hover_alpha=0.9,
        legend_label=view.name,
    )  # fmt: skip
    tips = """<b>@run</b>: mean @mean{0.[0000]} (@low{0.[0000]} to @high{0.[0000]}) of @seeds after
    @x queries"""
    made.add_tools(HoverTool(renderers=[dots], tooltips=tips, mode="mouse", name="mean"))


def improvements(view: RunView) -> list[tuple[Query, int]]:
    """The queries that are better than all before them of their seed, and their numbers."""
    rows: list[tuple[Query, int]] = []
    for seed in view.config.seed_numbers:
        sign, best = view.config.sign, -np.inf
        charged = [q for q in view.of_seed(seed) if q.status.charged]
        for number, query in enumerate(charged, 1):
            if query.score is not None and sign * query.score > best:
                best = sign * query.score
                rows.append((query, number))
    return rows


def _improvements(made: figure, view: RunView, cells: Cells, color: str) -> None:
    """A dot for each improvement, with its object under the mouse."""
    source = ColumnDataSource(columns(improvements(view), cells))
    dots = made.scatter(
        "query", "score", source=source, size=5, color=color, alpha=0.7, legend_label=view.name
    )
    made.add_tools(HoverTool(renderers=[dots], tooltips=OBJECT, name="improvement"))


def columns(rows: Sequence[tuple[Query, int]], cells: Cells) -> dict[str, object]:
    """The columns of queries with their numbers among the charged ones, as charts take them."""
    return {
        "query": np.array([number for _, number in rows], np.int32),
        "score": np.array([np.nan if q.score is None else q.score for q, _ in rows], float),
        "seed": np.array([q.seed for q, _ in rows], np.int32),
        "round": np.array([q.round for q, _ in rows], np.int32),
        "object": [cells.of(q) for q, _ in rows],
    }


def _start(made: figure, view: RunView, color: str) -> None:
    best = view.start
    if best is None:
        return
    made.line(
        [1, view.config.queries], [best, best], line_dash="dashed", color=color,
        legend_label=f"best of the starting data: {shown(best, 5)}",
    )  # fmt: skip


def _starts_differ(views: Sequence[RunView]) -> bool:
    starts = {view.start for view in views}
    return len(starts) > 1


def finals(views: Sequence[RunView], label: str) -> Plot:
    """The best of each seed as a dot, the mean over seeds as a bar with its interval."""
    names = [view.name for view in views]
    made = plot(90 + 36 * len(views), label, "", y_range=list(reversed(names)))
    for number, view in enumerate(views):
        best = view.best()
        if not np.isfinite(best).any():
            continue
        mean, low, high = mean_interval(best)
        color = color_of(number)
        if np.isfinite(low):
            made.segment([low], [view.name], [high], [view.name], line_width=3, color=color)
        made.scatter([mean], [view.name], marker="dash", angle=np.pi / 2, size=18, color=color,
                     line_width=3)  # fmt: skip
        source = ColumnDataSource(
            {"x": best, "y": [view.name] * len(best), "seed": view.config.seed_numbers[: len(best)]}
        )
        dots = made.scatter("x", "y", source=source, size=8, color=color, alpha=0.5)
        made.add_tools(HoverTool(renderers=[dots], tooltips="seed @seed: @x{0.[0000]}"))
    made.x_range = _range(np.concatenate([view.best() for view in views]))
    return finish(made)


def costs(views: Sequence[RunView]) -> Plot:
    """Wall seconds by phase, one row per run and phase."""
    rows = [
        (view.name, phase, seconds, color_of(number))
        for number, view in enumerate(views)
        for phase, seconds in sorted(phases(view).items(), key=lambda item: -item[1])
    ]
    factors = [(name, phase) for name, phase, _, _ in rows]
    made = plot(
        90 + 22 * len(rows), "seconds", "",
        y_range=FactorRange(*reversed(factors), group_padding=0.6, range_padding=0.02),
    )  # fmt: skip
    source = ColumnDataSource(
        {
            "y": factors,
            "seconds": [seconds for *_, seconds, _ in rows],
            "color": [color for *_, color in rows],
        }
    )
    bars = made.hbar("y", right="seconds", height=0.75, color="color", source=source, alpha=0.85)
    made.add_tools(HoverTool(renderers=[bars], tooltips="@y: @seconds{0.[00]} s"))
    made.x_range.start = 0
    return finish(made)


def phases(view: RunView) -> dict[str, float]:
    """Wall seconds of each phase, and of the rest of the sessions."""
    parts = {name: s for name, s in view.seconds.items() if name != "session"}
    known = sum(s for name, s in parts.items() if name != "pretrain")
    rest = view.seconds.get("session", 0.0) - known
    return {**parts, **({"other": rest} if rest > 0 else {})}


def rounds_ticker(rounds: int) -> FixedTicker:
    """Ticks at whole rounds."""
    return FixedTicker(ticks=list(range(0, rounds, max(1, rounds // 12))))
