"""Objects as small pieces of HTML: a picture or a line of text, within a budget of bytes."""

import base64
import html
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageChops

from wrlso.models.vae import object_like
from wrlso.results.report.view import RunView
from wrlso.runs.log import Query
from wrlso.tasks.base import Task

PAGE_PICTURES, PAGE_PIXELS, PAGE_BYTES = 2000, 24_000_000, 1_200_000
"""Maximum numbers of pictures, of pixels drawn and of bytes of pictures on a page."""

PAGE_TEXTS = 10_000
"""Maximum number of objects on a page that are written as text."""

_SIDE, _COLOURS, _BATCH, _MARGIN = 240, 12, 32, 6

Key = tuple[int, int, int]
"""Seed, round and index of a query."""


@dataclass(frozen=True)
class Cells:
    """The objects of a run's queries as HTML.

    Attributes:
      pictures: ``img`` elements by query, of the best queries first.
      texts: escaped text by query, of the best queries first.
    """

    pictures: Mapping[Key, str]
    texts: Mapping[Key, str]

    def of(self, query: Query, with_text: bool = True) -> str:
        """The object of a query; empty if there is neither picture nor text of it."""
        key = key_of(query)
        text = f"<code>{self.texts[key]}</code>" if with_text and key in self.texts else ""
        return self.pictures.get(key, "") + text


def key_of(query: Query) -> Key:
    """The key of a query."""
    return query.seed, query.round, query.index


def cells_of(view: RunView, runs: int = 1) -> Cells:
    """The objects of a run on a page of so many runs.

    Objects that are drawn slowly or large are fewer: the budgets count pictures, pixels and bytes.
    """
    task = view.task
    if task is None:
        return Cells({}, {key_of(q): q.text for q in view.queries if q.text})
    charged = [q for q in view.queries if q.status.charged]
    sign = view.config.sign
    charged.sort(key=lambda q: -np.inf if q.score is None else sign * q.score, reverse=True)
    return Cells(_pictures(task, charged, runs), _texts(view, charged[: PAGE_TEXTS // runs]))


def _texts(view: RunView, queries: Iterable[Query]) -> dict[Key, str]:
    describe = view.describe()
    if describe is None:
        return {}
    texts = ((key_of(query), describe(query)) for query in queries)
    return {key: html.escape(text) for key, text in texts if text}


def _pictures(task: Task, queries: list[Query], runs: int) -> dict[Key, str]:
    """Pictures of the first queries, until a budget is used up; without them if drawing fails."""
    if task.to_images is None:
        return {}
    like = object_like(task.vae)
    found: dict[Key, str] = {}
    pixels = size = 0
    queries = queries[: PAGE_PICTURES // runs]
    for first in range(0, len(queries), _BATCH):
        batch = queries[first : first + _BATCH]
        stored = [np.frombuffer(q.object, like.dtype).reshape(like.shape) for q in batch]
        try:
            images = np.asarray(task.to_images(np.stack(stored)))
        except Exception:  # an error of the user's function must not cost the rest of the page
            return found
        drawn = [_element(image) for image in images]
        found.update(zip(map(key_of, batch), drawn, strict=True))
        pixels += images[..., 0].size if images.ndim == 4 else images.size
        size += sum(map(len, drawn))
        if pixels > PAGE_PIXELS // runs or size > PAGE_BYTES // runs:
            break
    return found


def _element(image: np.ndarray) -> str:
    """An ``img`` element of a picture in [0, 1], grey ``[H, W]`` or in colour ``[H, W, 3]``."""
    picture = Image.fromarray(np.uint8(np.clip(image, 0, 1) * 255))
    if image.ndim == 3:
        picture = _without_margin(picture)
    picture.thumbnail((_SIDE, _SIDE))
    binary = image.ndim == 2 and bool(np.isin(image, (0, 1)).all())
    picture = picture.convert("1") if binary else picture.quantize(_COLOURS)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    small = max(picture.size) < _SIDE // 2
    shown = 'width="96" style="image-rendering: pixelated"' if small else f'width="{picture.width}"'
    return f'<img {shown} alt="" src="data:image/png;base64,{data}">'


def _without_margin(picture: Image.Image) -> Image.Image:
    """A picture without the empty border that has the colour of its first pixel."""
    empty = Image.new("RGB", picture.size, picture.getpixel((0, 0)))
    box = ImageChops.difference(picture, empty).getbbox()
    if box is None:
        return picture
    left, top, right, bottom = box
    return picture.crop(
        (max(left - _MARGIN, 0), max(top - _MARGIN, 0),
         min(right + _MARGIN, picture.width), min(bottom + _MARGIN, picture.height))
    )  # fmt: skip
