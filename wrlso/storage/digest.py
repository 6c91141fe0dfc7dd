"""Digests of values and of code, so that a changed setting or function is noticed.

A function is known by its source, its defaults, the variables it closes over, and the functions and
constants of its module that it uses. Code of installed packages and of wrlso itself is known by its
name: its versions are recorded elsewhere. State that changes while a program runs is left out:
lists, dictionaries and sets, and names and attributes that the code itself assigns.
"""

import dataclasses
import dis
import enum
import functools
import hashlib
import inspect
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

_SCALARS = (bool, int, float, complex, str, bytes, type(None))
_LIBRARIES = tuple(
    str(Path(sysconfig.get_paths()[name]).resolve()) for name in ("stdlib", "purelib", "platlib")
)
_SHORT = 16


def describe(value: Any) -> Any:
    """A value as plain data for JSON: numbers as they are, arrays and functions by their digest.

    Infinities and NaN become strings. Two values with the same description are used alike.
    """
    if isinstance(value, enum.Enum):
        return value.name
    if isinstance(value, float) and not np.isfinite(value):
        return repr(value)
    if isinstance(value, (bool, int, float, str, type(None))):
        return value
    if isinstance(value, np.generic):
        return describe(value.item())
    if _is_array(value):
        array = np.asarray(value)
        return f"{array.dtype}{list(array.shape)} {_sha(_array_bytes(array))}"
    if dataclasses.is_dataclass(value) and not isinstance(value, type) and not callable(value):
        return {f.name: describe(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict") and not _has_functions(value):
        return {name: describe(part) for name, part in value._asdict().items()}
    if isinstance(value, Mapping):
        return {str(name): describe(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)) and not hasattr(value, "_asdict"):
        return [describe(part) for part in value]
    name = getattr(value, "__qualname__", type(value).__qualname__)
    return f"{name} {code_digest(value)}"


def code_digest(value: Any) -> str:
    """A digest of a function or any other value that a program holds, 16 hexadecimal digits."""
    return _sha("\0".join(_tokens(value, {})).encode())


def array_digest(*arrays: Any) -> str:
    """A digest of arrays: shapes, types and contents."""
    return _sha(b"".join(_array_bytes(np.asarray(array)) for array in arrays))


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_SHORT]


def _array_bytes(array: np.ndarray) -> bytes:
    header = repr((array.shape, str(array.dtype))).encode()
    return header + (b"" if array.dtype == object else np.ascontiguousarray(array).tobytes())


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and hasattr(value, "shape") and hasattr(value, "__array__")


def _has_functions(value: tuple) -> bool:
    return any(callable(part) for part in value)


def _tokens(
    value: Any, seen: dict[int, Any], written: frozenset[str] = frozenset()
) -> Iterator[str]:
    """The parts of a value that its digest is made of, in a stable order.

    Args:
      value: any value.
      seen: what was visited before, by ``id``.
      written: attributes of the value that the code which holds it assigns.
    """
    if isinstance(value, _SCALARS):
        yield repr(value)
        return
    if isinstance(value, enum.Enum):
        yield f"{type(value).__qualname__}.{value.name}"
        return
    if id(value) in seen:
        yield "(seen)"
        return
    seen[id(value)] = value  # kept alive, as another object may get a free number
    if _is_array(value):
        with suppress(Exception):  # such as a traced array
            yield array_digest(value)
    elif isinstance(value, functools.partial):
        yield "partial"
        yield from _tokens((value.func, value.args, tuple(sorted(value.keywords.items()))), seen)
    elif isinstance(value, types.MethodType):
        yield from _tokens(value.__func__, seen)
        yield from _tokens(value.__self__, seen)
    elif isinstance(value, types.FunctionType):
        yield from _function(value, seen)
    elif hasattr(value, "__wrapped__"):  # jit, functools.cache and the like
        yield type(value).__qualname__
        yield from _tokens(value.__wrapped__, seen)
    elif isinstance(value, type):
        yield _name(value) if is_library(value) else _source(value)
    elif isinstance(value, types.ModuleType):
        yield value.__name__
    elif isinstance(value, (tuple, frozenset)):
        parts = sorted(value, key=repr) if isinstance(value, frozenset) else value
        for part in parts:
            yield from _tokens(part, seen)
    elif isinstance(value, (list, dict, set)):
        yield type(value).__qualname__
    else:
        yield from _instance(value, seen, written)


def _function(function: types.FunctionType, seen: dict[int, Any]) -> Iterator[str]:
    code, library = function.__code__, is_library(function)
    yield _name(function)
    if not library:
        yield _source(function)
    assigned = set(_assigned(code, ("STORE_GLOBAL", "STORE_DEREF")))
    written = frozenset(_assigned(code, ("STORE_ATTR",)))
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        if name not in assigned:
            yield name
            with suppress(ValueError):  # an empty cell
                yield from _tokens(cell.cell_contents, seen, written)
    yield from _tokens(function.__defaults__ or (), seen)
    yield from _tokens(tuple(sorted((function.__kwdefaults__ or {}).items())), seen)
    for name in () if library else sorted(_names(code)):
        if name in function.__globals__ and name not in assigned:
            yield name
            yield from _tokens(function.__globals__[name], seen, written)


def _instance(value: Any, seen: dict[int, Any], written: frozenset[str]) -> Iterator[str]:
    kind = type(value)
    yield _name(kind) if is_library(kind) else _source(kind)
    attributes = dict(getattr(value, "__dict__", {}))
    if dataclasses.is_dataclass(value):
        attributes = {f.name: getattr(value, f.name, None) for f in dataclasses.fields(value)}
    changing = set(written)
    for name, method in vars(kind).items():
        if isinstance(method, types.FunctionType) and name not in ("__init__", "__post_init__"):
            changing |= set(_assigned(method.__code__, ("STORE_ATTR",)))
    of_flax = any(base.__module__.split(".")[0] == "flax" for base in kind.__mro__)
    if of_flax and is_library(kind):
        changing |= {"parent", "name"}  # flax fills these in
    for name in sorted(attributes.keys() - changing):
        yield name
        yield from _tokens(attributes[name], seen)


def _assigned(code: types.CodeType, operations: tuple[str, ...]) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in operations:
            yield str(instruction.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _assigned(constant, operations)


def _names(code: types.CodeType) -> set[str]:
    inner = (_names(c) for c in code.co_consts if isinstance(c, types.CodeType))
    return set(code.co_names).union(*inner)


def _name(value: Any) -> str:
    return f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', repr(type(value)))}"


def _source(value: Any) -> str:
    """The source of a function or class; where there is none, its compiled code."""
    try:
        return inspect.getsource(value)
    except (OSError, TypeError):
        pass
    if isinstance(value, types.FunctionType):
        return "".join(_compiled(value.__code__))
    methods = (m for m in vars(value).values() if isinstance(m, types.FunctionType))
    return _name(value) + "".join("".join(_compiled(m.__code__)) for m in methods)


def _compiled(code: types.CodeType) -> Iterator[str]:
    yield code.co_code.hex()
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _compiled(constant)
        else:  # the order of a set differs from process to process
            yield repr(sorted(constant, key=repr) if isinstance(constant, frozenset) else constant)


def is_library(value: Any) -> bool:
    """Whether a function or class is part of Python, of an installed package, or of wrlso."""
    module = getattr(value, "__module__", None) or ""
    if module.split(".")[0] == "wrlso":
        return True
    if module in ("__main__", "__mp_main__"):
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:  # built in, frozen, or gone
        return module in sys.builtin_module_names or module in sys.stdlib_module_names
    return str(Path(file).resolve()).startswith(_LIBRARIES)
