"""Sets in chunks of litdata, as they were written; each process reads chunks of its own."""

import sys

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import LightningModule, Trainer
from torch.utils.data import get_worker_info

from lsgen.data import Batching, ChunkedBatches, Loading, Position, Streaming

RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (24, 4, 6, 3), dtype=np.uint8)


def write(folder, rows, size=4):
    """Write rows in chunks of some rows."""
    streaming = pytest.importorskip("litdata.streaming", reason="pip install 'lsgen[streaming]'")
    folder.mkdir(parents=True)
    cache = streaming.Cache(str(folder), chunk_size=size)
    for number, row in enumerate(rows):
        cache[number] = row
    cache.done()
    cache.merge()
    return str(folder)


@pytest.fixture
def chunks(tmp_path):
    rows = [{"x": Image.fromarray(picture), "label": number} for number, picture in enumerate(PICTURES)]
    return write(tmp_path / "pets", rows)


def read(data, split):
    dataset = data.dataset(split)
    return dataset[torch.argsort(dataset.rows)]


def small(path, **options):
    return Streaming(path=path, **{"val_size": 4, "test_size": 4, "batch_size": 3, "mixed": 2, **options})


@pytest.mark.parametrize(("sizes", "batch", "world", "workers"), [((4,) * 9, 5, 1, 1), ((3, 8, 1, 9, 7, 5), 2, 2, 3)])
def test_readers_go_through_their_own_chunks_a_few_at_a_time(sizes, batch, world, workers):
    of_row = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    seen = [
        list(ChunkedBatches(sizes, 2, workers, Batching(batch, 4, rank=rank, world_size=world)))
        for rank in range(world)
    ]
    together = torch.cat([request.indices for batches in seen for request in batches])
    assert sorted(together.tolist()) == list(range(sum(sizes)))
    readers = [torch.cat([r.indices for r in part[k::workers]]) for part in seen for k in range(workers) if part[k:]]
    met = [of_row[rows].unique_consecutive().tolist() for rows in readers]
    shared = sum(len(set(chunks)) for chunks in met) - len(sizes)
    assert 0 <= shared < world * workers
    for chunks in met:  # two are mixed at a time, and none comes back
        places = {chunk: [k for k, other in enumerate(chunks) if other == chunk] for chunk in chunks}
        assert all(len({*chunks[min(at) : max(at) + 1]}) <= 2 for at in places.values())
    again = ChunkedBatches(sizes, 2, workers, Batching(batch, 4, Position(3, 2), world_size=world))
    whole = ChunkedBatches(sizes, 2, workers, Batching(batch, 4, Position(3), world_size=world))
    assert [r.indices.tolist() for r in again] == [r.indices.tolist() for r in whole][2:]
    fewer = list(ChunkedBatches(sizes, 2, workers, Batching(batch, 4, drop_last=True)))
    assert {len(request.indices) for request in fewer} == {batch}


def test_mixing_is_uniform_within_a_group_of_chunks():
    first = [
        next(iter(ChunkedBatches((2, 2), 2, 1, Batching(4, seed)))).indices.argsort()[0].item() for seed in range(400)
    ]  # the place of row 0
    counts = np.bincount(first, minlength=4)
    assert ((counts - 100) ** 2 / 100).sum() < 16.3  # chi-square with 3 degrees of freedom, 0.1 %


def test_pictures_and_labels_come_as_they_were_written_and_splits_are_whole_chunks(chunks):
    data = small(chunks)
    assert data.shape == (3, 4, 6)
    seen = []
    for split in ("train", "val", "test"):
        batch, rows = read(data, split), data.dataset(split).rows.sort().values
        assert np.array_equal((batch["x"] * 255).round().numpy(), PICTURES[rows].transpose(0, 3, 1, 2))
        assert torch.equal(batch["label"], rows.long())
        assert set(np.bincount(rows // 4, minlength=6)) <= {0, 4}
        seen += rows.tolist()
    assert sorted(seen) == list(range(24))
    smaller = small(chunks, pictures={"size": 2, "channels": 1})
    assert read(smaller, "train")["x"].shape == (16, 1, 2, 2)


@pytest.mark.filterwarnings("ignore")
def test_workers_read_their_own_chunks_and_change_nothing(chunks):
    here, there = (small(chunks, loading=Loading(2)) for _ in range(2))
    requests = list(here._training_batches())
    batches = list(there.train_dataloader())
    for request, batch in zip(requests, batches, strict=True):
        assert torch.equal(here.dataset("train")[request]["x"], batch["x"])
    met = [{label // 4 for batch in batches[k::2] for label in batch["label"].tolist()} for k in range(2)]
    assert len(met[0] & met[1]) <= 1


class Cut(Exception):
    """The run ends here."""


class Seen(LightningModule):
    """Writes down what it is trained on; saves a checkpoint and ends after some batches."""

    def __init__(self, path, stop=None):
        super().__init__()
        self.weight, self.path, self.stop, self.rows = torch.nn.Parameter(torch.zeros(())), path, stop, []

    def training_step(self, batch, batch_idx):
        self.rows.append((batch["label"].tolist(), batch["x"]))
        return self.weight * batch["x"].mean()

    def on_train_batch_end(self, *_):
        if len(self.rows) == self.stop:
            self.trainer.save_checkpoint(self.path)
            raise Cut

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("stop", [2, 8])
def test_a_run_resumed_inside_an_epoch_sees_the_rest(chunks, tmp_path, stop):
    def fit(model, path=None):
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        quiet |= {"enable_model_summary": False, "limit_val_batches": 0, "default_root_dir": tmp_path}
        trainer = Trainer(max_epochs=2, accelerator="cpu", use_distributed_sampler=False, **quiet)
        trainer.fit(model, small(chunks, seed=3), ckpt_path=path)

    path = tmp_path / "cut.ckpt"
    whole, first, second = Seen(path), Seen(path, stop), Seen(path)
    fit(whole)
    with pytest.raises(Cut):
        fit(first)
    fit(second, path)
    assert len(whole.rows) == 12
    for (labels, x), (labels_, x_) in zip(whole.rows, first.rows + second.rows, strict=True):
        assert labels == labels_
        assert torch.equal(x, x_)


def test_a_store_is_fetched_chunk_by_chunk_and_few_are_kept(chunks):
    local, store = small(chunks), small(f"local:{chunks}")
    folder = store.dataset("train").source.folder
    for ours, theirs in zip(local.train_dataloader(), store.train_dataloader(), strict=True):
        assert torch.equal(ours["x"], theirs["x"])
        assert len(list(folder.folder.rglob("*.bin"))) <= 2
    temporary = folder.folder
    del store, folder
    assert not temporary.exists()
    assert get_worker_info() is None


def test_folders_of_splits_and_rows_of_other_kinds(tmp_path):
    numbers = RNG.normal(size=(12, 5))
    for split, part in (("train", numbers[:8]), ("val", numbers[8:])):
        write(tmp_path / "numbers" / split, [(torch.from_numpy(row), k) for k, row in enumerate(part)])
    data = small(str(tmp_path / "numbers"))
    assert len(data.dataset("val")) == len(data.dataset("train")) == len(data.dataset("test")) == 4
    np.testing.assert_array_equal(read(data, "val")["x"], numbers[8:].astype(np.float32))
    grey = write(tmp_path / "grey", [PICTURES[k, :, :, 0] for k in range(12)])
    np.testing.assert_allclose(read(small(grey), "train")["x"][:, 0] * 255, [
        PICTURES[k, :, :, 0] for k in small(grey).dataset("train").rows.sort().values
    ], rtol=1e-6)  # fmt: skip


def test_what_cannot_be_used_is_refused_in_a_sentence(tmp_path, chunks, monkeypatch):
    with pytest.raises(FileNotFoundError, match=r"expected the index\.json of chunks .* got none, nor in its folder"):
        Streaming(path=str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r"expected local:/nothing/index\.json, which could not be fetched"):
        Streaming(path="local:/nothing")
    with pytest.raises(ValueError, match=r"expected data\.keys\.x out of x, label, got 'y'"):
        Streaming(path=chunks, keys={"x": "y"})
    with pytest.raises(ValueError, match="expected keys to be a mapping with some of x, label, got z"):
        Streaming(path=chunks, keys={"z": "y"})
    with pytest.raises(ValueError, match="expected at least 3 chunks, one for each split, got 2"):
        Streaming(path=write(tmp_path / "two", [np.zeros(3)] * 8))
    odd = write(tmp_path / "odd", [(np.array([0.0, 1.0]), 0), (np.array([np.nan, 1.0]), 0)])
    rows = Streaming(path=odd, val_size=0, test_size=0).dataset("train")
    with pytest.raises(ValueError, match=r"expected finite numbers, got NaN or an infinite one \(row 1 of .*odd\)"):
        rows[torch.tensor([0, 1])]
    named = Streaming(path=write(tmp_path / "named", [(np.zeros(2), "cat")]), val_size=0, test_size=0)
    with pytest.raises(ValueError, match=r"expected labels that are whole numbers, got 'cat' \(row 0 of .*named\)"):
        named.dataset("train")[torch.tensor([0])]
    with pytest.raises(ValueError, match=r"expected data\.mixed of at least 1 chunk, got 0"):
        Streaming(mixed=0)
    monkeypatch.setitem(sys.modules, "litdata", None)
    with pytest.raises(ImportError, match=r"expected the package litdata: pip install 'lsgen\[streaming\]'"):
        Streaming(path=chunks)
