"""Every batch of every split is judged, by whomever it is run; none is smaller than a model can work on."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import LightningDataModule, Trainer
from pytorch_lightning.callbacks import BatchSizeFinder, LearningRateFinder
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from lsgen.callbacks import Checkpoint, FiniteLoss, HeldOutCheck, LikelihoodMetrics
from lsgen.data.batches import TensorSource
from lsgen.data.encodings import AsStored
from lsgen.data.loading import Loading
from lsgen.data.module import DataModule
from lsgen.latent import ClassPosterior, StandardNormal
from lsgen.latent.families.product import OneHot, Product
from lsgen.likelihoods import Bernoulli, Beta, FixedGaussian, Likelihood, Mixed, Poisson
from lsgen.models import VAE, LinearModel
from lsgen.models.contract import Contract
from lsgen.models.gan import GAN, NonSaturating
from lsgen.models.vae import ELBO, WAEMMD, AdaGVAE, BetaTCVAE, MissingDataIWAE, Objective, SemiSupervised
from lsgen.nn import ClassEncoder, MLPDecoder, MLPEncoder

D, B = 6, 8
nan, inf = float("nan"), float("inf")


class Table(DataModule):
    """Tensors by split; x as it is stored, read from memory or made batch by batch."""

    def __init__(self, batch_size: int = B, in_memory: bool = True, **splits: dict[str, Tensor] | Tensor) -> None:
        super().__init__((D,), (D,), AsStored(None), batch_size, 0, Loading())
        self.parts = {name: part if isinstance(part, dict) else {"x": part} for name, part in splits.items()}
        self.in_memory = in_memory

    def build(self, split: Any) -> Any:
        part = self.parts.get(split, self.parts["train"])
        source = TensorSource(**part)
        return self.subset(source if self.in_memory else lambda rows: source(rows), torch.arange(len(source)), split)


def _vae(objective: Objective | None = None, steps: int | None = 30, likelihood: Likelihood | None = None) -> VAE:
    torch.manual_seed(0)
    likelihood = Bernoulli((D,)) if likelihood is None else likelihood
    decoder = MLPDecoder(2, (D,), hidden=[8], heads=likelihood.heads, activation=nn.SiLU)
    objective = ELBO() if objective is None else objective
    return VAE(MLPEncoder((D,), 2, hidden=[8]), decoder, likelihood, StandardNormal(2), objective, max_steps=steps)


def _of_classes() -> VAE:
    torch.manual_seed(0)
    prior, posterior = Product([StandardNormal(2), OneHot(3)]), ClassPosterior(2, 3)
    encoder = ClassEncoder((D,), 2, 3, hidden=[8])
    return VAE(encoder, MLPDecoder(5, (D,), hidden=[8]), Bernoulli((D,)), prior, SemiSupervised(), posterior)


def _gan(value_range: Any = None) -> GAN:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(D, 8), nn.ReLU(), nn.Linear(8, 1), nn.Flatten(0))
    return GAN(
        MLPDecoder(2, (D,), hidden=[8]), critic, FixedGaussian((D,), 1.0), StandardNormal(2), NonSaturating(),
        value_range=value_range, max_steps=30,
    )  # fmt: skip


def _trainer(tmp_path: Path, callbacks: Any = (), **options: Any) -> Trainer:
    return Trainer(**{
        "default_root_dir": tmp_path, "accelerator": "cpu", "max_epochs": 3, "logger": False,
        "enable_checkpointing": any(isinstance(callback, Checkpoint) for callback in callbacks),
        "enable_progress_bar": False, "enable_model_summary": False, "callbacks": list(callbacks), **options,
    })  # fmt: skip


def _x(n: int, seed: int = 0, **values: float) -> Tensor:
    """Return observations in [0, 1]; `at_5 = 2.0` puts a 2 into observation 5."""
    x = torch.rand(n, D, generator=torch.Generator().manual_seed(seed))
    for name, value in values.items():
        x[int(name.removeprefix("at_")), 3] = value
    return x


# values


@pytest.mark.parametrize("value", [255.0, -0.1, nan, inf, -inf])
@pytest.mark.parametrize("split", ["train", "val"])
def test_one_wrong_value_in_memory_is_refused_before_the_first_step(tmp_path: Path, split: str, value: float) -> None:
    parts = {"train": _x(64), "val": _x(16), split: _x(64 if split == "train" else 16, at_13=value)}
    model = _vae()
    with pytest.raises(ValueError, match=f"got {value:.6g} in observation 13 of the {split} split") as refusal:
        _trainer(tmp_path).fit(model, Table(**parts))
    assert "Bernoulli expected observations that are between 0 and 1" in str(refusal.value)
    assert model.generator_steps == 0


def test_a_wrong_value_of_the_test_split_is_refused_before_a_run_that_will_test(tmp_path: Path) -> None:
    model, data = _vae(), Table(train=_x(16), val=_x(16), test=_x(16, at_3=255.0))
    with pytest.raises(ValueError, match="got 255 in observation 3 of the test split"):
        _trainer(tmp_path, [HeldOutCheck()]).fit(model, data)
    assert model.generator_steps == 0


@pytest.mark.parametrize("form", ["module", "mapping", "tensors"])
def test_one_wrong_value_is_refused_before_the_step_that_would_learn_from_it(tmp_path: Path, form: str) -> None:
    """Batches that are made as they come, through whatever loader; the sentence says which observation."""
    x, model = _x(64, at_43=255.0), _vae()
    data: Any = Table(train=x, val=x[:8], in_memory=False)
    if form != "module":
        data = DataLoader([{"x": row} for row in x] if form == "mapping" else TensorDataset(x), batch_size=B)
    with pytest.raises(
        ValueError, match=r"got 255 in observation (\d) of batch (\d) of the train split, epoch 0"
    ) as said:
        _trainer(tmp_path).fit(model, data)
    if form != "module":
        assert "observation 3 of batch 5" in str(said.value)
        assert model.generator_steps == 5


@pytest.mark.parametrize("stage", ["validate", "test", "predict"])
def test_evaluation_by_itself_is_judged(tmp_path: Path, stage: str) -> None:
    loader = DataLoader(TensorDataset(_x(20, at_17=nan)), batch_size=B)
    split = {"validate": "val"}.get(stage, stage)
    with pytest.raises(ValueError, match=rf"got nan in observation 1 of batch 2 of the {split} split: mend the data"):
        getattr(_trainer(tmp_path), stage)(_vae(), loader)


def test_a_validation_of_a_run_is_judged_to_its_last_batch(tmp_path: Path) -> None:
    trainer = _trainer(tmp_path, [Checkpoint(monitor="val/loss", mode="min"), LikelihoodMetrics()])
    with pytest.raises(ValueError, match="got 2 in observation 7 of batch 3 of the val split"):
        trainer.fit(_vae(), Table(train=_x(16), val=_x(32, at_31=2.0), in_memory=False))
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()


def test_labels_pairs_masks_and_ranges_are_judged_too(tmp_path: Path) -> None:
    x = _x(24)
    label = torch.arange(24) % 3

    def refused(model: Any, match: str, **part: Tensor) -> None:
        with pytest.raises(ValueError, match=match):
            _trainer(tmp_path).fit(model, Table(train={"x": x, **part}, val={"x": x, **part}, in_memory=False))

    refused(_of_classes(), "labels from 0 to 2, or -1 where the class is not known, got 3", label=label + (label == 2))
    refused(_of_classes(), "got -2 in observation", label=label - 2)
    refused(_vae(AdaGVAE()), "between 0 and 1, got 1.5", pair=_x(24, at_20=1.5))
    refused(_vae(MissingDataIWAE(2)), "got 255", x=_x(24, at_9=255.0), observed=torch.ones(24, D, dtype=torch.bool))
    refused(_gan((0, 1)), r"in model.value_range = \[0, 1\], got 1.25", x=_x(24, at_23=1.25))
    _trainer(tmp_path).fit(_of_classes(), Table(train={"x": x, "label": label - 1}))


def test_what_is_not_observed_may_be_anything(tmp_path: Path) -> None:
    x, model = _x(16, at_3=nan, at_9=255.0), _vae(MissingDataIWAE(2), steps=4)
    observed = (x >= 0) & (x <= 1)
    _trainer(tmp_path, [FiniteLoss()]).fit(model, Table(train={"x": x, "observed": observed}))
    assert model.generator_steps == 4
    observed[9] = False  # an observation of which nothing is known
    _trainer(tmp_path, [FiniteLoss()]).fit(_vae(MissingDataIWAE(2), 4), Table(train={"x": x, "observed": observed}))


@pytest.mark.parametrize("family", [Bernoulli, Beta, Poisson, FixedGaussian, "mixed"])
@pytest.mark.parametrize("value", [0.5, 1.0, 2.0, -1.0, 1.5, nan, inf, -inf])
def test_witnesses_tell_what_all_values_say(family: Any, value: float) -> None:
    likelihood: Likelihood = (
        Mixed({"counts": Poisson((2,)), "rest": Bernoulli((4,))}) if family == "mixed" else family((D,))
    )
    x = torch.full((7, D), 0.5) if family in (Beta,) else torch.ones(7, D)
    for column in range(D):
        spoilt = x.clone()
        spoilt[2, column] = value
        each = likelihood.in_support(spoilt).flatten(1).all(1)
        told = torch.stack([judge.in_support(values) for judge, values in likelihood.witnesses(spoilt)]).all(0)
        assert told.tolist() == each.tolist()
        assert bool(likelihood.allows(spoilt)) == bool(each.all())


# form


def test_batches_come_as_mappings_tensors_and_pairs(tmp_path: Path) -> None:
    """The same training whatever the form."""
    x, weights = _x(16), []
    for rows in ([{"x": row} for row in x], TensorDataset(x), TensorDataset(x, torch.zeros(16)), list(x)):
        model = _vae(steps=4)
        _trainer(tmp_path).fit(model, DataLoader(rows, batch_size=4))
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
        assert model.images_seen == 16
    assert all(torch.equal(weights[0], other) for other in weights[1:])


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_float_types_are_cast_and_told_once(tmp_path: Path, dtype: torch.dtype) -> None:
    model = _vae(steps=4)
    with pytest.warns(UserWarning, match=f"are of {dtype}: they are cast to torch.float32") as told:
        _trainer(tmp_path).fit(model, DataLoader(TensorDataset(_x(16).to(dtype)), batch_size=4))
    assert sum("are cast to" in str(one.message) for one in told) == 1
    assert model.generator_steps == 4
    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_images_of_bytes_are_scaled_and_told_once_but_counts_are_not(tmp_path: Path) -> None:
    shape, levels = (1, 2, 3), torch.arange(256, dtype=torch.uint8).repeat(3).view(-1, 1, 2, 3)
    grey = Contract("ELBO", Bernoulli(shape)).take([levels, torch.zeros(128)], torch.float32)["x"]
    assert torch.equal(grey.flatten(), torch.arange(256).repeat(3) / 255)
    counts = Contract("ELBO", Poisson(shape)).take(levels, torch.float32)["x"]
    assert torch.equal(counts.flatten(), torch.arange(256.0).repeat(3))
    encoder, decoder = MLPEncoder(shape, 2, hidden=[4]), MLPDecoder(2, shape, hidden=[4])
    model = VAE(encoder, decoder, Bernoulli(shape), StandardNormal(2), ELBO(), max_steps=4)
    with pytest.warns(UserWarning, match=r"of torch.uint8: .* torch.float32, scaled from 0-255 to \[0, 1\]") as told:
        _trainer(tmp_path).fit(model, DataLoader(TensorDataset(levels), batch_size=32))
    assert sum("are cast to" in str(one.message) for one in told) == 1
    assert model.generator_steps == 4


def test_double_precision_keeps_double_batches(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*are cast to.*")
        _trainer(tmp_path, precision="64-true").fit(_vae(steps=2), DataLoader(TensorDataset(_x(8).double()), 4))


@pytest.mark.parametrize(
    ("batch", "error", "match"),
    [
        (["one", "two"], TypeError, r'a mapping with "x", a tensor x, \(x,\) or \(x, label\), got a list of 2'),
        ({"y": _x(4)}, ValueError, 'ELBO expected batches with "x", got "y"'),
        ({"x": _x(4).mul(255).to(torch.uint8)}, TypeError, r'"x" of torch.float32, got torch.uint8: scale whole'),
        ({"x": _x(4)[:, :5]}, ValueError, r"Bernoulli expected observations of shape \(B, 6\), got \(4, 5\)"),
        ({"x": _x(4)[:, None]}, ValueError, r"of shape \(B, 6\), got \(4, 1, 6\)"),
        ({"x": _x(4)[0]}, ValueError, r"of shape \(B, 6\), got \(6,\)"),
        ({"x": _x(4)[:0]}, ValueError, r"of shape \(B, 6\), got \(0, 6\)"),
        ({"x": "text"}, TypeError, 'a tensor for "x" of a batch, got a str'),
    ],
)  # fmt: skip
def test_what_is_no_batch_is_refused_in_a_sentence(tmp_path: Path, batch: Any, error: type, match: str) -> None:
    model = _vae()
    with pytest.raises(error, match=match):
        _trainer(tmp_path).fit(model, DataLoader([batch], batch_size=None))
    assert model.generator_steps == 0


def test_entries_that_a_model_needs_are_asked_for_before_the_first_step(tmp_path: Path) -> None:
    x = _x(16)
    for model, part, match in (
        (_of_classes(), {}, 'SemiSupervised expected batches with "x", "label", got "x"'),
        (_of_classes(), {"label": torch.zeros(16)}, '"label" of torch.int64, got torch.float32'),
        (_of_classes(), {"label": torch.zeros(16, 1).long()}, r'"label" of shape \(B,\), got \(16, 1\)'),
        (_vae(AdaGVAE()), {}, 'AdaGVAE expected batches with "x", "pair", got "x"'),
        (_vae(MissingDataIWAE(2)), {"observed": x}, '"observed" of torch.bool, got torch.float32'),
    ):
        with pytest.raises((ValueError, TypeError), match=match):
            _trainer(tmp_path).fit(model, Table(train={"x": x, **part}))
        assert model.generator_steps == 0


# a data module with hooks of its own, tuners


class Hooked(LightningDataModule):
    def train_dataloader(self) -> Any:
        return DataLoader(TensorDataset(_x(16, at_9=0.75) * 255), batch_size=B)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        return {"x": torch.where(batch["x"] == 0.75 * 255, 99.0, batch["x"] / 255)}


def test_what_a_data_module_makes_of_a_batch_is_what_is_judged(tmp_path: Path) -> None:
    model = _vae()
    with pytest.raises(ValueError, match="got 99 in observation 1 of batch 1 of the train split, epoch 0"):
        _trainer(tmp_path).fit(model, Hooked())
    assert model.generator_steps == 1


@pytest.mark.parametrize("objective", [BetaTCVAE, WAEMMD])
@pytest.mark.slow
def test_tuners_that_train_before_the_start_of_a_fit_work(tmp_path: Path, objective: Any) -> None:
    data, model = Table(train=_x(65), val=_x(17)), _vae(objective(), steps=None)
    tuners = [BatchSizeFinder(init_val=2, max_trials=2), LearningRateFinder(num_training_steps=8, update_attr=False)]
    _trainer(tmp_path, tuners, max_epochs=1).fit(model, data)
    assert data.batch_size == 4
    assert model.generator_steps == 17


def test_a_tuner_meets_wrong_data_with_the_same_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"got 255 in observation \d+ of batch \d+ of the train split"):
        _trainer(tmp_path, [BatchSizeFinder(init_val=2, max_trials=1, steps_per_trial=40)]).fit(
            _vae(), Table(train=_x(64, at_9=255.0), in_memory=False)
        )


# sizes


def _batch_norm() -> VAE:
    model = _vae()
    model.latent_space.encoder = nn.Sequential(nn.Linear(D, 8), nn.BatchNorm1d(8), nn.Linear(8, 4))
    return model


@pytest.mark.parametrize("make", [lambda: _vae(WAEMMD()), _batch_norm], ids=["wae_mmd", "batch_norm"])
@pytest.mark.parametrize("n", range(2, 20))
def test_every_left_over_trains(tmp_path: Path, make: Any, n: int) -> None:
    """Every observation once in every epoch, whatever is left over of training, validation and test."""
    model, data = make(), Table(train=_x(n), val=_x(n), test=_x(n), batch_size=4)
    trainer = _trainer(tmp_path, max_epochs=1)
    trainer.fit(model, data)
    trainer.test(model, data, verbose=False)
    assert model.images_seen == n


@pytest.mark.parametrize("sizes", [(1, 4), (9, 1)], ids=["one observation", "batches of one"])
def test_what_cannot_be_trained_on_is_refused_before_the_first_step(tmp_path: Path, sizes: tuple[int, int]) -> None:
    model = _vae(WAEMMD())
    with pytest.raises(ValueError, match=r"expected (a batch_size of )?at least 2"):
        _trainer(tmp_path).fit(model, Table(train=_x(sizes[0]), batch_size=sizes[1]))
    assert model.generator_steps == 0


def test_one_held_out_observation_is_refused_only_where_it_cannot_be_judged(tmp_path: Path) -> None:
    _trainer(tmp_path, max_epochs=1).fit(_batch_norm(), Table(train=_x(8), val=_x(1)))
    model = _vae(WAEMMD())
    with pytest.raises(ValueError, match=r"expected at least 2 observations .* got 1"):
        _trainer(tmp_path).fit(model, Table(train=_x(8), val=_x(1)))
    assert model.generator_steps == 0


class Stream(IterableDataset):
    def __iter__(self) -> Iterator[Tensor]:
        yield from _x(9)


def test_foreign_loaders_say_what_they_leave_over(tmp_path: Path) -> None:
    model, good = _vae(WAEMMD()), DataLoader(TensorDataset(_x(8)), 4)
    expected = r"at least 2 observations, and 9 {} observations in batches of 4 leave one of 1: choose another batch"
    for train, val, split in ((9, 8, "training"), (8, 9, "validation")):
        with pytest.raises(ValueError, match=expected.format(split)):
            _trainer(tmp_path, num_sanity_val_steps=0).fit(
                model, DataLoader(TensorDataset(_x(train)), 4), DataLoader(TensorDataset(_x(val)), 4)
            )
    assert model.generator_steps == 0
    with pytest.raises(ValueError, match=expected.format("test")):
        _trainer(tmp_path).test(model, DataLoader(TensorDataset(_x(9)), 4))
    with pytest.raises(
        ValueError, match="WAEMMD expected batches of at least 2 observations, got 1 in batch 2 of the tr"
    ):
        _trainer(tmp_path).fit(model, DataLoader(Stream(), 4))
    _trainer(tmp_path, max_epochs=1).fit(_vae(WAEMMD()), DataLoader(TensorDataset(_x(9)), 4, drop_last=True), good)


class Nothing(IterableDataset):
    def __iter__(self) -> Iterator[Tensor]:
        return iter(())


def test_streams_without_a_batch_are_refused_when_they_end(tmp_path: Path) -> None:
    """One of training would be asked again for ever; one of validation gives no best checkpoint."""
    empty, good, sentence = DataLoader(Nothing(), 4), DataLoader(Stream(), 4), "expected at least one batch in the {} s"
    for train, val, split in ((empty, good, "train"), (good, empty, "val")):
        model = _vae(steps=None)
        with pytest.raises(ValueError, match=sentence.format(split)):
            _trainer(tmp_path, max_epochs=-1).fit(model, train, val)
        assert model.generator_steps == 0
    for stage in ("test", "predict"):
        with pytest.raises(ValueError, match=sentence.format(stage)):
            getattr(_trainer(tmp_path), stage)(_vae(), empty)


def test_too_few_observations_for_the_components_are_refused_before_any_is_seen(tmp_path: Path) -> None:
    model = LinearModel((D,), 3)
    with pytest.raises(ValueError, match="LinearModel with d = 3 expected at least 5 observations, got 4"):
        _trainer(tmp_path).fit(model, Table(train=_x(4)))
    assert model.images_seen == 0


# accelerators


def test_no_step_waits_for_an_accelerator_and_verdicts_are_read_later() -> None:
    """On a device without numbers, whatever would read one fails; only `read_verdicts` does."""
    objectives = (ELBO, WAEMMD, BetaTCVAE, lambda: MissingDataIWAE(2))
    for objective, family in [*((objective, Bernoulli) for objective in objectives), (ELBO, Poisson)]:
        with FakeTensorMode(allow_non_fake_inputs=True), torch.device("cuda"):
            model, trainer = _vae(objective(), likelihood=family((D,))), Trainer(accelerator="cpu", barebones=True)
            if isinstance(model.objective, BetaTCVAE):
                model.objective.prepare(100)
            trainer.strategy.connect(model)
            trainer._data_connector.attach_data(model, train_dataloaders=[])
            model.trainer = trainer
            batch = {"x": torch.rand(B, D), "observed": torch.rand(B, D) > 0.5}
            for index in range(3):
                taken = model._on_before_batch_transfer(batch)
                model.training_step(model._apply_batch_transfer_handler(taken, torch.device("cuda")), index)
            with pytest.raises(DataDependentOutputException):
                model.read_verdicts()


def test_verdicts_that_were_put_off_name_the_batch_and_keep_weights_from_being_saved() -> None:
    """A tensor that says it is on a device stands for one that is."""
    from lsgen.models.contract import Contract, ValueCheck
    from lsgen.models.verdicts import Place, Verdicts

    class Elsewhere(Tensor):
        device = torch.device("cuda")  # type: ignore[assignment]

    contract, verdicts = Contract("Model", Bernoulli((D,))), Verdicts()
    for batch in range(4):
        evidence = contract.value_checks({"x": _x(5, seed=batch, **({"at_4": nan} if batch == 2 else {}))})
        put_off = [ValueCheck(item.judge, item.values.as_subclass(Elsewhere)) for item in evidence]
        verdicts.add(Place("train", batch, 7), put_off)
    for _ in range(2):  # weights that learned from it stay refused
        with pytest.raises(
            ValueError, match=r"got nan in observation 4 of batch 2 of the train split, epoch 7.*not saved"
        ):
            verdicts.read()
    verdicts.forget()
    verdicts.read()


# the best checkpoint


class Drifting(VAE):
    """A validation loss that is given."""

    losses: tuple[float, ...] = ()

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        value = self.losses[self.trainer.current_epoch]
        self.log("val/chosen", torch.tensor(value), on_epoch=True, batch_size=len(batch["x"]))


def _drifting(*losses: float) -> Drifting:
    torch.manual_seed(0)
    model = Drifting(
        MLPEncoder((D,), 2, hidden=[8]), MLPDecoder(2, (D,), hidden=[8]), Bernoulli((D,)), StandardNormal(2), ELBO()
    )
    model.losses = losses
    return model


def test_a_monitor_that_is_no_number_is_told_and_the_last_finite_best_is_kept(tmp_path: Path) -> None:
    checkpoint = Checkpoint(monitor="val/chosen", mode="min")
    with pytest.warns(UserWarning, match="val/chosen") as told:
        _trainer(tmp_path, [checkpoint], max_epochs=4, num_sanity_val_steps=0).fit(
            _drifting(3.0, nan, -inf, 5.0), Table(train=_x(16), val=_x(8))
        )
    said = [str(one.message) for one in told if "val/chosen" in str(one.message)]
    assert said == ["val/chosen is nan after 4 generator steps: the best stays 3, of generator step 2."]
    saved = torch.load(tmp_path / "checkpoints" / "best.ckpt", weights_only=True)
    assert (checkpoint.best_score, saved["clocks"]["generator_steps"]) == (3.0, 2)


def test_without_any_finite_value_the_end_says_that_there_is_no_best(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="val/chosen") as told:
        _trainer(tmp_path, [Checkpoint(monitor="val/chosen")], max_epochs=2, num_sanity_val_steps=0).fit(
            _drifting(nan, nan), Table(train=_x(16), val=_x(8))
        )
    said = [str(one.message) for one in told if "val/chosen" in str(one.message)]
    assert said == [
        "val/chosen is nan after 2 generator steps: it cannot be the best, and there is no best.ckpt so far.",
        "There is no best.ckpt: val/chosen was a finite number after none of the validations.",
    ]
    assert not (tmp_path / "checkpoints" / "best.ckpt").exists()
    assert (tmp_path / "checkpoints" / "last.ckpt").exists()
