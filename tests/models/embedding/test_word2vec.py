"""Word2Vec with Lightning: training, resuming, other routes, and what is refused."""

from functools import partial

import numpy as np
import pytest
import torch
from pretended import CUDA, pretended
from pytorch_lightning import Callback, Trainer
from torch import nn

from lsgen.callbacks import Seeding
from lsgen.cli.config.preparation import chance
from lsgen.data import Baskets, Corpus, Grammar
from lsgen.models.embedding import ContextWindows, FullSoftmax, HierarchicalSoftmax, NegativeSampling, Word2Vec
from lsgen.models.schedules import Linear

quiet = partial(Trainer, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
                enable_model_summary=False, num_sanity_val_steps=0, max_epochs=-1)  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def grammar():
    return partial(Corpus, example=Grammar(2000), tokens={"length": 64, "least": 1}, batch_size=16)


def built(kind=NegativeSampling, steps=12, items=479, dim=16, **options):
    torch.manual_seed(0)
    return Word2Vec(kind(items, dim), max_steps=steps, **{"rate": Linear(0.05, 1e-3, steps), **options})


class Save(Callback):
    """Saves a checkpoint in the middle of an epoch."""

    def __init__(self, path, step):
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer, pl_module, *args):
        if pl_module.generator_steps == self.step:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize("average", [False, True])
def test_the_same_seed_gives_the_same_bits_also_when_it_is_resumed_inside_an_epoch(grammar, tmp_path, average):
    data = grammar(val_size=0.1)
    items = len(data.vocabulary)
    per_epoch = len(data.train_dataloader())
    whole, again, resumed = (built(steps=per_epoch + 3, items=items, average=average) for _ in range(3))
    for model in (whole, again):
        save = Save(tmp_path / "cut.ckpt", per_epoch - 2)
        quiet(callbacks=[Seeding(0), save]).fit(model, grammar(val_size=0.1))
    quiet(callbacks=[Seeding(0)]).fit(
        resumed, grammar(val_size=0.1), ckpt_path=tmp_path / "cut.ckpt", weights_only=False
    )
    for model in (again, resumed):
        assert model.generator_steps == whole.generator_steps == per_epoch + 3
        for key, value in whole.state_dict().items():
            assert torch.equal(value, model.state_dict()[key]), key
        assert model.latent_space.words == data.vocabulary
        assert torch.equal(model.latent_space.decoder.counts, data.counts)


def test_words_are_known_by_their_contexts(grammar):
    data = Corpus(example=Grammar(4000), batch_size=16)
    model = built(steps=150, items=len(data.vocabulary), rate=0.1)
    trainer = quiet(limit_val_batches=0)
    trainer.fit(model, data)
    table = model.latent_space.items()
    z = table.z / np.linalg.norm(table.z, axis=1, keepdims=True)
    place = {word: row for row, word in enumerate(table.ids.tolist())}
    cosine = {(a, b): float(z[place[a]] @ z[place[b]]) for a, b, _ in data.similarities}
    value = {(a, b): v for a, b, v in data.similarities}
    low, high = ([cosine[pair] for pair in cosine if a < value[pair] <= b] for a, b in ((0, 0.3), (0.6, 1)))
    assert np.mean(high) > np.mean(low) + 0.3
    assert table.columns["count"].tolist() == data.counts.tolist()
    log_p = model.latent_space.decode(model.latent_space.codes).base_dist.log_p
    torch.testing.assert_close(log_p.exp().sum(-1).squeeze(), torch.ones(len(place)))


@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("kind", [FullSoftmax, HierarchicalSoftmax, NegativeSampling])
def test_held_out_losses_are_those_of_the_probabilities(grammar, kind, average):
    data = grammar(val_size=0.03)
    model = built(kind, items=len(data.vocabulary), average=average, windows={"subsample": None, "shrink": False})
    nn.init.normal_(model.latent_space.decoder.weight, std=0.5)
    nn.init.normal_(model.latent_space.codes, std=0.5)
    with torch.no_grad():
        found = quiet().validate(model, data, verbose=False)[0]
    log_p = model.latent_space.decoder(model.latent_space.codes).log_softmax(-1).double()
    total, pairs = 0.0, 0
    for row in data.dataset("val")[torch.arange(len(data.dataset("val")))]["x"].tolist():
        for words in " ".join(map(str, row)).split("-1"):
            words = [int(word) for word in words.split()]
            for i, word in enumerate(words):
                around = [words[j] for j in range(max(0, i - 5), min(len(words), i + 6)) if j != i]
                if average and around:
                    z = model.latent_space.codes[around].mean(0, keepdim=True)
                    total -= float(model.latent_space.decoder(z).log_softmax(-1)[0, word])
                total -= 0 if average else float(log_p[around, word].sum())
                pairs += bool(around) if average else len(around)
    assert found["val/nll"] == pytest.approx(total / pairs, rel=1e-4)
    if kind is not NegativeSampling:
        assert found["val/loss"] == pytest.approx(found["val/nll"], rel=1e-4)


@pytest.mark.parametrize("kind", [FullSoftmax, HierarchicalSoftmax, NegativeSampling])
def test_steps_of_rows_descend_along_the_same_gradient(kind):
    x = torch.randint(-1, 30, (1, 40))
    model = built(kind, items=30, dim=5, windows=ContextWindows(3, subsample=None)).double()
    nn.init.normal_(model.latent_space.decoder.weight)
    start = {key: value.clone() for key, value in model.named_parameters()}
    torch.manual_seed(5)
    contexts, reach = model._contexts(x)
    found, inside = model.losses(contexts, reach)
    (found * inside).sum().backward()
    gradient = {key: p.grad.to_dense() for key, p in model.named_parameters()}
    model.zero_grad()
    model.manual_backward = torch.Tensor.backward
    routes = [model._step] if kind is FullSoftmax else [model._step, model._descend]
    for route in routes:
        torch.manual_seed(5)
        with torch.no_grad():
            for key, p in model.named_parameters():
                p.copy_(start[key])
        loss = route(x, 1e-7)
        assert float(loss) == pytest.approx(float((found * inside).sum() / inside.sum()), rel=1e-5)
        for key, p in model.named_parameters():
            torch.testing.assert_close((start[key] - p).detach() / 1e-7, gradient[key], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [FullSoftmax, HierarchicalSoftmax])
def test_decoders_run_on_a_pretended_device(kind):
    from pretended import moved

    model = built(kind, items=30, dim=5)
    with pretended():
        moved(model, CUDA)
        loss = model.loss({"x": torch.zeros(2, 9, dtype=torch.int64, device=CUDA)}).loss
        assert loss.device == CUDA


def test_items_of_a_basket_are_near_one_another():
    data = Corpus(example=Baskets(1500), tokens={"length": 64, "least": 1}, batch_size=16)
    windows = ContextWindows(size=None, shrink=False, subsample=None)
    model = built(steps=120, items=48, dim=8, windows=windows, rate=0.2)
    quiet(limit_val_batches=0).fit(model, data)
    table = model.latent_space.items()
    z = torch.nn.functional.normalize(table.tensor(), dim=1)
    place = {word: row for row, word in enumerate(table.ids.tolist())}
    nearest = (z @ z.mT).fill_diagonal_(-2).argmax(1)
    owner = {item: name for name, items in Baskets().groups.items() for item in items}
    same = [owner[word] == owner[table.ids[int(nearest[row])]] for word, row in place.items()]
    assert np.mean(same) > 0.9


def test_what_is_refused(grammar):
    data = grammar()
    with pytest.raises(TypeError, match="expected a ContextDecoder, got Linear"):
        Word2Vec(nn.Linear(2, 2))
    with pytest.raises(
        ValueError, match=rf"expected 30 words, as model.decoder.items says, got {len(data.vocabulary)}"
    ):
        quiet().fit(built(items=30), data)
    model = built(items=len(data.vocabulary))
    quiet().fit(model, data)
    model.latent_space.words = ("other", *model.latent_space.words[1:])
    with pytest.raises(
        ValueError, match=r"expected the vocabulary that the model was trained with, .* items, got another"
    ):
        quiet().validate(model, grammar(), verbose=False)
    with pytest.raises(ValueError, match=r"whole numbers from -1 to 29, got 30 in "):
        quiet().fit(built(items=30), torch.utils.data.DataLoader([{"x": torch.tensor([3, 30, 1])}], batch_size=1))


def test_weights_that_are_not_finite(grammar):
    data = grammar()
    model = built(items=len(data.vocabulary))
    with torch.no_grad():
        model.latent_space.codes[3] = torch.nan
    with pytest.raises(ValueError, match=r"expected a finite loss, got nan after 0 generator steps: lower model\.rate"):
        quiet(limit_val_batches=0).fit(model, data)
    with pytest.raises(ValueError, match="expected finite codes, got one that is not in row"):
        model.latent_space.items()


def test_several_threads_train_as_well_and_are_declared(grammar):
    data = grammar()
    with pytest.raises(ValueError, match=r"expected model\.workers of at least 1 thread, got 0"):
        built(items=len(data.vocabulary), workers=0)
    losses = {}
    for workers in (1, 3):
        model = built(items=len(data.vocabulary), steps=40, rate=0.1, workers=workers)
        trainer = quiet(limit_val_batches=0, callbacks=[Seeding(0)])
        trainer.fit(model, grammar())
        with torch.no_grad():
            losses[workers] = float(
                quiet(callbacks=[Seeding(0)]).validate(model, grammar(), verbose=False)[0]["val/nll"]
            )
    assert losses[3] == pytest.approx(losses[1], abs=0.05)
    assert chance({"model": {"workers": 3}}) == {"nondeterministic": "model.workers = 3: threads write as they come"}
    assert chance({"model": {"workers": 1}}) == chance({"model": {}}) == {}


def test_documents_of_one_word_teach_nothing():
    model = built(items=5)
    start = model.latent_space.codes.detach().clone()
    rows = [{"x": torch.tensor([word, -1, 4 - word, -1])} for word in range(5)]
    quiet(limit_val_batches=0).fit(model, torch.utils.data.DataLoader(rows, batch_size=2))
    assert torch.equal(model.latent_space.codes, start)
    assert model.generator_steps == 12
