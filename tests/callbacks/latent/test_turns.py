# ruff: noqa: NPY002
"""When a latent-space callback fires, and what it leaves alone."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

from lsgen.callbacks import TraversalFigures, Turns
from lsgen.callbacks.base import LatentCallback, PeriodicCallback, undisturbed
from lsgen.callbacks.latent.reconstructions import Reconstructions
from lsgen.callbacks.latent.samples import Samples
from lsgen.callbacks.latent.traversal import LatentTraversal
from lsgen.callbacks.probes import fixed_probe, observations_of


class Spy(LatentCallback):
    """Notes everything that it sees, and uses up random numbers of every kind."""

    family = "sample"
    wanted = 5

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.seen = []

    def render(self, space, probe, sink):
        modes = {part.training for part in space.modules()}
        draws = (torch.rand(()).item(), np.random.rand(), random.random())
        self.seen.append((sink.step, modes, torch.is_grad_enabled(), draws, probe))


@pytest.mark.parametrize(
    ("cadence", "steps"),
    [
        ({"every_n_steps": 4}, [4, 8, 10]),
        ({"every_n_steps": 5}, [5, 10]),
        ({"every_n_steps": 4, "turns": Turns(at_end=False)}, [4, 8]),
        ({"every_n_epochs": 1}, [5, 10]),
        ({}, [10]),
        ({"turns": Turns(at_end=False)}, []),
    ],
)
def test_it_fires_at_multiples_and_once_at_the_end(tmp_path, toys, cadence, steps):
    spy = Spy(**cadence)
    _, recorder, _ = toys.fit(tmp_path, [spy])
    assert [turn[0] for turn in spy.seen] == steps
    assert recorder.steps("sample/seconds") == steps
    assert all(0 < share < 1 for share in recorder.values("sample/share_of_training"))


def test_a_clock_that_jumps_over_a_multiple_fires_all_the_same(tmp_path, toys):
    class TwoOptimizerSteps(toys.ThirdParty):
        def training_step(self, batch, batch_idx):
            self.trainer.fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.completed += 1
            return super().training_step(batch, batch_idx)

    spy = Spy(every_n_steps=5)
    toys.fit(tmp_path, [spy], module=TwoOptimizerSteps())
    assert [turn[0] for turn in spy.seen] == [6, 10, 16, 20]


def test_gradient_accumulation_fires_once_a_step(tmp_path, toys):
    spy = Spy(every_n_steps=2)
    toys.fit(tmp_path, [spy], data=toys.loader(48), accumulate_grad_batches=3)
    assert [turn[0] for turn in spy.seen] == [2, 4]


def test_a_models_own_clock_goes_before_the_trainers(tmp_path, toys):
    module = toys.ThirdParty()
    module.generator_steps = 70
    spy = Spy(every_n_steps=1, turns=Turns(at_end=False))
    toys.fit(tmp_path, [spy], module=module)
    assert spy.seen == [], "a clock that stands still reaches no multiple"


def test_a_turn_runs_in_eval_mode_without_gradients_on_seeded_numbers_and_fixed_observations(tmp_path, toys):
    spy = Spy(every_n_steps=2, turns=Turns(seed=11))
    toys.fit(tmp_path, [spy])
    _, modes, gradients, draws, probe = spy.seen[0]
    assert modes == {False}
    assert not gradients
    with undisturbed(torch.nn.Identity(), 11):
        assert draws == (torch.rand(()).item(), np.random.rand(), random.random())
    assert all(turn[3] == draws for turn in spy.seen)
    assert torch.equal(probe.x, toys.images()[:5])
    assert probe.label.tolist() == [0, 1, 2, 3, 0]
    assert all(torch.equal(turn[4].x, probe.x) for turn in spy.seen)


def test_one_that_wants_no_observations_asks_for_no_data(tmp_path, toys):
    class Blind(PeriodicCallback):
        family = "sample"
        seen = ()

        def render(self, space, probe, sink):
            self.seen = (*self.seen, probe)

    stream = DataLoader(_Stream(toys.images(30)), 5)
    blind = Blind(every_n_steps=3)
    toys.fit(tmp_path, [blind], data=stream)
    assert blind.seen
    assert set(blind.seen) == {None}


@pytest.mark.slow
def test_training_is_bitwise_the_same_with_and_without_callbacks(tmp_path, toys):
    def callbacks():
        return [
            Spy(1),
            LatentTraversal(3, figures=TraversalFigures(kl_probes=20)),
            Reconstructions(every_n_epochs=1),
            Samples(2, n=4),
        ]

    ends = []
    for name, chosen in (("with", callbacks()), ("without", [])):
        module, _, _ = toys.fit(tmp_path / name, chosen)
        after = torch.rand(3).tolist(), np.random.rand(3).tolist(), random.random()
        state = {key: value.tolist() for key, value in module.state_dict().items()}
        ends.append((module.losses, state, after, module.training))
    assert ends[0] == ends[1]
    assert len(set(ends[0][0])) == len(ends[0][0]) > 1, "training moves"


def test_the_mode_of_each_part_and_the_generators_come_back_after_an_error_too():
    part = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.BatchNorm1d(2).eval())
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()

    def fail():
        part.eval()
        torch.rand(2), np.random.rand(), random.random()
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"), undisturbed(part, 0):
        fail()
    assert [p.training for p in part.modules()] == [True, True, False]
    assert torch.equal(torch.get_rng_state(), expected[0])
    assert np.random.get_state()[1].tolist() == expected[1]
    assert random.getstate() == expected[2]


@pytest.mark.parametrize(
    "batch",
    [
        lambda x, y: x,
        lambda x, y: (x, y),
        lambda x, y: [x],
        lambda x, y: {"x": x, "label": y, "other": "text"},
    ],
)
def test_batches_of_any_customary_kind_are_understood(batch):
    x, y = torch.rand(4, 1, 2, 2), torch.arange(4)
    found = observations_of(batch(x, y))
    assert found.x is x
    labelled = not isinstance(batch(x, y), torch.Tensor) and len(batch(x, y)) > 1
    assert (found.label is y) == labelled


@pytest.mark.parametrize("batch", ["text", {"image": torch.zeros(1)}, [], (3, torch.zeros(2))])
def test_other_batches_are_refused(batch):
    with pytest.raises(TypeError, match='expected a batch that is a tensor, a mapping with the tensor "x"'):
        observations_of(batch)


class _Mappings(Dataset):
    def __init__(self, x):
        self.x = x

    def __len__(self):
        return len(self.x)

    def __getitem__(self, index):
        return {"x": self.x[index], "label": torch.tensor(index)}


class _Stream(IterableDataset):
    def __init__(self, x):
        self.x = x

    def __iter__(self):
        return iter(self.x)


def _trainer(train=None, val=None, data=None):
    return type("Trainer", (), {"train_dataloader": train, "val_dataloaders": val, "datamodule": data})


def test_fixed_observations_come_from_the_start_of_the_validation_data_past_any_sampler(toys):
    x = toys.images(30)
    generator = torch.Generator().manual_seed(8)
    val = DataLoader(_Mappings(x[10:]), 4, shuffle=True, generator=generator)
    state = generator.get_state()
    found = fixed_probe(_trainer(DataLoader(_Mappings(x)), val), 6)
    assert torch.equal(found.x, x[10:16])
    assert found.label.tolist() == list(range(6))
    assert torch.equal(generator.get_state(), state)
    assert len(fixed_probe(_trainer(DataLoader(_Mappings(x)), [val]), 99)) == 20


def test_a_stream_is_read_for_validation_and_never_for_training(toys):
    x = toys.images(30)
    stream = DataLoader(_Stream(x), 4)
    assert torch.equal(fixed_probe(_trainer(None, stream), 6).x, x[:6])
    assert fixed_probe(_trainer(stream), 6) is None


def test_values_that_are_not_observed_are_looked_at_as_models_of_them_do():
    x = torch.tensor([[1.0, torch.nan], [2.0, 3.0]])
    found = observations_of({"x": x, "observed": torch.tensor([[True, False], [False, True]])})
    assert found.x.tolist() == [[1.0, 0.0], [2.0, 3.0]]


def test_a_data_module_with_probe_is_asked_first(toys):
    x = toys.images(7)

    class Data:
        def dataset(self, split):
            return x

        def probe(self, n, split):
            return {"x": x[:n], "label": torch.arange(n)}

    assert len(fixed_probe(_trainer(data=Data()), 3)) == 3
    assert len(fixed_probe(_trainer(data=Data()), 100)) == 7


def test_of_a_training_stream_alone_the_first_batch_is_looked_at_and_given_ones_come_first(tmp_path, toys):
    stream = DataLoader(_Stream(toys.images(8)), 4)
    spy = Spy(1)
    toys.fit(tmp_path, [spy], data=stream)
    assert len(spy.seen) > 2
    assert all(torch.equal(seen[4].x, toys.images(8)[:4]) for seen in spy.seen)
    spy = Spy(1, turns=Turns(probes=toys.images(3)))
    toys.fit(tmp_path, [spy], data=stream)
    assert torch.equal(spy.seen[0][4].x, toys.images(3))
    spy = Spy(1)
    toys.fit(tmp_path, [spy], module=toys.ThirdParty(encodable=False), data=stream)
    assert spy.seen[0][4] is None


def test_a_module_without_the_latent_space_needed_is_refused_before_training(tmp_path, toys):
    module = toys.ThirdParty()
    module.latent_space = torch.nn.Identity()
    sentence = r"Samples expected ThirdParty.latent_space to be a lsgen.latent.LatentSpace, got Identity"
    with pytest.raises(TypeError, match=sentence):
        toys.fit(tmp_path, [Samples()], module=module)
    sentence = r"Reconstructions expected ThirdParty.latent_space to be a lsgen.latent.EncodableLatentSpace, got Latent"
    with pytest.raises(TypeError, match=sentence):
        toys.fit(tmp_path, [Reconstructions()], module=toys.ThirdParty(encodable=False))


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"every_n_steps": 1, "every_n_epochs": 1}, "expected every_n_steps or every_n_epochs, got both"),
        ({"every_n_steps": 0}, "expected every_n_steps of at least 1, got 0"),
        ({"every_n_epochs": -1}, "expected every_n_epochs of at least 1, got -1"),
    ],
)
def test_impossible_cadences_are_refused(kwargs, sentence):
    with pytest.raises(ValueError, match=sentence):
        Spy(**kwargs)
