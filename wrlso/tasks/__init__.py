"""The tasks by name."""

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from wrlso.evaluation.objective import HostObjective, measured
from wrlso.tasks.base import PretrainConfig, Task
from wrlso.tasks.expression.task import expressions
from wrlso.tasks.learned_prior import with_learned_prior
from wrlso.tasks.shape.task import shapes

if TYPE_CHECKING:
    from wrlso.tasks.molecule.task import molecules


def __getattr__(name: str) -> Any:
    """Import ``molecules``, and chemistry with it, at first use."""
    if name == "molecules":
        from wrlso.tasks.molecule.task import molecules

        return molecules
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Factories(Mapping[str, Callable[..., Task]]):
    """Task factories by name; a factory is imported when it is looked up."""

    _names = ("shapes", "expressions", "molecules")

    def __getitem__(self, name: str) -> Callable[..., Task]:
        if name not in self._names:
            raise KeyError(name)
        return __getattr__(name) if name == "molecules" else globals()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


TASKS: Mapping[str, Callable[..., Task]] = _Factories()
"""Task factories by name."""

__all__ = [
    "TASKS",
    "HostObjective",
    "PretrainConfig",
    "Task",
    "expressions",
    "measured",
    "molecules",
    "shapes",
    "with_learned_prior",
]
