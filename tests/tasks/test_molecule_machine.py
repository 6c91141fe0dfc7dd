"""The grammar inside jit against the same rules in plain Python."""

from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rdkit import Chem

from tests.ringtree_cases import MOLECULES, plain, vocabulary
from wrlso.chem.ringtree.graph import Unwritable
from wrlso.chem.ringtree.nodes import BRIDGE, CHILD, EXIT, ON, TO, Node
from wrlso.chem.ringtree.tables import make_tables
from wrlso.chem.ringtree.templates import template
from wrlso.chem.ringtree.text import to_smiles
from wrlso.chem.ringtree.vocabulary import CLOSE, END, ENTRY, has_room, pair, starred
from wrlso.tasks.molecule import machine as machines

HETERO = {"N", "O", "P", "S", "As", "Se"}


@dataclass
class Spelling:
    """A node that is being spelled: what it hangs from, and what its sites can still take."""

    name: str
    hangs: tuple
    free: list = field(default_factory=list)
    most: list = field(default_factory=list)
    stage: str = "entry"
    begun: tuple = ()


class Reference:
    """The rules, one string at a time."""

    def __init__(self, vocabulary):
        self.vocabulary = vocabulary
        self.stack = [("root",)]

    def slot(self, name, site, order, hangs):
        """The slot of a child at a site, or None if no bond leads on from there."""
        piece = template(name)
        parent = hangs[1] if hangs[0] == "slot" else ""
        kind = starred(piece.kinds[site], len(piece.kinds) == 1, parent)
        leads = any((kind, order) in ((a, o), (b, o)) for a, o, b in self.vocabulary.pairs)
        return ("slot", kind, order) if leads else None

    def may_enter(self, hangs, name, site, order):
        piece = template(name)
        if hangs[0] == "slot":
            bond = pair(hangs[1], hangs[2], piece.kinds[site])
            return order == hangs[2] and bond in self.vocabulary.pairs and piece.most[site] >= order
        if hangs[0] in ("bridge", "loop") and order == hangs[1] <= piece.most[site]:
            most = list(piece.most)
            left = piece.free[site] - order
            most[site] = min(left, 1 if order > 1 and not piece.hyper[site] else most[site])
            return any(m >= 1 for m in most)
        return False

    def left_by(self, node, hangs):
        """What a whole node leaves, or None if it does not fit."""
        site, order = node.entry
        if (hangs[0] == "root") != (order == 0) or (
            hangs[0] in ("bridge", "loop")
        ) != node.in_bridge:
            return None
        if hangs[0] == "slot" and not self.may_enter(hangs, node.template, site, order):
            return None
        if hangs[0] in ("bridge", "loop") and order != hangs[1]:
            return None
        out, start = [], (0, 0)
        for what, at, bond in node.uses:
            if what == CHILD:
                out.append(self.slot(node.template, at, bond, hangs))
            elif what == BRIDGE:
                start = (at, bond)
            elif what == TO:
                out.append(("loop" if at == start[0] else "bridge", start[1], bond))
            elif what == ON:
                out.append(("bridge", bond, hangs[2]))
            elif bond != hangs[2] or (hangs[0] == "loop" and at == site):
                return None
        return None if None in out else out

    def fits(self, symbol, number):
        if not self.stack:
            return number == END
        top = self.stack[-1]
        if isinstance(top, Spelling):
            return self.fits_spelling(top, symbol, number)
        if isinstance(symbol, Node):
            return self.left_by(symbol, top) is not None
        if isinstance(symbol, str):
            orders = (1, 2, 3)
            sites = range(len(template(symbol).free))
            enters = (self.may_enter(top, symbol, s, o) for s in sites for o in orders)
            return top[0] == "root" or any(enters)
        return False

    def fits_spelling(self, top, symbol, number):
        if number == CLOSE:
            return top.stage == "open"
        if not isinstance(symbol, tuple) or isinstance(symbol, Node):
            return False
        what, site, order = symbol
        if site >= len(top.free) or order > top.most[site] or order > top.free[site]:
            return False
        if what == ENTRY:
            return top.stage == "entry" and self.may_enter(top.hangs, top.name, site, order)
        if what in (EXIT, ON):
            if top.stage != "leave" or what == ON:
                return top.stage == "leave"
            return order == top.hangs[2] and (top.hangs[0] != "loop" or site != top.begun[0])
        if what == TO:
            return top.stage == "reach"
        if top.stage != "open":
            return False
        if what == CHILD:
            return self.slot(top.name, site, order, top.hangs) is not None
        return sum(top.free) > order

    def read(self, number):
        symbol = self.vocabulary.symbols[number]
        if number == END:
            return
        top = self.stack[-1]
        if isinstance(symbol, Node):
            self.stack.pop()
            self.stack += reversed(self.left_by(symbol, top))
        elif isinstance(symbol, str):
            piece = template(symbol)
            stage = "open" if top[0] == "root" else "entry"
            self.stack[-1] = Spelling(symbol, top, list(piece.free), list(piece.most), stage)
        elif number == CLOSE:
            self.stack.pop()
        else:
            self.use(top, *symbol)

    def use(self, top, what, site, order):
        top.free[site] -= order
        plain = order > 1 and not template(top.name).hyper[site]
        top.most[site] = min(1 if plain else top.most[site], top.free[site])
        below = None
        if what == ENTRY:
            top.stage = "leave" if top.hangs[0] in ("bridge", "loop") else "open"
            top.begun = (site, order)
            return
        if what == BRIDGE:
            top.stage, top.begun = "reach", (site, order)
            return
        top.stage = "open"
        if what == CHILD:
            below = self.slot(top.name, site, order, top.hangs)
        elif what == TO:
            below = ("loop" if site == top.begun[0] else "bridge", top.begun[1], order)
        elif what == ON:
            below = ("bridge", order, top.hangs[2])
        if below is not None:
            self.stack.insert(-1, below)

    def mask(self):
        symbols = enumerate(self.vocabulary.symbols)
        return np.array([self.fits(symbol, number) for number, symbol in symbols])


@pytest.fixture(scope="module")
def machine():
    return machines.make_machine(make_tables(vocabulary()), 16)


def random_strings(machine, count, steps, timed, seed=0):
    """Strings of allowed symbols, drawn uniformly, and the masks ``[steps, count, S]``."""

    def step(carry, i):
        state, key = carry
        key, draw = jax.random.split(key)
        possible = machines.allowed(machine, state, steps - i if timed else None)
        symbol = jax.random.categorical(draw, jnp.where(possible, 0.0, -jnp.inf))
        return (machines.advance(machine, state, symbol), key), (symbol, possible)

    start = (machines.begin(machine, count), jax.random.key(seed))
    _, (strings, masks) = jax.jit(lambda s: jax.lax.scan(step, s, jnp.arange(steps)))(start)
    return np.asarray(strings).T, np.asarray(masks)


def test_masks_inside_jit_are_those_of_the_rules(machine):
    # Without a limit of time; where stacks are full, masks are not looked at.
    strings, masks = random_strings(machine, 60, 12, timed=False)
    for place, string in enumerate(strings):
        rules = Reference(vocabulary())
        for step, number in enumerate(string):
            if len(rules.stack) > 12:
                break
            mask = rules.mask()
            wrong = np.flatnonzero(mask != masks[step, place])
            said = [vocabulary().symbols[i] for i in wrong[:5]]
            assert not len(wrong), f"{string[:step]}: {said}, top {rules.stack[-1:]}"
            rules.read(number)


@pytest.mark.parametrize("smiles", MOLECULES)
def test_strings_of_molecules_are_allowed(machine, smiles):
    string = [*vocabulary().write(smiles), END, END]
    state = machines.begin(machine, 1)
    for number in string:
        assert machines.allowed(machine, state)[0, number]
        state = machines.advance(machine, state, jnp.array([number]))
    assert not state.stack.any()


@pytest.mark.parametrize("steps", [3, 10])
def test_every_string_within_its_time_is_a_molecule_that_is_written(machine, steps):
    strings, masks = random_strings(machine, 300, steps, timed=True)
    assert masks.any(-1).all()
    written = 0
    for string in strings:
        smiles = to_smiles(string, vocabulary())
        mol = Chem.MolFromSmiles(smiles)
        assert sum(atom.GetNumRadicalElectrons() for atom in mol.GetAtoms()) == 0
        assert plain(smiles) == smiles
        try:
            again = vocabulary().write(smiles)
        except Unwritable:
            continue  # pieces that meet in a ring system nobody can assemble
        assert to_smiles(again, vocabulary()) == smiles
        written += 1
    assert written > 0.8 * len(strings)


@pytest.mark.slow
def test_within_time_only_what_the_rules_allow(machine):
    strings, masks = random_strings(machine, 40, 8, timed=True, seed=1)
    state = machines.begin(machine, 40)
    for step in range(8):
        assert not (masks[step] & ~np.asarray(machines.allowed(machine, state))).any()
        state = machines.advance(machine, state, jnp.asarray(strings[:, step]))


def test_whole_nodes_have_room():
    assert all(map(has_room, vocabulary().nodes))
