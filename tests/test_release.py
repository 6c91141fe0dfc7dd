"""What a release needs: a wheel that works alone, docstrings, links, records of the version."""

import ast
import json
import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
import yaml

import wrlso
from tests.builders import ROOT

_DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "wrlso").rglob("*.md"),
     *(ROOT / "benchmarks" / "results").glob("*.md")]
)  # fmt: skip
_LINK = re.compile(r"\]\(([^()\s]+)\)")


def tracked(folder: str) -> set[str]:
    listed = subprocess.run(
        ["git", "ls-files", folder], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return set(listed.stdout.split())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel, built as a release would be."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", folder, ROOT],
        check=True,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        metadata = archive.read(next(n for n in inside if n.endswith("METADATA"))).decode()
    cards = {name for name in tracked("wrlso") if name.endswith(".md")}
    assert {name for name in inside if ".dist-info/" not in name} >= tracked("wrlso") - cards
    assert {name.split("/")[0] for name in inside} == {
        "wrlso", f"wrlso-{wrlso.__version__}.dist-info",
    }  # fmt: skip
    assert "License-Expression: MIT" in metadata
    assert "Project-URL: Paper, https://arxiv.org/abs/2006.09191" in metadata


@pytest.mark.slow
def test_the_wheel_runs_in_a_fresh_environment_outside_the_checkout(wheel, tmp_path):
    """With its own dependencies only, so that one that is not declared is missed."""
    venv.create(tmp_path / "env", with_pip=True)
    here = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    here |= {"WRLSO_CACHE": str(tmp_path / "cache")}

    def run(*command: str) -> str:
        done = subprocess.run(
            [tmp_path / "env" / "bin" / command[0], *command[1:]],
            cwd=tmp_path, env=here, check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("python", "-m", "pip", "install", "--quiet", str(wheel))
    run("python", "-m", "pip", "check")
    where = run("python", "-c", "import wrlso; print(wrlso.__file__)")
    assert where.startswith(str(tmp_path / "env"))
    assert f"wrlso {wrlso.__version__}" in run("wrlso", "--version")
    printed = run(
        "wrlso", "run", "shapes", "--budget", "8", "--seeds", "1", "--retrain-every", "8",
        "--epochs", "0.01", "--no-progress", "--out", "first",
    )  # fmt: skip
    assert "8 charged" in printed
    assert "figures skipped: install them with  pip install 'wrlso[plots]'" in printed
    assert "starting data" in run("wrlso", "report", "first")
    assert "OK" in run("python", "-c", "import wrlso; wrlso.tasks.molecules(); print('OK')")


def undocumented(path: Path) -> list[str]:
    """The public modules, classes, functions and methods without a docstring."""

    def of(node: ast.AST, name: str) -> list[str]:
        found = [] if ast.get_docstring(node) else [name]  # type: ignore[arg-type]
        for child in ast.iter_child_nodes(node):
            kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
            in_function = isinstance(node, kinds[:2])
            if isinstance(child, kinds) and not child.name.startswith("_") and not in_function:
                found += of(child, f"{name}.{child.name}")
        return found

    return of(ast.parse(path.read_text()), str(path.relative_to(ROOT)))


def test_everything_public_has_a_docstring():
    found = [name for path in (ROOT / "wrlso").rglob("*.py") for name in undocumented(path)]
    assert found == []


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", _DOCUMENTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for link in _LINK.findall(text):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if page.parts[-2] == "docs" and path == "changelog.md":
            target = ROOT / "CHANGELOG.md"  # the site copies it
        assert target.exists(), link
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target.read_text()), link


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == wrlso.__version__
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()
    changes = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert changes[0] == wrlso.__version__


def test_issue_templates_are_forms_that_can_be_filled_in():
    forms = [p for p in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if p.stem != "config"]
    assert len(forms) == 3
    for path in forms:
        form = yaml.safe_load(path.read_text())
        assert form["name"]
        assert form["description"]
        ids = [field["id"] for field in form["body"]]
        assert len(ids) == len(set(ids))
        assert all(field["attributes"].get("label") for field in form["body"])


def test_nothing_names_the_machine_that_it_was_written_on():
    for name in tracked("notebooks") | tracked("docs") | {"README.md", "pyproject.toml"}:
        if (ROOT / name).suffix in (".md", ".toml", ".ipynb", ".py"):
            text = (ROOT / name).read_text()
            assert not re.search(r"/(home|tmp|work|root)/", text), name
            if name.endswith(".ipynb"):
                json.loads(text)
