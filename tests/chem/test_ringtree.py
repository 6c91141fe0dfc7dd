"""Strings of ring systems: what is written, comes back."""

import json
from multiprocessing import Pool

import numpy as np
import pytest
from rdkit import Chem

from tests.ringtree_cases import MOLECULES, plain, vocabulary
from wrlso.chem.ringtree.compose import compose
from wrlso.chem.ringtree.graph import Unwritable, graph_of, plain_smiles, read_graph
from wrlso.chem.ringtree.learn import BOND_TEMPLATES, learn_vocabulary
from wrlso.chem.ringtree.pieces import cut
from wrlso.chem.ringtree.rows import read_rows, write_rows
from wrlso.chem.ringtree.templates import template
from wrlso.chem.ringtree.text import to_smiles
from wrlso.chem.ringtree.tree import nodes_of
from wrlso.chem.ringtree.vocabulary import Vocabulary
from wrlso.chem.zinc import ZINC_NAME, find_zinc

ATOMS = frozenset(("C", "N", "O", "S", "[NH4+]", "C=O", "O=[SH2]=O", *BOND_TEMPLATES))


def graph_of_smiles(smiles):
    return read_graph(plain_smiles(smiles))


def shuffled(smiles, count):
    mol = Chem.MolFromSmiles(smiles)
    return [Chem.MolToSmiles(mol, doRandom=True) for _ in range(count)]


def composed(nodes):
    return Chem.CanonSmiles(compose(nodes))


@pytest.mark.parametrize("smiles", MOLECULES)
def test_a_molecule_comes_back_without_its_stereochemistry(smiles):
    assert to_smiles(vocabulary().write(smiles), vocabulary()) == plain(smiles)


@pytest.mark.parametrize("smiles", MOLECULES)
def test_a_molecule_has_one_string_however_it_is_written(smiles):
    string = vocabulary().write(smiles)
    assert all(vocabulary().write(other) == string for other in shuffled(smiles, 10))


def test_pieces_are_ring_systems_and_atoms_with_their_terminal_groups():
    pieces = cut(graph_of_smiles("O=C(NC1CC2(CC1)OCCO2)c1ccc([N+](=O)[O-])c(C(F)(F)F)c1")).pieces
    names = sorted(piece.template for piece in pieces)
    expected = ["C=O", "N", "C1CCC2(C1)OCCO2", "c1ccccc1", "O=[NH+][O-]", "FC(F)F"]
    assert names == sorted(expected)


def test_the_root_is_an_end_of_the_longest_path_and_the_deep_come_last():
    nodes = nodes_of(cut(graph_of_smiles("CCCC(O)CCc1ccccc1")))
    assert [node.template for node in nodes] == [*"CCCC", "O", "C", "C", "c1ccccc1"][::-1] or [
        node.template for node in nodes
    ] == ["c1ccccc1", "C", "C", "C", "O", "C", "C", "C"]


def test_equivalent_sites_get_the_least_numbers():
    meta = nodes_of(cut(graph_of_smiles("Clc1cccc(Cl)c1")))
    ring = next(node for node in meta if node.template == "c1ccccc1")
    assert ring.entry == (0, 1)
    assert [site for _, site, _ in ring.uses] == [2]


@pytest.mark.parametrize(
    "smiles",
    [
        "c1ccc2nsnc2c1",  # entered nowhere, fused
        "Cc1ccc2nsnc2c1",
        "CC1=CC2=CC3=CC=CC=C3N=C2C=C1",
        "C1CC2CCC1CC2",
        "CC12CCC(CC1)C2",
        "c1ccc2c(c1)Cc1ccccc1-2",
        "O=C1CCC2CCCCC12",
        "CC1CCC2(CC1)CCNC2",
        "c1ccc2c3ccccc3c3ccccc3c2c1",
        "CN1c2ccccc2CCc2ccccc21",  # no part of it hangs on two sites of the entry's node
        "CC1COCOC1",
    ],
)
def test_an_unknown_ring_system_is_assembled_from_what_is_known(smiles):
    known = ATOMS | {"c1ccccc1", "C1CCCCC1"}
    pieces = cut(graph_of_smiles(smiles))
    nodes = nodes_of(pieces, known)
    assert known.issuperset(node.template for node in nodes)
    assert composed(nodes) == plain(smiles)
    for other in shuffled(smiles, 5):
        assert nodes_of(cut(graph_of_smiles(other)), known) == nodes


@pytest.mark.parametrize(
    ("smiles", "kind", "reason"),
    [
        ("not a molecule", "no molecule", "is no molecule"),
        ("", "no molecule", "is no molecule"),
        ("CC.O", "several molecules", "keep one"),
        ("C[CH2]", "unpaired electron", "unpaired electron"),
        ("[13CH3]C", "isotope", "isotope"),
        ("COOC", "bond", "a bond O-O"),
        ("CN(Br)C", "bond", "a bond Br-N"),
        ("CC=C=CC", "double bonds", "two double bonds on an atom of C"),
        ("C[Si](C)(C)C", "piece", "no template for"),
        ("C12C3C4C1C5C2C3C45", "ring system", "cannot be assembled"),
    ],
)
def test_what_cannot_be_written_is_refused_with_the_reason(smiles, kind, reason):
    with pytest.raises(Unwritable, match=reason) as caught:
        vocabulary().write(smiles)
    assert caught.value.kind == kind


def test_rows_keep_the_order_and_say_what_was_left_out():
    smiles = ["CCO", "COOC", "CCCCCCCCCC", "c1ccccc1"]
    written = write_rows(smiles, vocabulary(), 6)
    np.testing.assert_array_equal(written.places, [0, 3])
    assert [(r.place, r.kind) for r in written.rejected] == [(1, "bond"), (2, "too long")]
    assert read_rows(written.rows, vocabulary()) == ["CCO", "c1ccccc1"]
    assert written.rows.dtype == np.uint16


def test_strings_that_are_not_complete_are_refused():
    string = vocabulary().write("CC(=O)Nc1ccc(O)cc1")
    with pytest.raises(ValueError, match="ends with"):
        to_smiles(string[:-1], vocabulary())
    with pytest.raises(ValueError, match="goes on after"):
        to_smiles(string + string, vocabulary())


def test_a_vocabulary_survives_being_stored():
    stored = json.loads(json.dumps(vocabulary().to_json()))
    assert Vocabulary.from_json(stored) == vocabulary()
    with pytest.raises(ValueError, match="this version of wrlso reads"):
        Vocabulary.from_json({**stored, "format": 0})


def test_a_vocabulary_holds_what_is_frequent():
    smiles = [plain(s) for s in ("Cc1ccccc1", "Cc1ccccc1C", "CC1CC1", "Cc1ccccc1O", "CC1CC1")]
    learnt = learn_vocabulary(smiles, whole=1)
    assert set(learnt.templates) == {"C", "c1ccccc1", "C1CC1", *BOND_TEMPLATES}
    assert len(learnt.nodes) == 1
    assert learnt.pairs == {("C", 1, "C")}
    with pytest.raises(ValueError, match="none of the 1 molecules"):
        learn_vocabulary(["CC.C"])


def test_symmetries_leave_hydrogens_and_charges_where_they_are():
    assert len(template("c1ccccc1").symmetries) == 12
    assert len(template("c1cn[nH]c1").symmetries) == 1
    assert len(template("O=[NH+][O-]").symmetries) == 1


@pytest.mark.filterwarnings("ignore:os.fork")
def test_zinc_comes_back():
    every = [plain(smiles) for smiles in find_zinc(ZINC_NAME)[::125]]
    with Pool(2) as pool:
        learnt = learn_vocabulary(every, over=pool.imap)
        written = write_rows(every, learnt, 60, True, pool.imap)
        back = read_rows(written.rows, learnt, pool.imap)
    assert len(written.places) >= 0.99 * len(every)
    assert back == [every[i] for i in written.places]
    assert (written.rows > 0).sum(1).mean() < 13


@pytest.mark.parametrize(
    "smiles",
    [*MOLECULES, "[CH4]", "[Na+]", "[NH4+]", "CS(=O)(=O)C", "c1ccsc1", "c1cc[nH]c1",
     "OB(O)c1ccccc1", "CP(=O)(O)O", "FS(F)(F)(F)(F)F", "CN=[N+]=[N-]", "O=[N+]([O-])c1ccccc1",
     "[2H]C", "[H][H]"],
)  # fmt: skip
def test_the_text_of_a_molecule_tells_what_rdkit_tells(smiles):
    """The fast way to a graph reads the SMILES; the slow one asks RDKit for each atom."""
    text = plain_smiles(smiles)
    ways = []
    for known in ("", text):
        try:
            ways.append(graph_of(Chem.MolFromSmiles(text), known))
        except Unwritable as error:
            ways.append((error.kind, str(error)))
    assert ways[0] == ways[1]
