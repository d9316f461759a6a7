"""Jobs chosen by an expression."""

from __future__ import annotations

import itertools

import pytest

from lsgen.cli.errors import UsageError
from lsgen.cli.sweeps.selection import selected
from lsgen.runs import RunDirectory, Sweep

JOBS = list(itertools.product(("vae", "beta_vae"), (0, 1, 2, 3), (0.5, 4.0)))
STATES = ["done", "failed", "skipped", "pruned"] * 4


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """Return a sweep of 16 jobs over a model, a seed and a weight, every fourth of which has a metric."""
    sweep = Sweep.create(tmp_path_factory.mktemp("selection") / "s")
    for number, (model, seed, beta) in enumerate(JOBS):
        sweep.add([f"model={model}", f"seed={seed}"], run=f"{number:03d}", code="x")
        config = {"seed": seed, "model": {"objective": {"beta": beta}}, "test": number > 3, "logger": None}
        run = RunDirectory.create(sweep.path / f"{number:03d}", config, {"id": "x", "choices": {"model": model}})
        if STATES[number] == "done":
            run.set_status("finished", metrics={"val/elbo": -100.0 - number})
    sweep.save()
    return sweep


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("model=vae and seed>2", lambda n, model, seed, beta, state: model == "vae" and seed > 2),
        ("model = 'vae' or not seed <= 2", lambda n, model, seed, beta, state: model == "vae" or seed > 2),
        ("not (model=vae or seed=1,3)", lambda n, model, seed, beta, state: model != "vae" and seed not in (1, 3)),
        ("seed!=1,3", lambda n, model, seed, beta, state: seed in (0, 2)),
        (
            "model=vae or seed=3 and job>=8",
            lambda n, model, seed, beta, state: model == "vae" or (seed == 3 and n >= 8),
        ),
        ("model.objective.beta<4", lambda n, model, seed, beta, state: beta == 0.5),
        ("model.objective.beta==5e-1", lambda n, model, seed, beta, state: beta == 0.5),
        ("status=failed,pruned", lambda n, model, seed, beta, state: state in ("failed", "pruned")),
        ("val/elbo<-104", lambda n, model, seed, beta, state: state == "done" and n > 4),
        ("test=true", lambda n, model, seed, beta, state: n > 3),
        ("test=1", lambda n, model, seed, beta, state: False),
        ("seed='1'", lambda n, model, seed, beta, state: seed == 1),
        ("logger=null", lambda n, model, seed, beta, state: True),
    ],
)
def test_an_expression_chooses_what_its_words_say(text, rule, sweep):
    expected = [n for n, job in enumerate(JOBS) if rule(n, *job, STATES[n])]
    assert [job.number for job in selected(sweep, STATES, text)] == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected a key, got 'the end'"),
        ("val/elbo<nan", "expected a number after val/elbo<, got nan"),
        ("sead>2", "has 'sead'; did you mean seed?"),
        ("status=faild", "got 'faild'; did you mean failed?"),
        ("seed", "expected =, !=, <, <=, > or >= after seed, got 'the end'"),
        ("seed>big", "expected a number after seed>, got 'big'"),
        ("status>1", "expected numbers of 'status' to compare with a number, got "),
        ("not test<1", "expected numbers of 'test' to compare with a number, got "),
        ("seed=1 model=vae", "expected and, or, or the end, got 'model'"),
        ("(seed=1", "a parenthesis is not closed"),
        ("seed=1)", "got ')'"),
        ("seed='1", "cannot read"),
        ("seed=", "expected a value, got 'the end'"),
        ("__import__('os').system('true')", "expected =, !=, <, <=, > or >= after __import__"),
        ("(" * 5000 + "seed=1", "nested more than 50 deep"),
        ("not " * 5000 + "seed=1", "nested more than 50 deep"),
    ],
)
def test_what_is_no_expression_is_refused(text, sentence, sweep):
    with pytest.raises(UsageError) as told:
        selected(sweep, STATES, text)
    assert sentence in str(told.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name=0012", [0]),
        ("name=12", []),
        ("tag=1", [0]),
        ("hidden=[10,20]", [0]),
        ("hidden='[10, 20]', [30]", [0, 1]),
        ("flag='true'", [0]),
        ("flag=False", [1]),
        ("model.rate=None", [0]),
        ("word=null", [1]),
        ("word='null'", [0]),
        ("word='none'", []),
        ("val/elbo=nan", [1]),
        ("not val/elbo!=nan", [1]),
        ("txt='a=b and (c)'", [0]),
        ("größe=1e-3", [0]),
        ('größe=.001,"0.01"', [0, 1]),
    ],
)
def test_a_value_is_chosen_however_it_is_written(text, expected, odd):
    assert [job.number for job in selected(odd, ["done", "done"], text)] == expected


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Return a sweep of two jobs whose values look like others."""
    sweep = Sweep.create(tmp_path_factory.mktemp("odd") / "s")
    first = {"name": "0012", "tag": "1", "hidden": [10, 20], "flag": True, "model": {"rate": None}, "word": "null"}
    other = {"name": "x", "tag": "2", "hidden": [30], "flag": False, "model": {"rate": 2.0}, "word": None}
    texts = {"größe": 0.001, "txt": "a=b and (c)"}, {"größe": 0.01, "txt": "a"}
    for number, config in enumerate((first | texts[0], other | texts[1])):
        sweep.add([f"seed={number}"], run=f"{number:03d}", code="x")
        run = RunDirectory.create(sweep.path / f"{number:03d}", config, {"id": "x"})
        run.set_status("finished", metrics={"val/elbo": (-1.0, float("nan"))[number]})
    sweep.save()
    return sweep
