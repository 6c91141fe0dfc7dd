"""A finished run as a notebook shows it: a table of seeds and a curve."""

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np

from wrlso.results.statistics import mean_interval
from wrlso.results.tables import costs, title
from wrlso.results.words import seeds_in_words
from wrlso.storage.numbers import shown


def run_html(summary: Mapping[str, Any], curve: bytes | None = None) -> str:
    """The summary of a run as HTML.

    Args:
      summary: content of ``summary.json``.
      curve: the best score so far as an SVG file; None: no picture.
    """
    seeds = summary["seeds"]
    with_objects = any(seed.get("best_object") for seed in seeds)
    header = ["seed", "best", "top-10 mean", "charged", *(["best object"] if with_objects else [])]
    rows = [
        [
            str(seed["seed"]),
            _number(seed["best"]),
            _number(seed["top10"]),
            str(seed["charged"]),
            *([escape(seed.get("best_object") or "")] if with_objects else []),
        ]
        for seed in seeds
    ]
    best = np.array([np.nan if s["best"] is None else s["best"] for s in seeds], float)
    found = mean_interval(best)
    scored = int(np.isfinite(best).sum())
    of = f" of {seeds_in_words(scored, len(best))}" if 0 < scored < len(best) else ""
    low, high = _number(found.low), _number(found.high)
    ends = f" (95% interval {low} to {high})" if np.isfinite(found.low) else ""
    picture = ""
    if curve is not None:
        data = base64.b64encode(curve).decode()
        picture = f'<img alt="best score so far" src="data:image/svg+xml;base64,{data}">'
    return (
        f"<div><p><b>{escape(title(summary))}</b></p>"
        f"<p>Mean of the best scores{of}: {_number(found.mean)}{ends}.</p>"
        f"{_table(header, rows)}{picture}<p>{escape(costs(summary))}</p></div>"
    )


def svg_of(figure: Any) -> bytes:
    """A matplotlib figure as an SVG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="svg")
    return buffer.getvalue()


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _number(value: float | None) -> str:
    return "–" if value is None or not np.isfinite(value) else shown(value, 5)
