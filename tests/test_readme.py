"""The README's whole example of an own task, run as it stands there but with fewer queries."""

import re
from pathlib import Path

README = Path(__file__).parents[1] / "README.md"
SMALLER = {"epochs=30": "epochs=5", "budget=100": "budget=24", "every=20": "every=12"}


def test_the_example_of_an_own_task_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WRLSO_CACHE", str(tmp_path / "cache"))
    (code,) = re.findall(r"```python\n(import flax.*?)```", README.read_text(), re.DOTALL)
    for ours, smaller in SMALLER.items():
        assert code.count(ours) == 1
        code = code.replace(ours, smaller)
    names: dict = {}
    exec(code, names)
    result, base = names["result"], names["load_data"]()
    assert [len(scores) for scores in result.scores()] == [24, 24]
    assert result.best.mean() > base.scores.mean() + 2 * base.scores.std()
    assert "Best of each seed:\nseed 0: " in result.table()
