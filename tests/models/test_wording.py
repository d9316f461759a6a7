"""Words reach the checkpoint, and free bits are free."""

import pytest
import torch
from pytorch_lightning import Trainer

from lsgen.data import Grammar, Sentences
from lsgen.latent import EncodableLatentSpace, StandardNormal
from lsgen.likelihoods import Bernoulli, IndependentTokens, modalities_likelihood
from lsgen.likelihoods.text.naming import name_words
from lsgen.models import VAE
from lsgen.models.divergence import kl_per_dimension
from lsgen.models.vae import ELBO
from lsgen.nn import GRUEncoder, MLPDecoder


def _data(seed: int = 0) -> Sentences:
    wording = {"most": 20, "unknown": "<unk>"}
    return Sentences(example=Grammar(80, seed=seed), wording=wording, val_size=10, test_size=10, batch_size=20)


def _model(data: Sentences) -> VAE:
    (length,), size = data.shape, data.vocabulary_size
    decoder = MLPDecoder(2, (length,), (), heads=size)
    encoder = GRUEncoder((length,), size, 2, 2, 4, 8)
    return VAE(encoder, decoder, IndependentTokens((length,), size), StandardNormal(2), ELBO(), max_steps=1)


def _fit(model: VAE, data: Sentences) -> Trainer:
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, max_epochs=1, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(model, data)
    return trainer


def test_words_are_in_the_checkpoint_and_others_are_refused(tmp_path) -> None:
    data, other = _data(), _data(seed=1)
    model = _model(data)
    _fit(model, data).save_checkpoint(tmp_path / "one.ckpt")
    twin = _model(data)
    twin.load_state_dict(torch.load(tmp_path / "one.ckpt", weights_only=False)["state_dict"])
    assert twin.latent_space.likelihood.words == data.vocabularies["sentence"].words
    with pytest.raises(ValueError, match="expected the vocabulary that the model has learned, whose word"):
        _fit(twin, other)


def test_parts_are_named_by_name() -> None:
    data = _data()
    text = IndependentTokens(data.shape, data.vocabulary_size)
    both = modalities_likelihood({"image": Bernoulli((1, 2, 2)), "sentence": text})
    name_words(both, data)
    assert text.words == data.vocabularies["sentence"].words
    name_words(Bernoulli((3,)), data)
    name_words(text, None)


def test_free_bits_press_on_dimensions_above_them_alone() -> None:
    torch.manual_seed(0)
    encoder, decoder = torch.nn.Linear(4, 6), torch.nn.Linear(3, 4)
    with torch.no_grad():
        encoder.bias[0] += 3
    space = EncodableLatentSpace(encoder, decoder, Bernoulli((4,)), StandardNormal(3)).double()
    x = torch.rand(8, 4, dtype=torch.float64).round()
    kl = kl_per_dimension(space.encode(x), space.prior()).mean(0)
    limit = float(kl.sort().values[1:].mean())
    assert kl.min() < limit < kl.max()
    torch.manual_seed(1)
    plain = ELBO(0.5)(space, {"x": x}, 0)
    torch.manual_seed(1)
    free = ELBO(0.5, free_bits=limit)(space, {"x": x}, 0)
    assert (free.loss - plain.loss).item() == pytest.approx(0.5 * float((limit - kl).clamp(min=0).sum()))
    assert torch.equal(free.kl, plain.kl)
    with pytest.raises(ValueError, match="expected free_bits of at least 0 nats, got -1"):
        ELBO(free_bits=-1.0)
