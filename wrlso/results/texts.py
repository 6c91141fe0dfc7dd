"""The objects of a run as text, also where its task cannot be made again."""

import logging
from collections.abc import Callable

from wrlso.results.record import task_of
from wrlso.results.summary import describer
from wrlso.runs.config import RunConfig
from wrlso.runs.log import Query
from wrlso.tasks import TASKS
from wrlso.tasks.base import Task

_logger = logging.getLogger(__name__)


def texts_of(config: RunConfig, task: Task | None = None) -> Callable[[Query], str]:
    """A function from a query to its object as a line of text, empty if it has none.

    The log has the texts of runs whose task was known. For others the task gives them. A task of
    molecules is made without its objective and its data, which texts do not need: these may be a
    Python function, or a file that has moved.

    Args:
      config: the run's configuration.
      task: the run's task; a built-in task finds itself.
    """
    made: list[Callable[[Query], str] | None] = []

    def text(query: Query) -> str:
        if query.text is not None:
            return query.text
        if not made:
            made.append(_describer(config, task))
        return "" if made[0] is None else made[0](query)

    return text


def _describer(config: RunConfig, task: Task | None) -> Callable[[Query], str] | None:
    try:
        return describer(task or _task_of_objects(config))
    except (ValueError, OSError) as error:
        _logger.warning("objects cannot be written as text: %s", error)
        return None


def _task_of_objects(config: RunConfig) -> Task:
    if config.task != "molecules":
        return task_of(config)
    return TASKS["molecules"](model=config.task_options.get("model"))
