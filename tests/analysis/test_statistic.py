"""A statistic says what it is, and how sure."""

from lsgen.analysis import Statistic


def test_it_is_written_with_all_that_it_knows():
    assert str(Statistic(0.5, 20)) == "0.5 (n = 20)"
    assert str(Statistic(0.97, 100, (0.9, 0.99), baseline=0.1)) == "0.97 [0.9, 0.99] (n = 100, baseline 0.1)"


def test_it_becomes_a_mapping():
    assert Statistic(0.5, 20, seed=3).to_dict() == {
        "value": 0.5,
        "n": 20,
        "interval": None,
        "baseline": None,
        "seed": 3,
        "level": 0.95,
    }
