"""The tasks by name."""

from collections.abc import Callable
from typing import Any

from wrlso.tasks.base import HostObjective, PretrainConfig, Task
from wrlso.tasks.expressions import expressions
from wrlso.tasks.shapes import shapes


def molecules(*arguments: Any, **options: Any) -> Task:
    """The molecules task, see ``wrlso.tasks.molecules_task.molecules``.

    Chemistry is imported only now.
    """
    from wrlso.tasks.molecules_task import molecules as make

    return make(*arguments, **options)


TASKS: dict[str, Callable[..., Task]] = {
    "shapes": shapes,
    "expressions": expressions,
    "molecules": molecules,
}
"""Task factories by name."""

__all__ = [
    "TASKS",
    "HostObjective",
    "PretrainConfig",
    "Task",
    "expressions",
    "molecules",
    "shapes",
]
