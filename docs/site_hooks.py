"""What the documentation site needs beyond its pages: results, model cards, formulae.

Formulae become MathML, which browsers draw by themselves: no page asks another host for anything.
"""

import re
from pathlib import Path

import griffe
from latex2mathml.converter import convert
from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
FOLDERS = {"results": ROOT / "benchmarks" / "results"}
CARDS = {
    f"models/{task}.md": ROOT / "wrlso" / "tasks" / task / "pretrained.md"
    for task in ("shape", "expression", "molecule")
}
ALSO = {"changelog.md": ROOT / "CHANGELOG.md"}
LINKS = {
    "](../benchmarks/results/": "](results/",
    "](../CHANGELOG.md": "](changelog.md",
    **{f"](../{path.relative_to(ROOT)}": f"]({name}" for name, path in CARDS.items()},
    **{f"](../../{path.relative_to(ROOT)}": f"](../{name}" for name, path in CARDS.items()},
}
"""Links between files of the repository, and the same links between pages of the site."""

_FENCED = re.compile(r"(```.*?```|`[^`\n]*`)", re.DOTALL)
_BLOCK = re.compile(r"\$\$(.+?)\$\$", re.DOTALL)
_INLINE = re.compile(r"\$([^$\n]+?)\$")
_DIRECTIVE = re.compile(r"^( *)\.\. math::(.*(?:\n(?:\1 +.*| *))*)", re.MULTILINE)
_ROLE = re.compile(r":(?:math|class|func|data|meth|mod|attr):`([^`]+)`")


def formula(tex: str, display: str) -> str:
    """TeX as MathML; ``display`` is ``block`` or ``inline``."""
    return convert(" ".join(tex.split()), display=display)


def on_files(files, config):
    """Add the committed results and the model cards, which lie outside the folder of the site."""
    kept = [p for folder in FOLDERS.values() for p in folder.iterdir()]
    sources = {f"results/{p.name}": p for p in kept if p.suffix != ".json"} | CARDS | ALSO
    for name, path in sources.items():
        if path.exists():
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turn links to files of the repository into links of the site, and formulae into MathML."""
    for before, after in LINKS.items():
        markdown = markdown.replace(before, after)
    parts = _FENCED.split(markdown)
    for i in range(0, len(parts), 2):
        parts[i] = _BLOCK.sub(lambda m: f"\n\n{formula(m[1], 'block')}\n\n", parts[i])
        parts[i] = _INLINE.sub(lambda m: formula(m[1], "inline"), parts[i])
    return "".join(parts)


class Formulae(griffe.Extension):
    """Formulae and references in docstrings, which are written as in Sphinx."""

    def on_instance(self, *, obj, **kwargs):
        """Rewrite the docstring of an object before it is parsed."""
        if obj.docstring is None:
            return
        text = _DIRECTIVE.sub(lambda m: f"{m[1]}{formula(m[2], 'block')}\n\n", obj.docstring.value)
        obj.docstring.value = _ROLE.sub(lambda m: f"`{m[1].lstrip('~')}`", text)
