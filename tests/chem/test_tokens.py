"""SELFIES tokens: every row is a molecule, every molecule one row."""

import json
import random
import re

import numpy as np
import pytest

pytest.importorskip("rdkit")

import selfies
from rdkit import Chem

from wrlso.chem.molecule import canonical, parse
from wrlso.chem.tokens import (
    BOND_LIMITS,
    PADDING,
    Alphabet,
    make_alphabet,
    pack,
    split,
    to_selfies,
    to_smiles,
    tokenize,
)

MOLECULES = (
    "COc1cc2ncnc(Nc3ccc(F)c(Cl)c3)c2cc1OCCCN1CCOCC1",
    "CCC[C@@H](C(=O)OCC)N[C@@H](C)C(=O)N1[C@H]2CCCC[C@H]2C[C@H]1C(=O)O",
    r"CCOC(=O)/C=C/c1ccc(\N=N\c2ccccc2)cc1",
    "O=C1Nc2ccc(Cl)cc2[C@@](C#CC2CC2)(C(F)(F)F)O1",
    "C[S@](=O)c1ccc(cc1)[N+](=O)[O-]",
    "CC(=O)[O-].[Na+]",
    "C[n+]1ccccc1.[I-]",
    "OB(O)c1ccccc1",
    "C[Si](C)(C)C#CBr",
    "O=[Se]1CCCC1",
    "CP(=O)(OC)OC",
    "F[P-](F)(F)(F)(F)F",
    "[13CH3]C([2H])O",
    "CN=[N+]=[N-]",
    "c1ccc2c(c1)[nH]c1ccccc12",
    "O=C(O)c1ccc2cc3ccccc3cc2c1",
    "C1CC2CCC1C2",
    "[C-]#[O+]",
    "C",
)


BONDS = ("", "=", "#")


def test_selfies_and_rdkit_agree_on_every_number_of_bonds_allowed():
    """Any bonds up to the limit, in any combination, make a molecule that RDKit accepts."""
    checked = 0
    for key, limit in BOND_LIMITS.items():
        if key == "?":
            assert limit == 0
            continue
        element, charge = re.fullmatch(r"([A-Z][a-z]?)([+-]\d)?", key).groups()
        for orders in (o for total in range(limit + 1) for o in partitions(total, 3)):
            bonds = "".join(f"({BONDS[order - 1]}C)" for order in orders)
            parse(f"[{element}{charge or ''}]{bonds}")
            checked += 1
    assert checked > 250


def partitions(total, largest):
    if total == 0:
        yield ()
    for first in range(min(total, largest), 0, -1):
        yield from ((first, *rest) for rest in partitions(total - first, first))


def exotic_alphabet():
    """Every element and charge of the table and some more, with hydrogens, bonds, stereo."""
    atoms = {"[F-1]", "[Cl-1]", "[Na+1]", "[Fe+2]", "[Xe]", "[N+2]", "[2H]", "[13CH1]", "[epsilon]"}
    for key, limit in BOND_LIMITS.items():
        element, charge = re.fullmatch(r"(\?|[A-Z][a-z]?)([+-]\d)?", key).groups()
        if element == "?":
            continue
        for h in range(min(limit, 4)):
            hydrogens = f"H{h}" if h else ""
            atoms |= {f"[{bond}{element}{hydrogens}{charge or ''}]" for bond in BONDS}
    atoms |= {"[C@@H1]", "[C@H1]", "[C@]", "[S@@]", "[P@]", "[/C]", r"[\C]", "[/N]", r"[\O]", "."}
    links = {f"[{bond}Branch{n}]" for bond in BONDS for n in (1, 2, 3)}
    links |= {f"[{bond}Ring{n}]" for bond in BONDS for n in (1, 2, 3)}
    links |= {r"[-/Ring1]", r"[-\Ring1]", r"[\/Ring1]"}
    known = []
    for token in sorted(atoms | links):
        try:
            known.append(Alphabet((PADDING, token)).tokens[1])
        except ValueError:
            continue
    return known


@pytest.mark.parametrize("stereo", [False, True])
@pytest.mark.parametrize("kind", ["uniform", "growing", "knotted", "mutated"])
@pytest.mark.parametrize("rows", [400, pytest.param(20_000, marks=pytest.mark.slow)])
def test_every_row_of_tokens_is_a_molecule(kind, stereo, rows):
    """Not one of these may fail: uniform rows end early, the others grow, close rings, branch."""
    rng = random.Random(f"{kind} {rows}")
    tokens = rng.sample(exotic_alphabet(), 180)
    backbone = ["[C]", "[=C]", "[N]", "[S]", "[P]", "[=S]", "[=P]", "[Si]", "[N+1]", "[S+1]", "[B]"]
    rings = ["[Ring1]", "[Ring2]", "[=Ring1]", "[#Ring1]", "[Branch1]", "[=Branch1]", "[#Branch2]"]
    alphabet = make_alphabet([tokens, backbone, rings, *map(split, MOLECULES)], stereo)
    sizes = []
    for _ in range(rows):
        if kind == "mutated":
            row = split(rng.choice(MOLECULES))
            row = [rng.choice(tokens) if rng.random() < 0.1 else token for token in row]
        else:
            usual = {"uniform": tokens, "growing": backbone, "knotted": backbone + rings}[kind]
            row = [rng.choice(usual if rng.random() < 0.97 else tokens) for _ in range(120)]
        smiles = to_smiles(np.array([alphabet.number[token] for token in row]), alphabet)
        if smiles:
            sizes.append(parse(smiles).GetNumAtoms())
    assert len(sizes) > 0.85 * rows
    assert kind in ("uniform", "mutated") or np.mean(sizes) > 10


@pytest.mark.parametrize("stereo", [False, True])
def test_molecules_survive_the_round_trip(stereo):
    alphabet = make_alphabet([split(smiles, stereo) for smiles in MOLECULES], stereo)
    rows = tokenize(MOLECULES, alphabet)
    assert rows.dtype == np.uint8
    assert rows.shape == (len(MOLECULES), max(len(split(s, stereo)) for s in MOLECULES))
    assert [to_smiles(row, alphabet) for row in rows] == [canonical(s, stereo) for s in MOLECULES]
    assert ("[C@@H1]" in alphabet.tokens) == stereo
    assert ("[/C]" in alphabet.tokens or r"[\C]" in alphabet.tokens) == stereo


def test_equal_molecules_have_equal_rows():
    rng = random.Random(0)
    alphabet = make_alphabet(map(split, MOLECULES))
    for smiles, row in zip(MOLECULES, tokenize(MOLECULES, alphabet), strict=True):
        mol = parse(smiles)
        order = rng.sample(range(mol.GetNumAtoms()), mol.GetNumAtoms())
        other = Chem.MolToSmiles(Chem.RenumberAtoms(mol, order), canonical=False)
        np.testing.assert_array_equal(tokenize([other], alphabet, len(row))[0], row)


def test_a_row_ends_at_its_first_zero():
    alphabet = make_alphabet([["[C]", "[O]", "."]])
    carbon, oxygen, dot = (alphabet.number[token] for token in ("[C]", "[O]", "."))
    rows = [[carbon, oxygen, 0, carbon], [0, carbon, carbon, 0], [dot, dot, 0, 0],
            [dot, carbon, dot, dot], [carbon, carbon, oxygen, oxygen]]  # fmt: skip
    assert [to_smiles(np.array(row), alphabet) for row in rows] == ["CO", "", "", "C", "CCOO"]
    assert to_selfies(np.array(rows[0]), alphabet) == "[C][O]"
    assert to_smiles(np.zeros(0, np.uint8), alphabet) == ""
    with pytest.raises(ValueError, match=r"token numbers must be in \[0, 4\), got 4"):
        to_smiles(np.array([4]), alphabet)


def test_rings_beyond_99_are_passed_over_and_none_is_misread():
    alphabet = make_alphabet([["[C]", "[Ring1]", "[O]"]])
    propanes = ["[C]", "[C]", "[C]", "[Ring1]", "[Ring1]"]  # a ring of three, and its length
    row = np.array([alphabet.number[token] for token in propanes * 49])
    assert parse(to_smiles(row, alphabet)).GetRingInfo().NumRings() == 49
    long = np.array([alphabet.number[token] for token in propanes * 300])
    mol = parse(to_smiles(long, alphabet))
    assert 895 < mol.GetNumAtoms() <= 900
    assert mol.GetRingInfo().NumRings() == 49
    with pytest.raises(ValueError, match="needs more than 99 tokens for rings"):
        split("C1CC1" * 120)


def test_deep_branches_become_molecules():
    alphabet = make_alphabet([["[S]", "[#Branch1]", "[=Branch3]", "[C]"]])
    row = [alphabet.number[token] for token in ["[S]", "[=Branch3]", "[S]", "[S]", "[S]"] * 200]
    assert parse(to_smiles(np.array(row), alphabet)).GetNumAtoms() > 1


def test_an_alphabet_survives_json():
    alphabet = make_alphabet([split(smiles, True) for smiles in MOLECULES], stereo=True)
    stored = json.loads(json.dumps(alphabet.to_json()))
    assert Alphabet.from_json(stored) == alphabet
    assert alphabet.tokens[0] == PADDING
    assert list(alphabet.tokens[1:]) == sorted(alphabet.tokens[1:])
    assert make_alphabet(reversed([split(s, True) for s in MOLECULES]), True) == alphabet
    with pytest.raises(ValueError, match="decode differently"):
        Alphabet.from_json({**stored, "rules": 0})


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        ((), "first token"),
        (("[C]", PADDING), "first token"),
        ((PADDING, "[C]", "[O]", "[C]"), r"'\[C\]' occurs twice"),
        ((PADDING, "[C]", "[Xx]"), r"'\[Xx\]' is not a SELFIES token"),
        ((PADDING, "C"), "'C' is not a SELFIES token"),
        ((PADDING, "[C][C]"), "is not a SELFIES token"),
        ((PADDING, *(f"[{n}C]" for n in range(1, 257))), "at most 256 tokens, not 257"),
    ],
)
def test_lists_that_are_not_alphabets_are_refused(tokens, message):
    with pytest.raises(ValueError, match=message):
        Alphabet(tokens)


def test_molecules_that_do_not_fit_are_named():
    alphabet = make_alphabet([split("CCO"), split("c1ccccc1")])
    with pytest.raises(ValueError, match=r"'CCN' needs \[N\], which is not in the alphabet"):
        tokenize(["CCO", "CCN"], alphabet)
    with pytest.raises(ValueError, match="'CCCO' has 4 tokens, more than 3"):
        tokenize(["CCO", "CCCO"], alphabet, length=3)
    with pytest.raises(ValueError, match="not a molecule"):
        tokenize(["C("], alphabet)
    assert tokenize([], alphabet, 5).shape == (0, 5)
    assert pack([[1], [2, 3]], 3).tolist() == [[1, 0, 0], [2, 3, 0]]


@pytest.mark.parametrize("smiles", ["C*", "C$C", "CI(C)C", "C[Hg]C", "Cl(=O)(=O)(=O)O", "C->[Fe]"])
def test_molecules_without_selfies_are_refused(smiles):
    with pytest.raises(ValueError, match=r"has no SELFIES: (failed|input)"):
        split(smiles)


def test_another_users_bond_limits_change_nothing():
    alphabet = make_alphabet([["[C]", "[N]", "[=N]", "[Cl]", "[=Cl]"]])
    row = np.array([alphabet.number[t] for t in ("[C]", "[=N]", "[=Cl]", "[C]")])
    before = to_smiles(row, alphabet)
    try:
        selfies.set_semantic_constraints("hypervalent")
        assert to_smiles(row, alphabet) == before
        selfies.set_semantic_constraints("hypervalent")
        with pytest.raises(ValueError, match="has no SELFIES"):
            split("CI(C)C")
    finally:
        selfies.set_semantic_constraints()
