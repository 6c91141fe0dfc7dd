"""The outcome of reading a file of molecules, in words."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from wrlso.chem.files.records import Rejection
from wrlso.chem.loaded import Molecules
from wrlso.storage.numbers import shown

_EXAMPLES = 3


def report(molecules: Molecules) -> str:
    """A file's molecules, scores, duplicates and rejected lines: some lines of text."""
    found, account = molecules.findings, molecules.findings.account
    lines = [
        f"{_count(len(molecules.smiles), 'different molecule')} in "
        f"{_count(account.records, 'record')} on {_count(account.lines, 'line')}"
    ]
    lines += [f"  {note}" for note in found.notes]
    if molecules.scores is not None and len(molecules.scores):
        low, middle, high = np.quantile(molecules.scores, (0, 0.5, 1))
        least, usual, most = (shown(score, 6) for score in (low, middle, high))
        lines.append(f"  scores: {least} to {most}, median {usual}")
    if found.stereo:
        share = found.stereo / len(molecules.smiles)
        lines.append(
            f"  {found.stereo:,} of them ({share:.0%}) have stereochemistry, which the model does "
            "not know: it is dropped"
        )
    for name, count in found.changes.items():
        lines.append(f"  {_count(count, 'molecule')} standardised: {name}")
    lines += _repeated(molecules)
    return "\n".join([*lines, why_rejected(molecules)])


def why_rejected(molecules: Molecules) -> str:
    """The rejected lines in words, and how many of them standardising would keep."""
    text = report_rejected(molecules.rejected)
    if molecules.findings.saved:
        text += (
            f"\n  {molecules.findings.saved:,} of these would be kept in their standard form "
            "(standardize, --standardize: parents of salts, neutral, without labels)"
        )
    return text


def report_rejected(rejected: Sequence[Rejection], examples: int = _EXAMPLES) -> str:
    """The rejected lines in words: one line per kind, then some examples of it."""
    text = [f"{_count(len(rejected), 'line')} rejected" if rejected else "no line rejected"]
    for kind, count in Counter(rejection.kind for rejection in rejected).most_common():
        text.append(f"  {count:,} {kind}")
        shown = [rejection for rejection in rejected if rejection.kind == kind][:examples]
        text += [f"    line {r.line}: {r.text[:60]}: {r.reason[:160]}" for r in shown]
    return "\n".join(text)


def first_molecules(molecules: Molecules, number: int = _EXAMPLES) -> str:
    """The first molecules with their lines, scores and names: one line of text each."""
    if molecules.scores is None:
        head = "the objective scores these molecules at first use, as no column of scores is named"
    else:
        head = "a run begins with these molecules and scores"
    lines = [f"{head}; the first:"]
    for i, smiles in enumerate(molecules.smiles[:number]):
        score = [] if molecules.scores is None else [shown(molecules.scores[i], 6)]
        name = [molecules.names[i][:60]] if molecules.names[i] else []
        lines.append(f"  line {molecules.lines[i]}: {'  '.join([smiles, *score, *name])}")
    return "\n".join(lines)


def _repeated(molecules: Molecules) -> list[str]:
    if not molecules.duplicates:
        return []
    found = molecules.findings
    stereo = sum(one.stereo for one in molecules.duplicates)
    by = f", {stereo:,} of them but for stereochemistry" if stereo else ""
    verb = "repeats" if len(molecules.duplicates) == 1 else "repeat"
    lines = [f"{_count(len(molecules.duplicates), 'line')} {verb} a molecule{by}"]
    if found.differing:
        by = f", {found.by_stereo:,} of them by stereochemistry" if found.by_stereo else ""
        lines.append(
            f"  {_count(found.differing, 'molecule')} with different scores{by}: the "
            f"{found.replicates} is used (replicates, --replicates); they differ by up to "
            f"{found.spread:g}"
        )
    return lines


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
