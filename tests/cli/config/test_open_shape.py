"""A shape that a config leaves open is that of the data, for everything that reads it."""

import pytest
from sklearn.datasets import load_wine

from lsgen.cli.application import compose_and_run
from lsgen.cli.config.preparation import prepare
from lsgen.cli.errors import UsageError


def prepared(*overrides):
    found = []

    def job(composed):
        try:
            found.append(prepare(composed, None).config)
        except UsageError as error:
            found.append(error)

    compose_and_run(overrides, "sweep", job)
    return found[0]


def test_an_open_shape_is_filled_in_before_networks_read_it():
    config = prepared("data=table", "data.name=wine", "data.shape=null")
    columns = load_wine().data.shape[1]
    assert config["data"]["shape"] == [columns]
    assert config["model"]["encoder"]["shape"] == config["model"]["decoder"]["shape"] == [columns]
    assert prepared("data=sprites", "data.shape=null")["data"]["shape"] == [1, 64, 64]


def test_a_stated_shape_is_left_to_the_data_to_refuse():
    assert prepared("data=table", "data.name=wine", "data.shape=[4]")["data"]["shape"] == [4]


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (("data.name=wines",), "data: expected a table out of .*, got 'wines'"),
        (("+data.colour=red",), "unknown config key 'data.colour'"),
        (("data.name=???",), r"cannot be resolved: Missing mandatory value: .*name"),
        (("data._target_=torch.nn.Identity",), "expected data.shape, .* from the data, and Identity has none"),
    ],
)
def test_data_that_cannot_tell_their_shape_are_refused(overrides, sentence):
    with pytest.raises(UsageError, match=sentence):
        raise prepared("data=table", "data.shape=null", *overrides)


def test_open_numbers_of_nodes_are_those_of_the_network(tmp_path, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "links.csv").write_text("source,target\n" + "".join(f"{a},{a + 1}\n" for a in range(40)))
    (tmp_path / "nodes.csv").write_text("id\n" + "".join(f"{a}\n" for a in range(50)))
    file = [
        "data.graph._target_=lsgen.data.GraphFile",
        "+data.graph.path=links.csv",
        "+data.graph.nodes_path=nodes.csv",
    ]
    config = prepared("model=deep_walk", *file)
    assert config["model"]["decoder"]["items"] == config["data"]["nodes"] == 50
    assert config["data"]["graph"]["path"] == str(tmp_path / "links.csv")
    assert config["data"]["graph"]["nodes_path"] == str(tmp_path / "nodes.csv")
    assert prepared("model=deep_walk", *file[:2])["data"]["nodes"] == 41
    with pytest.raises(UsageError, match=r"data: expected a network at none.csv, found nothing"):
        raise prepared("model=deep_walk", file[0], "+data.graph.path=none.csv")
