"""Transforms: values by hand, limits, and what is refused."""

import dataclasses
import math
import pickle

import pytest

from wrlso.chem import transforms as tr

BELL = math.exp(-0.5)


@pytest.mark.parametrize(
    ("transform", "values"),
    [
        (tr.Plain(), {0.3: 0.3, -2: -2}),
        (tr.Inverse(), {0.25: 0.75}),
        (tr.Gaussian(3, 2), {3: 1, 5: BELL, 1: BELL}),
        (tr.AtMost(3, 2), {-9: 1, 3: 1, 5: BELL}),
        (tr.AtLeast(3, 2), {1: BELL, 3: 1, 99: 1}),
        (tr.Window(1, 3, 2), {-1: BELL, 1: 1, 2: 1, 3: 1, 5: BELL}),
        (tr.Linear(0, 0.8), {-1: 0, 0: 0, 0.2: 0.25, 0.8: 1, 1: 1}),
        (tr.Linear(4, 2), {5: 0, 4: 0, 3: 0.5, 2: 1, 0: 1}),
        (tr.Sigmoid(1, 3, 0.5), {2: 0.5, 1: 1 / (1 + 10**2.5), 3: 1 / (1 + 10**-2.5)}),
        (tr.Sigmoid(2, 2, 1), {1.9: 0, 2: 0, 2.1: 1}),
        (tr.ReverseSigmoid(1, 3, 0.5), {2: 0.5, 1: 1 / (1 + 10**-2.5), 9e9: 0}),
        (
            tr.DoubleSigmoid(200, 500, 500, 20, 20),
            {200: 0.5, 500: 0.5, 175: 1 / 11, 350: 1 - 1 / (1 + 10**6), 525: 1 / 11, -9e9: 0},
        ),
        (tr.DoubleSigmoid(2, 4, 0), {1: 0, 2.5: 1, 3.5: 1, 5: 0}),
        (tr.Step(1, 3), {0.9: 0, 1: 1, 3: 1, 3.1: 0}),
        (tr.LeftStep(2), {2: 1, 2.1: 0}),
        (tr.RightStep(2), {2: 1, 1.9: 0}),
        (tr.ExponentialDecay(2), {-1: 1, 0: 1, 1: math.exp(-2)}),
        (tr.ValueMapping({0: 0.5, 1: 1.0}), {0: 0.5, 1: 1.0}),
    ],
)
def test_values_by_hand(transform, values):
    transform = pickle.loads(pickle.dumps(transform))
    for x, expected in values.items():
        assert transform(x) == pytest.approx(expected, abs=1e-12), x
    assert hash(transform) == hash(dataclasses.replace(transform))


def test_every_transform_has_a_name():
    made = {one for one in vars(tr).values() if dataclasses.is_dataclass(one)}
    assert made == set(tr.TRANSFORMS.values())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tr.Gaussian(0, 0), "width = 0: give a positive number"),
        (lambda: tr.Window(3, 1, 1), "low = 3 and high = 1: low must not be above high"),
        (lambda: tr.Sigmoid(3, 1, 1), "low = 3 and high = 1: low must not be above high"),
        (lambda: tr.Sigmoid(float("nan"), 1, 1), "low = nan"),
        (lambda: tr.ReverseSigmoid(1, 3, -1), "k = -1: give a positive number"),
        (lambda: tr.DoubleSigmoid(3, 1), "low = 3 and high = 1"),
        (lambda: tr.Linear(1, 1), "at_0 and at_1 are both 1"),
        (lambda: tr.ExponentialDecay(0), "k = 0"),
        (lambda: tr.ValueMapping({0: 1})(2), "no desirability of 2, but of: 0"),
    ],
)
def test_wrong_numbers_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
