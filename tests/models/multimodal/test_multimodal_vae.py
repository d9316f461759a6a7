"""The joint autoencoder bounds the evidence of every subset, and takes batches with one entry a modality."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from lsgen.callbacks.probes import observations_of
from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.latent.multimodal import JointPosterior, MixtureOfExperts, MixtureOfProducts, ProductOfExperts
from lsgen.likelihoods import Bernoulli, Categorical, FixedGaussian, Modalities, modalities_likelihood
from lsgen.models import VAE
from lsgen.models.multimodal import MultimodalVAE, MVAEObjective
from lsgen.models.vae import ELBO
from lsgen.nn import MLPDecoder, MLPEncoder

REAL = torch.float64
JOINTS = [ProductOfExperts(), MixtureOfExperts(), MixtureOfProducts()]


def _likelihood() -> Modalities:
    return modalities_likelihood(
        {"image": Bernoulli((1, 2, 2)), "sound": FixedGaussian((3,), 0.7), "label": Categorical((1,), 3, high=2)}
    )


def _model(
    objective: MVAEObjective | None = None, joint: JointPosterior | None = None, dim: int = 1, **options: Any
) -> MultimodalVAE:
    torch.manual_seed(0)
    likelihood = _likelihood()
    parts: dict[str, Any] = dict(likelihood.parts)
    encoders = {name: MLPEncoder(part.shape, dim, [6], nn.Tanh) for name, part in parts.items()}
    decoders = {n: MLPDecoder(dim, part.shape, [6], activation=nn.Tanh, heads=part.heads) for n, part in parts.items()}
    objective = MVAEObjective() if objective is None else objective
    return MultimodalVAE(encoders, decoders, likelihood, StandardNormal(dim), objective, joint, **options)


def _x(model: MultimodalVAE, n: int) -> Tensor:
    torch.manual_seed(1)
    return model.latent_space.sample(n)


def _evidence(space: EncodableLatentSpace, x: Tensor) -> Tensor:
    """Return log p(x), (B,), by quadrature over a line of codes."""
    z = torch.linspace(-8, 8, 2001, dtype=x.dtype)[:, None]
    values = space.decode(z[:, None].expand(-1, len(x), -1)).log_prob(x.expand(len(z), *x.shape))
    return torch.logsumexp(values + space.prior().log_prob(z)[:, None], 0) + (z[1, 0] - z[0, 0]).log()


@pytest.mark.parametrize("joint", JOINTS, ids=lambda one: type(one).__name__)
def test_bounds_lie_below_the_evidence_of_all_and_of_each_modality(joint: JointPosterior) -> None:
    """On average over many draws, of the joint ELBO and of the sum of all bounds, by quadrature in one dimension."""
    model = _model(joint=joint).double()
    x, space = _x(model, 3), model.latent_space
    many = x.repeat_interleave(2000, 0)
    losses = model.loss({"x": many})
    exact = _evidence(space, x)
    assert bool((losses.elbo.reshape(3, -1).mean(1) < exact).all())
    each = [_evidence(space.modality(name), own) for name, own in space.packing.unpack(x).items()]
    assert -losses.loss < (exact + sum(each)).mean()


def test_the_joint_bound_alone_is_that_of_an_ordinary_autoencoder() -> None:
    """With a product posterior the loss without subsets is the ELBO of `VAE` over the packed vectors."""
    model = _model(MVAEObjective(alone=False)).double()
    space, x = model.latent_space, _x(model, 4)
    plain = VAE(space.encoder, space.decoder, space.likelihood, space.prior, ELBO(), space.posterior)
    torch.manual_seed(5)
    found = model.loss({"x": x})
    torch.manual_seed(5)
    expected = plain.loss({"x": x})
    torch.testing.assert_close(found.loss, expected.loss)
    torch.testing.assert_close(found.kl, expected.kl)
    torch.testing.assert_close(found.loss, -found.elbo.mean())


def test_weights_scale_the_reconstruction_in_the_loss_and_not_in_the_elbo() -> None:
    """lambda_i multiplies -log p_i alone; beta the divergence."""
    plain, heavy = (
        _model(MVAEObjective(weights, beta, alone=False)) for weights, beta in ((None, 1.0), ({"label": 5.0}, 0.5))
    )
    x = _x(plain, 4)
    torch.manual_seed(5)
    one = plain.loss({"x": x})
    torch.manual_seed(5)
    other = heavy.loss({"x": x})
    torch.testing.assert_close(one.elbo, other.elbo)
    torch.manual_seed(5)
    space = plain.latent_space
    label = space.decode(space.encode(x).rsample()).log_probs(x)["label"]
    torch.testing.assert_close(other.loss, (one.reconstruction - 4 * label + 0.5 * one.kl.sum(-1)).mean())


@pytest.mark.parametrize("joint", JOINTS, ids=lambda one: type(one).__name__)
def test_what_is_absent_neither_counts_nor_learns(joint: JointPosterior) -> None:
    """Losses and gradients do not depend on what stands in an absent place; its networks get no gradient."""
    model = _model(MVAEObjective(subsets=3), joint)
    x = _x(model, 6)
    present = torch.tensor([[True, False, True]] * 5 + [[False, False, True]])
    results = []
    for filled in (x.where(model.latent_space.likelihood.spread(present), 0), x):
        model.zero_grad()
        torch.manual_seed(5)
        losses = model.loss({"x": filled, "present": present})
        losses.loss.backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
        results.append((losses.elbo.detach(), gradients))
    torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=0)
    for name, gradient in results[0][1].items():
        assert bool(gradient.isfinite().all())
        torch.testing.assert_close(gradient, results[1][1][name], rtol=0, atol=0)
        assert bool(gradient.any()) != (".sound." in name), name
    kept = model.latent_space.packing.unpack(x)
    alone = model.latent_space.modality("label").encode(kept["label"][5:])
    q = model.latent_space.encode(x, present)
    torch.testing.assert_close(q.mean[5:], alone.mean)


def test_random_subsets_are_drawn_evenly_and_add_their_bounds() -> None:
    """The mean of the extra term is that of the bounds over all 2^M - 1 subsets, each drawn as often."""
    model = _model(MVAEObjective(subsets=1, alone=False)).double()
    space, x = model.latent_space, _x(model, 1).repeat(30_000, 1)
    extra = (model.loss({"x": x}).loss - (-model.loss({"x": x}).elbo).mean()).detach()
    bounds = []
    for number in range(1, 8):
        subset = [name for i, name in enumerate(space.names) if number >> i & 1]
        q = space.encode(x[:1], subset)
        nodes, weights = torch.linspace(-6, 6, 801, dtype=REAL)[:, None, None], 12 / 800
        z = q.mean + nodes * q.stddev
        density = torch.exp(-nodes[:, 0, 0].square() / 2) / (2 * torch.pi) ** 0.5 * weights
        log_p = sum(space.decode(z).log_probs(x[:1].expand(801, 1, -1))[name][:, 0] for name in subset)
        divergence = torch.distributions.kl_divergence(q.base_dist, space.prior().base_dist).sum()  # type: ignore[attr-defined]
        bounds.append(divergence - density @ log_p)
    expected = torch.stack(bounds).mean()
    torch.testing.assert_close(extra, expected.detach(), rtol=0.02, atol=0)


class _Pairs(Dataset[dict[str, Tensor]]):
    """Observations with one entry a modality, as a user's own loader gives them."""

    def __init__(self, n: int, gap: Any = None) -> None:
        torch.manual_seed(3)
        self.image, self.sound = torch.rand(n, 1, 2, 2).round(), torch.randn(n, 3)
        self.label = torch.arange(n) % 3
        if gap is not None:
            self.sound[gap] = torch.nan

    def __len__(self) -> int:
        return len(self.image)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return {"image": self.image[i], "sound": self.sound[i], "label": self.label[i]}


class _Seen(Callback):
    def __init__(self) -> None:
        self.batches: list[dict[str, Tensor]] = []

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.batches.append(batch)


def _trainer(tmp_path: Path, *callbacks: Callback, **options: Any) -> Trainer:
    return Trainer(
        default_root_dir=tmp_path, accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=list(callbacks), **options,
    )  # fmt: skip


def test_a_loader_of_named_modalities_trains_with_gaps(tmp_path: Path) -> None:
    """NaN marks what is missing; batches reach the model packed, with a mask where one is needed, and classes."""
    model, seen, data = _model(), _Seen(), _Pairs(8, gap=[1, 6])
    _trainer(tmp_path, seen).fit(model, DataLoader(data, 4), DataLoader(_Pairs(4), 4))
    packing = model.latent_space.packing
    for start, batch in zip((0, 4), seen.batches, strict=True):
        rows = slice(start, start + 4)
        pieces = packing.unpack(batch["x"])
        torch.testing.assert_close(pieces["image"], data.image[rows])
        torch.testing.assert_close(pieces["sound"], data.sound[rows].nan_to_num(nan=0.0))
        torch.testing.assert_close(pieces["label"][:, 0], data.label[rows].float())
        assert torch.equal(batch["label"], data.label[rows])
        assert torch.equal(batch["present"][:, 1], ~data.sound[rows].isnan().any(1))
        assert bool(batch["present"][:, [0, 2]].all())


def test_gaps_outside_of_training_and_in_other_models_are_refused(tmp_path: Path) -> None:
    """One sentence each; also where an observation has no modality at all."""
    model = _model()
    with pytest.raises(ValueError, match=r"whole observations outside of training, got 1 of 4 that lack a modality in"):
        _trainer(tmp_path).validate(model, DataLoader(_Pairs(4, gap=[2]), 4), verbose=False)
    x = _x(model, 4)
    nothing = {"x": x, "present": torch.tensor([[True] * 3] * 3 + [[False] * 3])}
    with pytest.raises(ValueError, match="expected at least one of image, sound, label in every row, got none in"):
        _trainer(tmp_path).fit(model, DataLoader([nothing], batch_size=None))
    space = model.latent_space
    plain = VAE(space.encoder, space.decoder, space.likelihood, space.prior, ELBO(), space.posterior)
    with pytest.raises(ValueError, match=r"expected whole observations, got 2 of 8 that lack a modality in"):
        _trainer(tmp_path).fit(plain, DataLoader(_Pairs(8, gap=[1, 6]), 8))


def test_batches_of_wrong_modalities_are_refused() -> None:
    """Another batch size, another shape, unknown names, a value that is impossible where it is present."""
    contract, part = _model().contract(), next(iter(DataLoader(_Pairs(4), 4)))
    with pytest.raises(ValueError, match="expected modalities of one batch size, got 4 of 'image', 3 of 'sound', 4 of"):
        contract.take(part | {"sound": part["sound"][:3]}, torch.float32)
    with pytest.raises(ValueError, match=re.escape("expected 'image' of shape (B, 1, 2, 2), got (4, 1, 2, 3)")):
        contract.take(part | {"image": torch.zeros(4, 1, 2, 3)}, torch.float32)
    with pytest.raises(ValueError, match='expected batches with "x", or with one entry a modality of image, sound'):
        contract.take({"picture": part["image"]}, torch.float32)
    with pytest.raises(ValueError, match=re.escape('expected "present" of shape (B, 3), got (4, 2)')):
        contract.take({"x": _x(_model(), 4), "present": torch.ones(4, 2, dtype=torch.bool)}, torch.float32)
    taken = contract.take({name: part[name] for name in ("image", "label")}, torch.float32)
    assert taken["present"].tolist() == [[True, False, True]] * 4
    assert contract.allows(taken)
    wrong = {**taken, "x": taken["x"].clone()}
    wrong["x"][2, 0] = 1.3
    wrong["x"][1, 5] = torch.nan
    assert not contract.allows(wrong)
    assert contract.value_checks(wrong)[0].verdict().tolist() == [True, True, False, True]


def test_bytes_of_a_modality_are_scaled() -> None:
    """An image of 0 and 255 is one of 0 and 1, beside whole numbers that are classes."""
    model, data = _model(), _Pairs(4)
    batch = {"image": (data.image * 255).to(torch.uint8), "sound": data.sound, "label": data.label[:, None]}
    taken = model.contract().take(batch, torch.float32)
    torch.testing.assert_close(model.latent_space.packing.unpack(taken["x"])["image"], data.image)


def test_probes_leave_out_what_lacks_a_modality() -> None:
    """Fixed observations of callbacks are whole, and packed."""
    model, data = _model(), _Pairs(4, gap=[2])
    found = observations_of(next(iter(DataLoader(data, 4))), model)
    assert found.x.shape == (3, 8)
    assert found.label is not None
    assert found.label.tolist() == [0, 1, 0]


def test_weights_of_no_modality_are_refused() -> None:
    """And those that are not positive, and fewer than no subsets."""
    with pytest.raises(ValueError, match="MVAEObjective expected weights of image, sound, label, got one of 'text'"):
        _model(MVAEObjective({"text": 2.0}))
    with pytest.raises(ValueError, match="expected a positive weight of 'label', got 0"):
        MVAEObjective({"label": 0.0})
    with pytest.raises(ValueError, match="expected a number of random subsets of at least 0, got -1"):
        MVAEObjective(subsets=-1)
