"""The tasks by name."""

from wrlso.tasks.base import PretrainConfig, Task
from wrlso.tasks.shapes import shapes

TASKS = {"shapes": shapes}
"""Task factories by name."""

__all__ = ["TASKS", "PretrainConfig", "Task", "shapes"]
