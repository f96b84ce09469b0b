"""The examples run, print what they promise, and learn: a broken gradient or update misses the
bounds below by far, as the last tests show."""

from __future__ import annotations

import importlib
import math
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
TEXT = str(EXAMPLES.parent / "LICENSE")
LN2 = math.log(2)

# Bounds, each between what training gives (in parentheses) and what an untrained model gives.
LOGISTIC_ACCURACY = 0.97  # (0.994; 0.62 are benign)
DIGITS_ACCURACY = 0.95  # (0.975 after 15 epochs; chance is 0.1)
RECONSTRUCTION = 19.0  # nats, (17.7 after 20 epochs; 64 ln 2 = 44.4 at the start)
XOR_LEARNT = 0.05  # nats, (below 0.01; ln 2 for no knowledge)
RBM_RECONSTRUCTION = 26.0  # nats, (23.4 after 8 epochs; 44.6 at the start)
RBM_PSEUDO_LIKELIHOOD = -25.0  # nats, (-21.5 after 8 epochs; -64 ln 2 = -44.4 at the start)
RECURRENT_ACCURACY = 0.85  # (lstm 0.90, rnn 0.95 after 8 epochs; chance is 0.1)
TEXT_BITS = 4.2  # bits, (lstm 3.9, rnn 3.7 after 4 epochs; log2 92 = 6.5 for no knowledge)


def load(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module(name)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().out.splitlines()


def test_logistic_regression(monkeypatch, capsys):
    accuracy = load("logistic_regression", monkeypatch).main(steps=400)
    out = lines(capsys)
    assert accuracy >= LOGISTIC_ACCURACY
    assert out[0].startswith("compiled in ")
    steps = [line for line in out if line.startswith("step ")]
    costs = [float(line.split("cost")[1].split()[0]) for line in steps]
    assert len(costs) >= 8
    assert costs[0] == pytest.approx(LN2, abs=5e-5)  # weights of zero: p = 1/2 everywhere
    assert costs == sorted(costs, reverse=True)
    assert out[-1].startswith(f"final test accuracy {accuracy:.3f}")


def test_digits(monkeypatch, capsys):
    accuracy = load("digits_mlp", monkeypatch).main(epochs=15)
    out = lines(capsys)
    assert accuracy >= DIGITS_ACCURACY
    costs = [float(line.split("cost")[1].split()[0]) for line in out if line.startswith("epoch ")]
    assert len(costs) >= 3
    assert costs[-1] < 0.1 * costs[0]
    assert out[-1].startswith(f"final test accuracy {accuracy:.3f}")


def test_autoassociator(monkeypatch, capsys):
    cost = load("autoassociator", monkeypatch).main(epochs=20)
    out = lines(capsys)
    assert cost < RECONSTRUCTION
    first = float(next(line for line in out if line.startswith("epoch")).split()[-1])
    assert cost < 0.7 * first
    assert sum("→" in line for line in out) == 3 * 8
    assert out[-1] == f"final reconstruction cross-entropy {cost:.3f}"


def test_quiet_prints_the_final_line_only(monkeypatch, capsys):
    load("autoassociator", monkeypatch).main(epochs=1, quiet=True)
    assert len(lines(capsys)) == 1
    load("logistic_regression", monkeypatch).main(steps=2, quiet=True)
    assert len(lines(capsys)) == 1


def test_xor(monkeypatch, capsys):
    results = load("xor_sigmoids", monkeypatch).main()
    out = lines(capsys)
    assert all(np.isfinite(r.cost) for r in results.values())
    stuck = results.pop(("hard_sigmoid", 3.0))
    for run, result in results.items():
        assert result.cost < XOR_LEARNT, run
        assert result.moved > 1.0, run
    # No gradient reaches the first layer, so nothing better than a constant can be predicted.
    assert stuck.moved == 0.0
    assert stuck.cost > LN2 - 0.01
    assert sum("epoch" in line for line in out) == 4 * 5
    assert sum("final cost" in line for line in out) == 5


@pytest.mark.parametrize("persistent", [False, True], ids=["CD", "PCD"])
def test_rbm(persistent, monkeypatch, capsys):
    result = load("rbm", monkeypatch).main(epochs=8, persistent=persistent)
    out = lines(capsys)
    before, after = result.reconstruction
    # Small weights: every mean is about 1/2.
    assert before == pytest.approx(64 * LN2, abs=0.5)
    assert after < RBM_RECONSTRUCTION
    before, after = result.pseudo_likelihood
    assert before == pytest.approx(-64 * LN2, abs=0.5)
    assert after > RBM_PSEUDO_LIKELIHOOD
    assert result.difference < 1e-12  # of costs around 25 nats
    assert sum(line.startswith("epoch ") for line in out) == 8
    watched = "pseudo-likelihood" if persistent else "reconstruction cost"
    assert all(watched in line for line in out if line.startswith("epoch "))
    assert out[-1].startswith("final reconstruction cross-entropy 44.")
    # The chains have not died: the samples show different pixels black and white.
    assert result.samples.std() > 0.2
    assert result.samples.std(axis=(0, 1)).max() > 0.2


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_recurrent_on_digits(cell, monkeypatch, capsys):
    accuracy = load("recurrent", monkeypatch).learn_digits(cell, epochs=8)
    out = lines(capsys)
    assert accuracy >= RECURRENT_ACCURACY
    costs = [float(line.split("cost")[1].split()[0]) for line in out if line.startswith("epoch ")]
    assert costs[0] < 2.3 and costs[-1] < 0.5 * costs[0]
    assert out[-1] == f"final test accuracy of the {cell} on digits {accuracy:.3f}"


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_recurrent_on_text(cell, monkeypatch, capsys):
    text = load("datasets", monkeypatch).python_topics(30_000)
    bits = load("recurrent", monkeypatch).learn_text(cell, text, epochs=4, hidden=32)
    out = lines(capsys)
    assert bits < TEXT_BITS
    written = [line for line in out if line.startswith("  | ")]
    assert len(written) == 3 and all(len(line) >= 4 + 70 for line in written)
    assert len(set(written)) == 3
    assert out[-1] == f"final cost of the {cell} on text {bits:.3f} bits a character"


@pytest.mark.parametrize(
    "command",
    [
        ["logistic_regression.py", "--steps", "20"],
        ["digits_mlp.py", "--epochs", "1"],
        ["autoassociator.py", "--epochs", "1"],
        ["xor_sigmoids.py", "--epochs", "8"],
        ["rbm.py", "--epochs", "1", "--k", "2", "--persistent", "--hidden", "16", "--seed", "3"],
        ["recurrent.py", "--epochs", "1", "--text-epochs", "1", "--cell", "rnn", "--text", TEXT],
    ],
    ids=lambda c: c[0],
)
def test_command_line(command, tmp_path):
    """As the files say they are run: from anywhere, by path."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    src = EXAMPLES.parent / "src"
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / command[0]), *command[1:]],
        cwd=tmp_path,
        env={**env, "PYTHONPATH": str(src)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "final" in done.stdout.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


# -- the tests tested: the bounds are missed when training does nothing ---------------------------


def test_bounds_notice_untrained_models(monkeypatch):
    mlp = load("digits_mlp", monkeypatch)
    data = load("datasets", monkeypatch).digits()
    _, errors = mlp.build(data, hidden=64, batch=32, rate=0.1, momentum=0.9)
    assert 1.0 - errors(data.x_test, data.y_test) < DIGITS_ACCURACY - 0.5
    xor = load("xor_sigmoids", monkeypatch)
    idle = xor.learn("sigmoid", 0.0, epochs=50, rate=0.0, seed=1, quiet=True)
    assert idle.cost > XOR_LEARNT + 0.5
    assert idle.moved == 0.0


def test_bounds_notice_a_gradient_of_the_wrong_sign(monkeypatch):
    logistic = load("logistic_regression", monkeypatch)
    assert logistic.main(steps=400, rate=-0.1, quiet=True) < LOGISTIC_ACCURACY - 0.2


def test_bounds_notice_recurrent_networks_that_learn_nothing(monkeypatch):
    recurrent = load("recurrent", monkeypatch)
    data = load("datasets", monkeypatch)
    _, errors = recurrent.build_digits("lstm")
    digits = data.digits()
    assert 1.0 - errors(digits.x_test, digits.y_test) < RECURRENT_ACCURACY - 0.5
    text = data.python_topics(3_000)
    network = recurrent.Characters("rnn", len(text.alphabet), 16)
    bits = network.measure(*recurrent.cut(text.codes, np.arange(0, 1600, 40), 40))
    assert bits > TEXT_BITS + 1.0


def test_a_text_that_is_too_short_is_refused(monkeypatch):
    with pytest.raises(ValueError, match="999 characters: at least 1000"):
        load("datasets", monkeypatch).text_of("a" * 999)
