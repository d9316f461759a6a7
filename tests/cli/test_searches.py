"""Searches and grids that are refused before their first trial."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from lsgen.cli.errors import UsageError


def overrides_of(*texts):
    return OverridesParser.create().parse_overrides(list(texts))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a=tag(log,interval(0,16))", "expected a logarithmic interval above 0 for a, got a=tag"),
        ("a=tag(int,log,interval(0,4))", "expected a logarithmic interval above 0"),
        ("a=interval(8,1)", "expected an interval from a finite number up to another for a"),
        ("a=interval(1,inf)", "expected an interval from a finite number up to another for a"),
        ("a=interval(nan,1)", "expected an interval from a finite number up to another for a"),
        ("a=tag(int,interval(0.5,3))", "expected an interval of whole numbers for a under the tag int"),
        ("a=tag(half,interval(1,3))", "expected the tags log or int for a, got half"),
        ("a=tag(log,range(1,9))", "expected an interval for a under the tag log"),
        ("a=range(5,5)", "expected a range that holds a number for a"),
        ("a=range(1,5,-1)", "expected a range that holds a number for a"),
        ("a=range(1,5,0)", "expected a step other than 0"),
        ("a=glob(*)", "expected choice, range or interval for a"),
    ],
)
def test_what_a_search_cannot_draw(text, sentence):
    pytest.importorskip("optuna")
    from lsgen.cli.launchers.optuna_space import distribution

    with pytest.raises(UsageError) as told:
        distribution(*overrides_of(text))
    assert sentence in str(told.value)


def test_a_search_draws_the_numbers_that_hydra_makes_of_a_range():
    optuna = pytest.importorskip("optuna")
    from lsgen.cli.launchers.optuna_space import distribution

    for text in ("a=range(10,0,-2)", "a=range(1,9)", "a=range(0,10,3)", "a=range(-3,4,7)"):
        (one,) = overrides_of(text)
        drawn = distribution(one)
        assert isinstance(drawn, optuna.distributions.IntDistribution)
        assert set(range(drawn.low, drawn.high + 1, drawn.step)) == set(one.sweep_iterator())
    interval = distribution(*overrides_of("a=tag(log,interval(1,8))"))
    assert (interval.low, interval.high, interval.log) == (1, 8, True)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("hydra.sweeper.storage=sqlite:////proc/none/x.db", "unable to open database file"),
        ("hydra.sweeper.storage=abacus", "cannot keep the study in abacus (hydra.sweeper.storage): Could not parse"),
        ("hydra.sweeper.storage=sqlite:////etc/hostname", "(hydra.sweeper.storage): file is not a database"),
        ("hydra/launcher=basic", "expected hydra/launcher to be joblib, local, ray or slurm for hydra/sweeper=optuna"),
        ("hydra.sweeper.sampler=GridSampler", "hydra.sweeper.sampler=GridSampler with its sampler_options: "),
        ("+hydra.sweeper.sampler_options.foo=1", "got an unexpected keyword argument 'foo'"),
        ("hydra.sweeper.n_trials=1.5", "expected hydra.sweeper.n_trials to be a whole number (int), got 1.5 (float)"),
        ("hydra.sweeper.direction=up", "lsgen: expected hydra.sweeper.direction maximize or minimize, got 'up'"),
        ("hydra.sweeper.metric=val/elbow", "got 'val/elbow'; did you mean val/elbo?"),
        ("hydra.sweeper.metric=test/elbo", "expected hydra.sweeper.metric among what the run will log, val/loss, "),
    ],
)
@pytest.mark.slow
def test_a_search_is_refused_before_its_first_trial(override, sentence, lsgen, small, tmp_path, refused):
    pytest.importorskip("optuna")
    search = ("hydra/sweeper=optuna", "model.objective.beta=interval(1,2)", "sweep_dir=a/s")
    refused(lsgen("train", "-m", *small, *search, override), tmp_path, sentence)
    assert not (tmp_path / "a").exists()


@pytest.mark.slow
def test_a_study_goes_one_way(lsgen, small, tmp_path, refused):
    optuna = pytest.importorskip("optuna")
    storage = f"sqlite:///{tmp_path}/study.db"
    optuna.create_study(storage=storage, study_name="lsgen", direction="minimize")
    search = ("hydra/sweeper=optuna", "model.objective.beta=interval(1,2)", f"hydra.sweeper.storage={storage}")
    refused(lsgen("train", "-m", *small, *search), tmp_path, "expected hydra.sweeper.direction=minimize, which the")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("seed=range(5,5)", "expected a value to try for seed, got seed=range(5,5), which holds none"),
        ("seed=range(1,5,0)", "expected a step other than 0 for seed"),
        ("experiment=glob(nothing*)", "expected a value to try for experiment"),
        ("seed=interval(1,2)", "an interval has no grid: give seed values, or hydra/sweeper=optuna"),
    ],
)
def test_a_grid_of_nothing(override, sentence, lsgen, small, tmp_path, refused):
    refused(lsgen("train", "-m", *small, "sweep_dir=s", override), tmp_path, sentence)
    assert not (tmp_path / "s").exists()
