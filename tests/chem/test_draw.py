"""Pictures of molecules: bounded in time, and RDKit's settings stay as they are."""

import sys
import time

import numpy as np
import pytest

pytest.importorskip("rdkit")

from rdkit import Chem
from rdkit.Chem import rdDepictor

from wrlso.chem import draw

RING = "C1" + "C" * 98 + "C1"
CHAIN = "C" * 1000


def test_molecules_are_drawn_and_the_preference_is_kept():
    before = rdDepictor.GetPreferCoordGen()
    images = draw.pictures(["c1ccccc1O", "CCO"], 120)
    assert images.shape == (2, 120, 120, 3)
    assert images.dtype == np.float32
    assert images.min() < 0.5
    assert images.max() == 1
    assert not np.array_equal(images[0], images[1])
    assert rdDepictor.GetPreferCoordGen() == before
    assert draw.pictures([], 120).shape == (0, 120, 120, 3)


@pytest.fixture
def patience(monkeypatch):
    """A worker with another time limit, for this test."""

    def set_patience(seconds):
        monkeypatch.setattr(draw, "_PATIENCE", seconds)
        draw._drawer.cache_clear()
        draw._picture.cache_clear()
        draw._too_hard.clear()

    yield set_patience
    set_patience(draw._PATIENCE)


def test_a_large_ring_is_drawn_in_seconds(patience):
    """CoordGen takes minutes for it."""
    patience(1)
    start = time.monotonic()
    (image,) = draw.pictures([RING], 120)
    assert (image < 0.5).any()
    assert time.monotonic() - start < 30  # two processes start, on a busy machine
    assert draw._too_hard == {"coordgen": 100}  # so that a larger ring is drawn plainly at once


@pytest.mark.slow
def test_a_long_chain_is_drawn_in_seconds():
    """The plain way takes minutes for it."""
    (image,) = draw.pictures([CHAIN], 120)
    assert (image < 0.5).any()


def test_what_takes_too_long_either_way_is_a_text(patience):
    patience(1e-3)
    (image,) = draw.pictures([RING], 200)
    text = draw._as_text("C100H200: drawing takes more than 0.002 s", 200)
    assert np.array_equal(np.uint8(image * 255), text)
    assert (image < 0.5).any()


def test_an_error_names_what_is_no_molecule():
    with pytest.raises(ValueError, match="is not a molecule"):
        draw.pictures(["C("])


@pytest.fixture
def without_drawing(monkeypatch):
    """RDKit without the libraries that it draws with, as on a bare server."""
    monkeypatch.setitem(sys.modules, "rdkit.Chem.Draw", None)
    monkeypatch.delattr(Chem, "Draw", raising=False)
    draw._can_draw.cache_clear()
    draw._picture.cache_clear()
    yield
    draw._can_draw.cache_clear()
    draw._picture.cache_clear()


def test_molecules_are_texts_where_rdkit_cannot_draw(without_drawing):
    with pytest.warns(UserWarning, match="molecules are shown as text.*apt install libxrender1"):
        images = draw.pictures(["c1ccccc1O", "CCO"], 200)
    assert np.array_equal(np.uint8(images[1] * 255), draw._as_text("CCO", 200))
    assert np.array_equal(draw.pictures(["CCO"], 200), images[1:])  # without another warning
    mol = Chem.MolFromSmiles("CCO")
    draw.place_atoms(mol)  # an SDF file needs coordinates only
    assert mol.GetNumConformers() == 1
