"""Every data set keeps the contract. Data sets enrol themselves: each conf/data/*.yaml is tested."""

import importlib
import inspect
from dataclasses import fields
from pathlib import Path

import lsgen.conf
import members
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from lsgen.data import DataModule, Loading, Position
from lsgen.data.encodings import Numbered

CONF = Path(lsgen.conf.__path__[0])
NAMES = sorted(path.stem for path in (CONF / "data").glob("*.yaml") if not path.stem.startswith("_"))


def options_of(name):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("train", [f"data={name}"])
        return OmegaConf.to_container(OmegaConf.masked_copy(config, ["seed", "data"]), resolve=True)["data"]


def class_of(options):
    module, _, name = options["_target_"].rpartition(".")
    return getattr(importlib.import_module(module), name)


def make(name, **changes):
    options = options_of(name)
    given = {key: value for key, value in options.items() if key != "_target_"}
    given = {key: instantiate(value) if isinstance(value, dict) else value for key, value in given.items()}
    given["loading"] = Loading(split_seed=options["loading"]["split_seed"])
    if name == "walks":
        pytest.importorskip("numba")
    try:
        return class_of(options)(**{**given, **changes})
    except FileNotFoundError:
        pytest.skip(f"the files of {name} are not in LSGEN_DATA_DIR")


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def data(name):
    return make(name)


def order(data, epoch, start=None):
    batches = data._training_batches()
    if start is not None:
        batches.start = start
    batches.set_epoch(epoch)
    return [request.indices for request in batches]


@pytest.mark.slow
def test_every_data_set_has_a_yaml():
    found = set(members.concrete(DataModule, "lsgen.data"))
    assert found == {class_of(options_of(name)) for name in NAMES}


def test_batches_have_the_promised_shapes_types_and_values(data):
    assert isinstance(data, DataModule)
    for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader()):
        batch = next(iter(loader))
        x = batch["x"]
        assert x.shape == (data.batch_size, *data.shape)
        assert x.dtype == (torch.int64 if isinstance(data.encoding, Numbered) else torch.float32)
        assert set(batch) <= {"x", "label", "factors", "group", "weight"}
        if "label" in batch:
            assert (batch["label"].shape, batch["label"].dtype) == ((len(x),), torch.int64)
        if data.factor_names:
            assert len(data.factor_names) == len(data.factor_sizes)
            assert (batch["factors"].shape, batch["factors"].dtype) == ((len(x), len(data.factor_names)), torch.int64)
            assert (batch["factors"] >= 0).all()
            assert (batch["factors"] < torch.tensor(data.factor_sizes)).all()
        values = data.values
        if values.levels is not None:
            assert x.min() >= 0
            assert x.max() <= 1
        if values.discrete:
            steps = x.double() * (values.levels - 1)
            torch.testing.assert_close(steps, steps.round(), atol=1e-4, rtol=0)


def test_the_yaml_states_all_options(name):
    options = options_of(name)
    signature = inspect.signature(class_of(options))
    assert set(options) - {"_target_"} == set(signature.parameters)
    assert set(options["loading"]) - {"_target_"} == {field.name for field in fields(Loading)}
    assert all(p.kind is not p.VAR_KEYWORD for p in signature.parameters.values())


def test_splits_are_disjoint_and_reproducible(data, name):
    again, other = make(name), make(name, seed=1)
    for split in ("train", "val", "test"):
        mine = data.dataset(split)
        few = torch.arange(min(20, len(mine)))
        for twin in (again, other) if split != "train" else (again,):
            assert torch.equal(mine.rows, twin.dataset(split).rows)
            assert torch.equal(mine[few]["x"], twin.dataset(split)[few]["x"])
    seen = {}
    for split in ("train", "val", "test"):
        dataset = data.dataset(split)
        seen.setdefault(id(dataset.source), []).append(dataset.rows)
    for rows in (torch.cat(parts) for parts in seen.values()):
        assert len(rows.unique()) == len(rows)


def test_order_of_training_is_a_function_of_seed_and_epoch(data, name):
    first = torch.cat(order(data, 0))
    assert torch.equal(first.sort().values, torch.arange(len(data.dataset("train"))))
    assert torch.equal(first, torch.cat(order(make(name), 0)))
    assert not torch.equal(first, torch.cat(order(data, 1)))
    assert not torch.equal(first, torch.cat(order(make(name, seed=1), 0)))


def test_a_resumed_order_is_the_rest_of_the_uninterrupted_one(data):
    whole = order(data, 2)
    for batch in {0, 1, len(whole) // 2, len(whole) - 1}:
        resumed = order(data, 0, Position(2, batch))
        assert torch.equal(torch.cat(whole[batch:]), torch.cat(resumed))


def test_probes_come_from_their_split(data):
    dataset = data.dataset("val")
    everything = dataset[torch.arange(min(len(dataset), 2000))]["x"].flatten(1).double()
    probe = data.probe(4)["x"].flatten(1).double()
    if len(dataset) <= 2000:
        assert (torch.cdist(probe, everything, compute_mode="donot_use_mm_for_euclid_dist").amin(1) == 0).all()
    assert torch.equal(probe, data.probe(4)["x"].flatten(1).double())


def test_another_shape_is_refused(data, name):
    wrong = (*data.shape[:-1], data.shape[-1] + 1)
    with pytest.raises(ValueError, match=r"expected shape \(.*\), which .* provides, got"):
        make(name, shape=wrong)


def test_unknown_options_are_refused(name):
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        make(name, colour="red")
