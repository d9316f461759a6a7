"""GloVe: gradients and steps in closed form, its optimum, resuming, and what it says of words."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Callback, Trainer

from lsgen.analysis.analogies import evaluate_analogies
from lsgen.callbacks import Seeding
from lsgen.data import Cooccurrences, Corpus, Grammar
from lsgen.models.embedding import GloVe, LogCounts, NegativeSampling
from lsgen.models.embedding.word2vec import Word2Vec

quiet = partial(Trainer, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                enable_model_summary=False, num_sanity_val_steps=0, max_epochs=-1, limit_val_batches=0)  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore")


def _model(items: int = 5, dim: int = 3, **options: Any) -> GloVe:
    torch.manual_seed(0)
    return GloVe(LogCounts(items, dim), **options).double()


def _entries(items: int = 5) -> torch.Tensor:
    """Return all entries of a matrix of counts, some above x_max."""
    rng = np.random.default_rng(1)
    i, j = np.divmod(np.arange(items**2), items)
    return torch.from_numpy(np.stack([i, j, np.exp(rng.normal(4, 1, items**2))], 1))


def test_gradients_are_those_of_the_closed_form() -> None:
    model, x = _model(), _entries()
    space = model.latent_space
    v, u, b, c = (p.detach().numpy() for p in (space.codes, space.decoder.weight, model.bias, space.decoder.bias))
    count = x[:, 2].reshape(5, 5).numpy()
    difference = v @ u.T + b + c.T - np.log(count)
    weighted = np.minimum(1, (count / 100) ** 0.75) * difference
    loss = model.loss({"x": x}).loss
    assert float(loss.detach()) == pytest.approx((weighted * difference).sum() / 2 / 25)
    loss.backward()
    for parameter, expected in (
        (space.codes, weighted @ u),
        (space.decoder.weight, weighted.T @ v),
        (model.bias, weighted.sum(1, keepdims=True)),
        (space.decoder.bias, weighted.sum(0)[:, None]),
    ):
        assert parameter.grad is not None
        np.testing.assert_allclose(parameter.grad.to_dense().numpy(), expected / 25, rtol=1e-10)


def test_a_step_is_the_first_one_of_the_authors_program() -> None:
    """W -= 0.05 g / sqrt(1), as its sums of squares begin at 1; ours hold the square of the step too."""
    model, x = _model(), _entries()[3:4]
    space, rows = model.latent_space, (0, 3)
    before = [p.detach().clone() for p in (space.codes, space.decoder.weight, model.bias, space.decoder.bias)]
    optimizer = model.optimizer(model.parameters())
    (model.loss({"x": x}).loss * len(x)).backward()
    grads = [p.grad.to_dense().clone() for p in (space.codes, space.decoder.weight, model.bias, space.decoder.bias)]
    optimizer.step()
    after = (space.codes, space.decoder.weight, model.bias, space.decoder.bias)
    for old, g, new, row in zip(before, grads, after, (rows[0], rows[1]) * 2, strict=True):
        torch.testing.assert_close(new.detach() - old, -0.05 * g / (1 + (0.05 * g) ** 2).sqrt())
        assert new.detach()[row].ne(old[row]).all()


def test_products_become_the_logarithms_of_counts_where_there_are_dimensions_enough() -> None:
    model, x = _model(dim=6, optimizer=partial(torch.optim.Adagrad, lr=1.0)), _entries()
    optimizer = model.optimizer(model.parameters())
    for _ in range(800):
        optimizer.zero_grad()
        (model.loss({"x": x}).loss * len(x)).backward()
        optimizer.step()
    space = model.latent_space
    log_count = x[:, 2].log().reshape(5, 5)
    decoder = space.decoder
    assert isinstance(decoder, LogCounts)
    products = space.codes @ decoder.weight.T
    torch.testing.assert_close(products, log_count - model.bias - decoder.bias.T, atol=1e-3, rtol=0)
    p = space.decode(space.codes).base_dist.log_p.exp().squeeze()
    expected = x[:, 2].reshape(5, 5)
    torch.testing.assert_close(p.reshape(5, 5), expected / expected.sum(1, keepdim=True), atol=1e-3, rtol=0)


class Save(Callback):
    """Saves a checkpoint in the middle of an epoch."""

    def __init__(self, path: Path, step: int) -> None:
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *args: Any) -> None:
        if pl_module.generator_steps == self.step:
            trainer.save_checkpoint(self.path)


def test_a_run_is_resumed_bit_for_bit_and_words_are_named(tmp_path: Path) -> None:
    def data() -> Cooccurrences:
        return Cooccurrences(corpus=Corpus(example=Grammar(500)), batch_size=512)

    items = data().vocabulary_size
    steps = 2 * len(data().train_dataloader()) - 3
    whole, resumed = (_model(items, 4, max_steps=steps).float() for _ in range(2))
    quiet(callbacks=[Seeding(0), Save(tmp_path / "cut.ckpt", steps - 5)]).fit(whole, data())
    quiet(callbacks=[Seeding(0)]).fit(resumed, data(), ckpt_path=tmp_path / "cut.ckpt", weights_only=False)
    assert resumed.generator_steps == whole.generator_steps == steps
    for key, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[key]), key
    table = resumed.latent_space.items()
    assert table.ids.tolist() == list(data().vocabulary)
    assert table.columns["count"].tolist() == data().counts.tolist()
    summed = _model(items, 4, summed=True).float()
    summed.load_state_dict(resumed.state_dict())
    both = resumed.latent_space.codes + resumed.latent_space.decoder.weight
    assert torch.equal(summed.latent_space.table(), both)
    with pytest.raises(ValueError, match="expected the vocabulary that the model was trained with"):
        quiet().fit(resumed, Cooccurrences(corpus=Corpus(example=Grammar(500), tokens={"least": 9})))


@pytest.mark.slow
def test_offsets_of_words_answer_analogies() -> None:
    data = Cooccurrences(corpus=Corpus(example=Grammar(10_000)), batch_size=2048)
    model = _model(data.vocabulary_size, 30, max_steps=300).float()
    quiet().fit(model, data)
    asked = [question[1:] for question in data.questions]
    found = evaluate_analogies(model.latent_space.items(), asked).total
    assert found.standard.value > 0.25
    assert found.nearest_of_c.value < 0.2


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected x_max and alpha greater than 0, got 0 and 0\.75"):
        _model(x_max=0)
    with pytest.raises(ValueError, match="expected a vocabulary of 2"):
        LogCounts(1, 3)
    model = Word2Vec(NegativeSampling(5, 3))
    assert model.latent_space.table() is model.latent_space.codes
