"""The shape of the package: layers, cycles, sizes."""

import ast
from pathlib import Path

import pytest

from tests.builders import ROOT

PACKAGE = ROOT / "wrlso"

LAYERS = [
    ["status", "replicates"],
    ["storage", "scores"],
    ["evaluation", "fingerprint", "parallel", "acquisition", "maximize"],
    ["data", "gp"],
    ["weighting"],
    ["models"],
    ["proposers"],
    ["loop"],
    ["chem"],
    ["tasks"],
    ["methods"],
    ["resolve"],
    ["runs"],
    ["results"],
    ["api"],
    ["study"],
    [""],  # wrlso/__init__.py
    ["cli"],
    ["__main__"],
]
"""Packages and modules from the lowest layer to the highest. A module imports from its own package
and from lower layers only."""

PURE = {"acquisition", "gp", "maximize", "methods", "models", "proposers", "loop", "weighting"}
"""They know no task, no folder of a run and no file."""

NOT_PURE = {"tasks", "runs", "results", "api", "cli", "chem", "evaluation", "resolve"}
FILES = {"storage.files", "storage.tensors", "storage.cache"}

MODULE_LINES, FUNCTION_LINES, TOP_LEVEL = 350, 60, 24


def name_of(path: Path) -> str:
    """The dotted name of a module below ``wrlso``, empty for ``wrlso`` itself."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def targets(node: ast.AST, module: str) -> list[str]:
    """The modules of the package that an import statement names, without the leading ``wrlso``."""
    if isinstance(node, ast.Import):
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{module}: imports within the package are absolute"
        # ``from package import module`` names the module, ``from module import name`` does not.
        full = [f"{node.module}.{alias.name}" for alias in node.names]
        names = [n if n.removeprefix("wrlso.") in MODULES else str(node.module) for n in full]
    else:
        return []
    inside = [name for name in names if name.split(".")[0] == "wrlso"]
    return [name.removeprefix("wrlso").removeprefix(".") for name in inside]


def imports(module: str) -> set[str]:
    """Every module that a module imports: at the top, in functions, and for types only."""
    found = {name for node in ast.walk(TREES[module]) for name in targets(node, module)}
    return found - {module}


IMPORTS = {module: imports(module) for module in MODULES}


def layer(module: str) -> int:
    top = module.split(".")[0]
    found = [i for i, names in enumerate(LAYERS) if top in names]
    assert found, f"wrlso.{module}: say in LAYERS in which layer {top!r} is"
    return found[0]


def test_the_imports_that_are_found_are_those_that_there_are():
    """The other tests would pass if no import were found."""
    assert "proposers.base" in IMPORTS["loop.algorithm"]
    assert "tasks.molecule.task" in IMPORTS["tasks"]  # for types, and in a function
    assert "results.figures" in IMPORTS["results.result"]  # in a function
    assert "acquisition" in IMPORTS["proposers.bayesian"]  # from wrlso import acquisition as acq


def test_every_layer_is_there():
    tops = {module.split(".")[0] for module in MODULES}
    assert sorted(name for names in LAYERS for name in names) == sorted(tops)


def test_no_modules_import_each_other_in_a_circle():
    """A package stands for its ``__init__``."""

    def reached(module: str) -> set[str]:
        found, todo = set(), [module]
        while todo:
            for name in IMPORTS[todo.pop()]:
                if name in MODULES and name not in found:
                    found.add(name)
                    todo.append(name)
        return found

    assert [module for module in MODULES if module in reached(module)] == []


def test_packages_do_not_import_each_other_in_a_circle():
    packages: dict[str, set[str]] = {}
    for module, names in IMPORTS.items():
        top = module.split(".")[0]
        packages.setdefault(top, set()).update(n.split(".")[0] for n in names)
    for names in packages.values():
        names.discard("")  # api's version and the like
    order: list[str] = []
    while len(order) < len(packages):
        ready = [p for p, names in packages.items() if p not in order and names <= {*order, p}]
        assert ready, f"a circle among {sorted(packages.keys() - set(order))}"
        order += ready


@pytest.mark.parametrize("module", MODULES)
def test_nothing_imports_upwards(module):
    own = module.split(".")[0]
    upwards = [
        name
        for name in IMPORTS[module]
        if name.split(".")[0] != own and layer(name) >= layer(module)
    ]
    assert upwards == []


@pytest.mark.parametrize("module", [m for m in MODULES if m.split(".")[0] in PURE])
def test_the_pure_layer_knows_no_task_no_run_and_no_file(module):
    assert {name for name in IMPORTS[module] if name.split(".")[0] in NOT_PURE} == set()
    assert not IMPORTS[module] & FILES


def test_chemistry_and_evaluation_do_not_start_jax():
    """Worker processes import them: JAX would cost each of them 2 s and 130 MB."""
    for module, tree in TREES.items():
        if module.split(".")[0] in ("chem", "evaluation", "status"):
            names = {
                name.split(".")[0]
                for node in ast.walk(tree)
                if isinstance(node, (ast.Import, ast.ImportFrom))
                for name in ([node.module] if isinstance(node, ast.ImportFrom)
                             else [a.name for a in node.names])
            }  # fmt: skip
            assert not names & {"jax", "flax", "optax"}, module


def test_few_packages_and_modules_are_directly_under_the_package():
    modules = [p for p in PACKAGE.glob("*.py") if not p.stem.startswith("__")]
    packages = [p for p in PACKAGE.iterdir() if (p / "__init__.py").exists()]
    assert len(modules) + len(packages) <= TOP_LEVEL


@pytest.mark.parametrize("module", MODULES)
def test_no_module_is_long(module):
    assert len(MODULES[module].read_text().splitlines()) <= MODULE_LINES


def length_without_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert function.end_lineno is not None
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        first = function.body[0]
        assert first.end_lineno is not None
        lines -= first.end_lineno - first.lineno + 1
    return lines


def test_no_function_is_long():
    found = {
        f"{module}.{node.name}": length_without_docstring(node)
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert {name: lines for name, lines in found.items() if lines > FUNCTION_LINES} == {}


def test_every_package_says_in_its_first_line_what_is_in_it():
    for module, path in MODULES.items():
        if path.name == "__init__.py":
            docstring = ast.get_docstring(TREES[module])
            assert docstring, f"wrlso.{module}"
            first = docstring.splitlines()[0]
            assert len(first.split()) >= 4, first
