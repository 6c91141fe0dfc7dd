"""Functions as users call them: their annotations of shapes and types, which tests check, rest."""

from contextlib import contextmanager

import jaxtyping


@contextmanager
def at_rest():
    """Within, no annotation refuses an argument before the function itself does."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)
