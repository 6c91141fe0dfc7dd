"""Files with one SMILES per line, optionally followed by a name."""

import re
from collections.abc import Sequence

from wrlso.chem.files.records import Account, Records
from wrlso.chem.molecule import atoms_or_none

_EXTENSION = re.compile(r"(\|[^|]*\|)\s*(.*)", re.DOTALL)
_SAMPLE = 200
_TINY = 2
"""Maximum number of heavy atoms of what may be a number such as I or CN."""


def read_smiles_lines(lines: Sequence[str], notes: list[str]) -> Records:
    """Records of lines: a SMILES, a CXSMILES extension, a name. If only the second fields are
    molecules, the names come first."""
    swapped = ids_first(lines)
    smiles, names, numbers, blank, comments = list[str](), list[str](), list[int](), 0, 0
    for number, line in enumerate(lines, 1):
        head, *rest = line.split(None, 1) or [""]
        if not head:
            blank += 1
            continue
        if head[0] == "#":
            comments += 1
            continue
        name = rest[0].strip() if rest else ""
        if swapped and name:
            second, *rest = name.split(None, 1)
            head, name = second, " ".join([head, *rest]).strip()
        if head[0] == head[-1] and head[0] in "\"'" and len(head) > 2:
            head = head[1:-1]
        if name[:1] == "|" and (found := _EXTENSION.fullmatch(name)):
            head, name = f"{head} {found[1]}", found[2]
        smiles.append(head)
        names.append(name)
        numbers.append(number)
    if swapped:
        notes = [*notes, "the names come first on its lines, the SMILES second"]
    account = Account(len(lines), blank, comments, 0, len(smiles))
    return Records(smiles, names, None, numbers, [], account, notes)


def ids_first(lines: Sequence[str]) -> bool:
    """Whether the second fields of lines are the molecules.

    At least four in five of them are, with three atoms on average, and the first fields are not, or
    are as small as numbers that happen to be molecules (I, CN).
    """
    fields = [line.split(None, 2) for line in lines[:_SAMPLE] if line.strip()]
    pairs = [(one[0], one[1]) for one in fields if len(one) > 1 and one[0][0] != "#"]
    if len(pairs) < max(1, 0.5 * len(fields)):
        return False
    first, second = ([atoms_or_none(one[i]) or 0 for one in pairs] for i in (0, 1))
    molecules = [n for n in second if n]
    if len(molecules) < 0.8 * len(pairs) or sum(molecules) < 3 * len(molecules):
        return False
    sizes = list(zip(first, second, pairs, strict=True))
    tiny = all(
        (a <= _TINY or set(one[0]) <= {"I", "V", "X"}) and (a < b or not b) for a, b, one in sizes
    )
    return tiny or sum(n > 0 for n in first) <= 0.5 * len(molecules)
