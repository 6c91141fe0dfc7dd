"""The tasks by name."""

from collections.abc import Callable

from wrlso.tasks.base import PretrainConfig, Task
from wrlso.tasks.expressions import expressions
from wrlso.tasks.shapes import shapes

TASKS: dict[str, Callable[..., Task]] = {"shapes": shapes, "expressions": expressions}
"""Task factories by name."""

__all__ = ["TASKS", "PretrainConfig", "Task", "expressions", "shapes"]
