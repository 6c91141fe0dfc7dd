"""Ten thousand odd inputs from a committed seed: an error in words, or a value that means the same.

The default suite tries a few of each kind. ``pytest -m slow tests/test_fuzz.py`` tries all.
"""

import contextlib
import copy
import io
import json
import math
import signal
import string
import tomllib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save

import wrlso
from tests.builders import METHOD, make_tiny_task
from wrlso import RunSettings, methods
from wrlso.chem.checks import Checks, _examine
from wrlso.chem.composite import Composite
from wrlso.chem.objective_file import from_mapping, read_objective
from wrlso.cli.errors import FAULT
from wrlso.cli.main import main
from wrlso.runs.config import RunConfig, plan_run
from wrlso.runs.folder import RunFolder
from wrlso.runs.results_file import read_results
from wrlso.runs.size import check_size, check_steps
from wrlso.storage.sealed import DIGEST, sealed_json
from wrlso.storage.tensors import _digest, load_tree
from wrlso.tasks.expression.grammar import decode, encode
from wrlso.tasks.molecule.model import load_model
from wrlso.tasks.molecule.task import SHIPPED as MOLECULES
from wrlso.tasks.shape.task import SHIPPED as SHAPES

SEED = 20_261_126
STARTING = {"count": 200, "best": 4.0, "initial": 0}
LIMIT = 60
"""Maximum number of seconds per input."""

ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.sampled_from([0, -1, 1, 2**31, 2**63, 10**400]),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["inf", "nan", "1e9", "", "0", "-1", "null", "../..", "a" * 5000]),
    st.lists(st.integers(-2, 2), max_size=3),
    st.dictionaries(st.text(max_size=4), st.integers(-2, 2), max_size=2),
)


def says(error, what=""):
    """Whether an error has words, and those that it must have."""
    told = str(error)
    assert told
    assert what in told, told


def in_time(body):
    def run(value):
        def stop(number, frame):
            raise TimeoutError(f"took more than {LIMIT} s: {value!r}")

        before = signal.signal(signal.SIGALRM, stop)
        signal.alarm(LIMIT)
        try:
            body(value)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    return run


def fuzz(strategy, body, examples):
    quiet = settings(
        max_examples=examples, deadline=None, database=None,
        suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    seed(SEED)(quiet(given(strategy)(in_time(body))))()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of a run that was begun."""
    path = tmp_path_factory.mktemp("fuzz") / "run"
    _, config = plan_run(make_tiny_task(), METHOD, RunSettings(budget=12, seeds=3, progress=False))
    config = RunConfig(**{**vars(config), "starting": STARTING})
    return RunFolder.create(path, config)


def configurations(folder, examples):
    """Records of a run: changed, and changed with a new digest; and settings of a new run."""
    text = folder.config_file.read_text()
    content = json.loads(text)
    whole = folder.config

    def changed(change):
        name, value, how, _ = change
        new = dict(content)
        if how == "deleted":
            new.pop(name, None)
        elif how == "inside" and isinstance(new.get(name), dict):
            new[name] = {**new[name], str(value)[:20]: value}
        else:
            new[name] = value
        return new

    def record(change):
        new = changed(change)
        sealed = change[3]
        new = {k: v for k, v in new.items() if k != DIGEST} if sealed else new
        folder.config_file.write_text(
            sealed_json(new) if sealed else json.dumps(new), encoding="utf-8"
        )
        try:
            config = RunFolder(folder.path).config
        except ValueError as error:
            says(error, "config.json cannot be read")
            return
        assert sealed or config == whole, "a change without a word"
        assert config.queries >= 1
        assert config.seed_numbers[0] >= 0
        assert all(number > 0 for number in config.hyper.values())
        assert config.epochs is None or 0 <= config.epochs < math.inf
        config.own_method()

    def bytes_(edit):
        place, byte, cut = edit
        stored = bytearray(text.encode())
        stored[place % len(stored)] = byte
        folder.config_file.write_bytes(stored[: cut % len(stored)] if cut else stored)
        try:
            assert RunFolder(folder.path).config == whole
        except ValueError as error:
            says(error, "config.json cannot be read")

    def plan(options):
        method, chosen = options
        try:
            made = methods.weighted_retraining().with_options(**method)
            wanted = RunSettings.of({"progress": False, **chosen})
            resolved, config = plan_run(make_tiny_task(), made, wanted)
            check_size(config, resolved)
            check_steps(resolved, 200)
        except (ValueError, TypeError) as error:
            says(error)
            return
        assert resolved.steps(0, 200) < 2**31
        assert RunConfig.from_json(config.to_json()) == config

    names = st.sampled_from([*content, "new", "bugdet"])
    how = st.sampled_from(["value", "deleted", "inside"])
    numbers = st.one_of(st.floats(), st.sampled_from([1e9, 1e300, 0.0, -1.0]))
    counts = st.one_of(st.integers(-2, 2000), st.sampled_from([10**12, 2**63, 10**30]))
    methods_ = st.fixed_dictionaries(
        {}, optional={"k": numbers, "epochs": numbers, "beta": numbers, "retrain_every": counts}
    )
    chosen = st.fixed_dictionaries(
        {},
        optional={
            "budget": counts, "seeds": counts, "first_seed": counts, "batch": counts,
            "devices": counts, "proposer": st.sampled_from(["grid", "prior", "bo", "bu"]),
            "gradient_of": st.sampled_from(["objective", "regressor", "x"]),
            "seed_mode": st.sampled_from(["map", "vmap", "auto", "x"]),
        },
    )  # fmt: skip
    places = st.tuples(st.integers(0, 10**6), st.integers(0, 255), st.integers(0, 10**4))
    try:
        fuzz(st.tuples(names, ODD, how, st.booleans()), record, examples // 3)
        fuzz(places, bytes_, examples // 3)
        fuzz(st.tuples(methods_, chosen), plan, examples - 2 * (examples // 3))
    finally:
        folder.config_file.write_text(text)


def command_lines(folder, examples):
    """Words after ``wrlso``; what could run is refused, as its folder is taken."""
    path = str(folder.path)
    options = (
        "--budget", "--seeds", "--first-seed", "--k", "--epochs", "--beta", "--retrain-every",
        "--proposer", "--batch", "--method", "--devices", "--seed-mode", "--target", "--rows",
        "--architecture", "--pretrain-epochs", "--noise", "--html", "--csv", "--n", "--pending",
        "--no-figures", "--no-progress", "--column", "--unknown", "--", "-h", "--initial",
    )  # fmt: skip
    values = st.one_of(
        st.sampled_from([path, "shapes", "expressions", "bo", "grid", "1e9", "-1", "0", "nan",
                         "inf", "x", "", "sin(x)", "12", "999999999999999999999", "é", "\udc80"]),
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
    )  # fmt: skip
    commands = st.sampled_from(
        [["run", "shapes"], ["run", "expressions"], ["run"], ["resume"], ["resume", path],
         ["open", "shapes"], ["ask"], ["tell", path], ["report"], ["report", path], ["export"],
         ["tasks"], ["methods"], ["data"], ["train"], ["completion"], ["--version"], []]
    )  # fmt: skip
    words = st.lists(st.one_of(st.sampled_from(options), values), max_size=5)

    def call(line):
        command, rest = line
        taken = ["--out", path] if command[:1] in (["run"], ["open"]) and command[1:] else []
        if command[:1] == ["resume"] and path in command:
            rest = [*rest, "--unknown"]  # a whole command would run
        try:
            code = main([*command, *rest, *taken])
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 2
        assert code in (0, 1, 2), (command, rest, code)
        assert code != FAULT

    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        fuzz(st.tuples(commands, words), call, examples)


def smiles(folder, examples):
    """Text like SMILES: a verdict, and an accepted molecule is accepted again as itself."""
    pieces = st.sampled_from(
        [*"CNOPSFIcnos()[]=#+-.%123456789@/\\*:$", "Cl", "Br", "[NH4+]", "C(=O)O", "c1ccccc1",
         "[2H]", "[C@H]", "%10", "[999C]", "[Xx]", "1", "11", "CC", "N", " ", "\t", "é", "\0"]
    )  # fmt: skip
    checks = Checks(None, None, 60)

    def examine(parts):
        verdict = _examine("".join(parts), checks)
        assert verdict.text or verdict.kind
        if not verdict.kind:
            again = _examine(verdict.text, checks)
            assert (again.kind, again.text) == ("", verdict.text)

    fuzz(st.lists(pieces, max_size=40), examine, examples)


def expressions(folder, examples):
    """Text like expressions: an error in words, or a derivation that spells itself again."""
    tokens = st.sampled_from(
        [*"x123+*/()", "sin", "exp", "sin(", "exp(", " ", "x", "x", "-", "4", "cos", "\n", "é", ""]
    )

    def read(parts):
        text = "".join(parts)
        try:
            (derivation,) = encode([text])
        except ValueError as error:
            says(error)
            return
        assert (encode([decode(derivation)])[0] == derivation).all()

    fuzz(st.lists(tokens, max_size=15), read, examples)


def tables(folder, examples):
    """Tables of results: an error that names the file, or rows with finite scores."""
    file = folder.path.parent / "results.csv"
    cells = st.one_of(
        st.sampled_from(["id", "score", "object", "smiles", "reason", "r0q0", "1.5", "nan", "-inf",
                         "failed", "", "1e400", '"', '"a,b"', "1,5", "0x10", "\0", "\udc80"]),
        st.text(string.printable, max_size=6),
    )  # fmt: skip
    rows = st.lists(st.lists(cells, max_size=4), max_size=6)
    raw = st.binary(max_size=80)
    head = st.sampled_from(
        ["", "id,score\n", "object;score;reason\n", "id\tscore\n", "\ufeffid,score\n"]
    )

    def read(made):
        first, lines, noise, mark = made
        text = first + "\n".join(mark.join(line) for line in lines)
        file.write_bytes(text.encode("utf-8", "surrogatepass") + noise)
        try:
            found = read_results(file)
        except ValueError as error:
            says(error, "results.csv")
            return
        assert all(row.score is None or math.isfinite(row.score) for row in found)

    fuzz(
        st.tuples(head, rows, st.one_of(st.just(b""), raw), st.sampled_from(",;\t")), read, examples
    )


def model_files(folder, examples):
    """Model files with other bytes, and with other metadata: refused by name, or the same."""
    stored = SHAPES.read_bytes()
    vae = wrlso.tasks.shapes().vae
    import jax

    like = jax.eval_shape(vae.init, jax.random.key(0))
    whole = load_tree(SHAPES, like)
    file = folder.path.parent / "model.safetensors"

    def bytes_(edit):
        place, bit, cut = edit
        new = bytearray(stored)
        new[place % len(new)] ^= 1 << bit
        file.write_bytes(new[: cut % len(new)] if cut else new)
        try:
            found = load_tree(file, like)
        except ValueError as error:
            says(error, "model.safetensors")
            return
        jax.tree.map(np.testing.assert_array_equal, found, whole)

    with safe_open(MOLECULES, framework="numpy") as opened:
        metadata = opened.metadata()
        some = next(iter(opened.keys()))
        few = {some: opened.get_tensor(some)}  # with the others it is slow, and no more wrong

    def described(change):
        name, value, sealed = change
        about = {**metadata, name: value}
        about.pop(DIGEST)
        if sealed:
            about[DIGEST] = _digest(few, about)
        file.write_bytes(save(few, metadata=about))
        with pytest.raises(ValueError, match=r"model\.safetensors"):
            load_model(file)

    places = st.tuples(st.integers(0, 10**6), st.integers(0, 7), st.integers(0, 10**5))
    texts = st.one_of(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
        ODD.map(lambda value: json.dumps(value, default=str)),
        st.sampled_from(["{}", "[]", "[" * 5000, '{"latent_dim": -1}', '{"format":1}']),
    )
    fuzz(places, bytes_, examples - examples // 2)
    names = st.sampled_from([*metadata])
    fuzz(st.tuples(names, texts, st.booleans()), described, examples // 2)


def objectives(folder, examples):
    """Objectives in TOML, with values and keys of other kinds: an error that names the file."""
    text = """
name = "lead"
aggregate = "geometric_mean"
[[component]]
property = "molecular_weight"
transform = {type = "double_sigmoid", low = 200, high = 500, coef_div = 500, coef_si = 20, coef_se = 20}
weight = 0.25
[[component]]
similarity = ["CCO"]
fingerprint = "FCFP6"
counts = false
transform = {type = "linear", at_0 = 0, at_1 = 0.7}
[[component]]
substructure = "CO"
factor = true
transform = {type = "value_mapping", mapping = {0 = 0.5, 1 = 1.0}}
[filter]
alerts = ["pains"]
max_weight = 500
windows = {logp = [0, 5]}
"""  # noqa: E501
    whole = tomllib.loads(text)
    assert isinstance(from_mapping(whole), Composite)
    places = list(_places(whole))
    file = folder.path.parent / "lead.toml"

    def changed(change):
        place, value, how = change
        content = copy.deepcopy(whole)
        *path, last = place
        inside = content
        for key in path:
            inside = inside[key]
        if how == "deleted":
            del inside[last]
        elif how == "more" and isinstance(inside[last], dict):
            inside[last][str(value)[:20]] = value
        else:
            inside[last] = value
        try:
            assert isinstance(from_mapping(content, "lead.toml"), Composite)
        except ValueError as error:
            says(error, "lead.toml")

    def bytes_(edit):
        place, new, cut = edit
        stored = text.encode()
        at = place % len(stored)
        stored = stored[:at] + new + stored[at + 1 :]
        file.write_bytes(stored[: cut % len(stored)] if cut else stored)
        try:
            assert isinstance(read_objective(file), Composite)
        except ValueError as error:
            says(error, "lead.toml")

    pieces = st.one_of(
        st.binary(max_size=3),
        st.sampled_from([b"[" * 3000, b"9" * 5000, b"a.", b"nan", b"'", b"{"]),
    )
    odd = st.one_of(ODD, st.sampled_from(["logp", "linear", "CCO", "[C", "qed", "pains"]))
    how = st.sampled_from(["value", "deleted", "more"])
    fuzz(st.tuples(st.sampled_from(places), odd, how), changed, examples - examples // 2)
    edits = st.tuples(st.integers(0, 10**4), pieces, st.sampled_from([0, 0, 100, 333, 500]))
    fuzz(edits, bytes_, examples // 2)


def _places(content, path=()):
    """The path of each value in nested tables and lists."""
    pairs = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in pairs:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from _places(value, (*path, key))


KINDS = {
    configurations: 3000,
    command_lines: 1500,
    smiles: 2000,
    objectives: 500,
    expressions: 1500,
    tables: 1000,
    model_files: 500,
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_a_few_odd_inputs_are_told_in_words(folder, kind):
    kind(folder, 12)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_ten_thousand_odd_inputs_are_told_in_words(folder, kind):
    assert sum(KINDS.values()) == 10_000
    kind(folder, KINDS[kind])
