"""Pickles of functions for other processes, as cloudpickle makes them, and of what it cannot."""

import io
import sys
import types
from typing import Any

import cloudpickle


class _Pickler(cloudpickle.Pickler):
    """Sends functions of compiled modules by name, such as RDKit's ``MolFromSmiles``.

    A script that imports one has it among the globals of its own functions, which are sent whole.
    Boost.Python's functions have no pickled form of their own.
    """

    def reducer_override(self, obj: Any) -> Any:
        if _is_compiled_function(obj):
            return getattr, (sys.modules[obj.__module__], obj.__name__)
        return super().reducer_override(obj)


def _is_compiled_function(obj: Any) -> bool:
    """Whether it is a function, but none of Python's, that its module has under its name."""
    kind = type(obj)
    if kind.__name__ != "function" or kind is types.FunctionType:
        return False
    module = sys.modules.get(getattr(obj, "__module__", None) or "")
    return module is not None and getattr(module, obj.__name__, None) is obj


def dumps(obj: Any) -> bytes:
    """An object as bytes that ``pickle.loads`` reads; equal to cloudpickle's where that can."""
    file = io.BytesIO()
    _Pickler(file).dump(obj)
    return file.getvalue()
