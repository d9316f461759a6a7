"""Folders of pictures: what is read of each kind, classes, splits, broken files, and decoded pictures on the disk."""

import os
import pickle
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import LightningModule, Trainer

from lsgen.data import ImageFolder, Loading, Pictures
from lsgen.data.images.pictures import BrokenPicture, pixels_of, read_picture
from lsgen.data.mapped import PictureCache, decoded

RNG = np.random.default_rng(0)


def colours(*size):
    return RNG.integers(0, 256, size, dtype=np.uint8)


def save(file, values, **options):
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(file, **options)
    return values


def read(tmp_path, image, shape, suffix="png", options=None, **saving):
    image.save(tmp_path / f"picture.{suffix}", **saving)
    return read_picture(tmp_path / f"picture.{suffix}", shape, options or Pictures())


def everything(data, split):
    dataset = data.dataset(split)
    return dataset[torch.arange(len(dataset))]


# kinds of pictures


def test_colours_and_greys_are_read_as_they_were_written(tmp_path):
    rgb, grey = colours(5, 7, 3), colours(5, 7)
    assert np.array_equal(read(tmp_path, Image.fromarray(rgb), (3, 5, 7)), rgb.transpose(2, 0, 1))
    assert np.array_equal(read(tmp_path, Image.fromarray(grey), (1, 5, 7)), grey[None])
    assert np.array_equal(read(tmp_path, Image.fromarray(grey), (3, 5, 7)), np.stack([grey] * 3))
    luma = read(tmp_path, Image.fromarray(rgb), (1, 5, 7), options=Pictures(channels=1))[0]
    np.testing.assert_allclose(luma, rgb @ [0.299, 0.587, 0.114], atol=0.51)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_scaled(tmp_path, suffix):
    values = np.array([[0, 128, 129, 300], [32768, 65535, 65406, 65407]], np.uint16)
    expected = np.round(values / 65535 * 255).astype(np.uint8)
    assert np.array_equal(read(tmp_path, Image.fromarray(values), (1, 2, 4), suffix)[0], expected)


def test_what_is_transparent_lies_on_the_background(tmp_path):
    rgba = np.zeros((1, 3, 4), np.uint8)
    rgba[0] = [[200, 100, 0, 0], [200, 100, 0, 255], [200, 100, 0, 128]]
    for background in (0, 255):
        found = read(tmp_path, Image.fromarray(rgba), (3, 1, 3), options=Pictures(background=background))[:, 0]
        a = 128 / 255
        mixed = [a * c + (1 - a) * background for c in (200, 100, 0)]
        np.testing.assert_allclose(found.T, [[background] * 3, [200, 100, 0], mixed], atol=1)
    assert read(tmp_path, Image.new("LA", (1, 1), (9, 0)), (1, 1, 1), options=Pictures(background=77)).item() == 77
    palette = Image.new("P", (2, 1))
    palette.putpalette([1, 2, 3, 4, 5, 6])
    palette.putpixel((1, 0), 1)
    found = read(tmp_path, palette, (3, 1, 2), transparency=0)
    assert found[:, 0].T.tolist() == [[255, 255, 255], [4, 5, 6]]


def test_pictures_are_turned_upright(tmp_path):
    values = np.full((8, 16, 3), 255, np.uint8)
    values[:, :8] = 0  # the left half, which becomes the upper one
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    found = read(tmp_path, Image.fromarray(values), (3, 16, 8), exif=exif)
    assert np.array_equal(found, np.rot90(values, -1).transpose(2, 0, 1))


def test_the_first_frame_of_several_and_values_that_no_byte_can_hold(tmp_path):
    frames = [Image.new("L", (2, 2), level) for level in (10, 200)]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    assert (read_picture(tmp_path / "two.gif", (1, 2, 2), Pictures(channels=1)) == 10).all()
    with pytest.raises(ValueError, match="expected whole numbers of 8 or 16 bits, got floating-point"):
        pixels_of(Image.fromarray(np.zeros((2, 2), np.float32)), (1, 2, 2), Pictures(channels=1))
    with pytest.raises(ValueError, match="expected values of 16 bits, got values from 0 to 70000"):
        pixels_of(Image.fromarray(np.array([[0, 70000]], np.int32)), (1, 1, 2), Pictures(channels=1))


def test_other_ratios_are_cropped_padded_or_stretched():
    values = np.zeros((8, 16), np.uint8)
    values[:, 4:12] = 200  # the central square
    image = Image.fromarray(values)
    crop, pad, stretch = (
        pixels_of(image, (1, 8, 8), Pictures(8, 1, fit, background=90))[0] for fit in ("crop", "pad", "stretch")
    )
    assert (crop == 200).all()
    assert (pad[:2] == 90).all()
    assert (pad[6:] == 90).all()
    assert (pad[3, [0, 7]] < 30).all()
    assert (stretch[:, 0] < 10).all()
    assert (stretch[:, 3:5] > 190).all()
    assert pixels_of(image, (1, 4, 6), Pictures([4, 6], 1))[0].shape == (4, 6)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"size": 0}, r"expected size as \(height, width\) or one number of pixels, got 0"),
        ({"size": [3, 4, 5]}, r"got \[3, 4, 5\]"),
        ({"channels": 4}, "expected channels 1 or 3, or null for those of the first picture, got 4"),
        ({"fit": "cover"}, "expected fit .* got 'cover'"),
        ({"background": 256}, "expected a background between 0 and 255, got 256"),
        ({"colour": 1}, "expected pictures to be a mapping with some of size, .*, got colour"),
        ({"binarise": "dynamic", "dequantise": True}, "expected dequantise: false or binarise: none"),
    ],
)
def test_impossible_options_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        ImageFolder(pictures=options)


# folders


def test_the_class_is_the_first_folder_however_deep_the_files_lie(tmp_path):
    written = {
        name: save(tmp_path / "pets" / name, colours(4, 4, 3))
        for name in ("dog/a.png", "cat/x/y/b.BMP", "cat/a.png", "cat/.thumb.png")
    }
    (tmp_path / "pets" / "cat" / "notes.txt").write_text("no picture")
    (tmp_path / "pets" / "cat" / "again").symlink_to(tmp_path / "pets", target_is_directory=True)
    options = {"path": str(tmp_path / "pets"), "val_size": 0, "test_size": 0}
    data = ImageFolder(**options)
    assert (data.shape, data.classes) == ((3, 4, 4), ("cat", "dog"))
    train = data.dataset("train")
    order = ["cat/a.png", "cat/x/y/b.BMP", "dog/a.png"]
    batch = train[torch.argsort(train.rows)]
    assert batch["label"].tolist() == [0, 0, 1]
    expected = [written[name].transpose(2, 0, 1) for name in order]
    assert np.array_equal((batch["x"] * 255).round().numpy(), expected)
    (tmp_path / "pets" / "cat" / "c.png").symlink_to(tmp_path / "nothing.png")
    with pytest.raises(FileNotFoundError, match=r"c\.png"):
        ImageFolder(**options)


def test_folders_that_are_called_train_val_and_test_are_the_splits(tmp_path):
    for split, count in (("train", 10), ("test", 3)):
        for number in range(count):
            save(
                tmp_path / split / "ab"[number % 2] / f"{number}.png",
                np.full((2, 2), len(split) * 10 + number, np.uint8),
            )
    data = ImageFolder(path=str(tmp_path), cache=False, val_size=4)
    assert data.classes == ("a", "b")
    levels = {
        split: set((everything(data, split)["x"][:, 0, 0, 0] * 255).round().int().tolist())
        for split in ("train", "val", "test")
    }
    assert levels["test"] == {40, 41, 42}
    assert len(levels["val"]) == 4
    assert levels["train"] | levels["val"] == set(range(50, 60))
    save(tmp_path / "other" / "a" / "0.png", np.zeros((2, 2), np.uint8))
    assert ImageFolder(path=str(tmp_path), cache=False).classes == ("other", "test", "train")


def test_folders_that_are_no_data_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected a folder of pictures at .*, found nothing"):
        ImageFolder(path=str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"expected pictures below .*, such as .png or .jpg, got none"):
        ImageFolder(path=str(tmp_path))
    save(tmp_path / "stray.png", colours(2, 2))
    assert ImageFolder(path=str(tmp_path), val_size=0, test_size=0, cache=False).classes == ()
    save(tmp_path / "cat" / "a.png", colours(2, 2))
    with pytest.raises(ValueError, match=r"in the folder of its class, or none, got stray.png in none"):
        ImageFolder(path=str(tmp_path))
    with pytest.raises(ValueError, match=r'expected broken "refuse" or "skip", got \'mend\''):
        ImageFolder(broken="mend")


@pytest.mark.parametrize("cache", [True, False])
def test_mixed_pictures_need_a_stated_size_and_channels(tmp_path, cache):
    folder = tmp_path / "mixed"
    save(folder / "a.png", colours(4, 4))
    save(folder / "b.png", colours(6, 4))
    options = {"path": str(folder), "cache": cache, "val_size": 0, "test_size": 0}
    with pytest.raises(ValueError, match=r"expected 4 x 4 pixels as in the first picture, got 4 x 6: .*b\.png"):
        everything(ImageFolder(**options), "train")
    save(folder / "b.png", colours(4, 4, 3))
    with pytest.raises(ValueError, match=r"expected grey values as in the first picture, got colours.*b\.png"):
        everything(ImageFolder(**options), "train")
    data = ImageFolder(**options, pictures={"size": 3, "channels": 3})
    assert everything(data, "train")["x"].shape == (2, 3, 3, 3)


@pytest.fixture
def broken(tmp_path):
    """Return a folder of 12 pictures whose level is their number, two of which cannot be read."""
    for number in range(12):
        save(tmp_path / "some" / f"{number:02d}.png", np.full((3, 3), number, np.uint8))
    whole = (tmp_path / "some" / "05.png").read_bytes()
    (tmp_path / "some" / "05.png").write_bytes(whole[:45])
    (tmp_path / "some" / "09.png").write_bytes(b"<html></html>")
    return tmp_path / "some"


@pytest.mark.parametrize("cache", [True, False])
def test_broken_files_are_named_and_refused_or_counted_and_left_out(broken, cache):
    options = {"path": str(broken), "cache": cache, "val_size": 2, "test_size": 2}
    with pytest.raises(BrokenPicture, match=r"expected a picture in .*0[59]\.png, got what is cut short, damaged"):
        [everything(ImageFolder(**options), split) for split in ("train", "val", "test")]
    data = ImageFolder(**options, broken="skip")
    with pytest.warns(UserWarning, match=r"2 of 12 pictures are broken and left out: 05\.png, 09\.png\."):
        train = everything(data, "train")
    parts = [train, everything(data, "val"), everything(data, "test")]
    seen = torch.cat([part["x"][:, 0, 0, 0] for part in parts])
    assert sorted((seen * 255).round().int().tolist()) == [0, 1, 2, 3, 4, 6, 7, 8, 10, 11]


def test_nothing_but_broken_files(tmp_path):
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "a.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="got 1 files of which all are broken"):
        ImageFolder(path=str(tmp_path / "some"), broken="skip")


# decoded pictures


@pytest.fixture
def folder(tmp_path):
    for number in range(20):
        save(tmp_path / "own" / "ab"[number % 2] / f"{number:02d}.png", colours(6, 5, 3))
    return tmp_path / "own"


def cache_file(folder):
    (found,) = folder.with_name(f"{folder.name}.lsgen").glob("*.pictures")
    return found


def test_batches_are_the_same_with_and_without_decoded_pictures(folder):
    """With every random draw of training, by another process as well."""
    options = {
        "path": str(folder), "batch_size": 3, "val_size": 3, "test_size": 4,
        "pictures": {"size": 4, "dequantise": True, "flip": True},
    }  # fmt: skip
    kept, loose = ImageFolder(**options), ImageFolder(**options, cache=False)
    workers = ImageFolder(**options, loading=Loading(num_workers=1))
    for mine, theirs, there in zip(*(list(data.train_dataloader()) for data in (kept, loose, workers)), strict=True):
        assert mine.keys() == theirs.keys() == {"x", "label"}
        assert all(torch.equal(mine[name], theirs[name]) and torch.equal(mine[name], there[name]) for name in mine)


class Recorder(LightningModule):
    """Write down every batch of training, and end the run after some, with a checkpoint."""

    def __init__(self, last=None, path=None):
        super().__init__()
        self.weight, self.seen = torch.nn.Parameter(torch.zeros(())), []
        self.last, self.path = last, path

    def training_step(self, batch, batch_idx):
        self.seen.append(batch["x"].clone())
        return self.weight * batch["x"].mean()

    def on_train_batch_end(self, outputs, batch, batch_idx):
        if len(self.seen) == self.last:
            self.trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


@pytest.mark.parametrize("kept", [True, False])
def test_an_interrupted_training_goes_on_with_the_batches_it_lacks(folder, tmp_path, kept):
    def data(workers):
        pictures, loading = {"size": 4, "dequantise": True, "flip": True}, Loading(num_workers=workers)
        held_out = {"val_size": 3, "test_size": 4}
        return ImageFolder(path=str(folder), pictures=pictures, cache=kept, batch_size=3, loading=loading, **held_out)

    def run(model, workers=0, checkpoint=None):
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        trainer = Trainer(
            max_epochs=3,
            accelerator="cpu",
            enable_model_summary=False,
            limit_val_batches=0,
            default_root_dir=tmp_path,
            **quiet,
        )
        with suppress(KeyboardInterrupt, SystemExit):
            trainer.fit(model, datamodule=data(workers), ckpt_path=checkpoint)
        return model.seen

    whole, path = run(Recorder()), tmp_path / "cut.ckpt"
    assert len(whole) == 3 * 5
    first, rest = run(Recorder(7, path)), run(Recorder(), 1, path)
    assert len(first) == 7
    assert torch.equal(torch.cat(first + rest), torch.cat(whole))


def test_decoded_pictures_are_found_again_and_made_anew_where_something_changed(folder):
    data = {"path": str(folder), "val_size": 0, "test_size": 0}
    first = everything(ImageFolder(**data), "train")["x"]
    inode = cache_file(folder).stat().st_ino
    assert torch.equal(everything(ImageFolder(**data), "train")["x"], first)
    assert cache_file(folder).stat().st_ino == inode
    save(folder / "a" / "00.png", colours(6, 5, 3))
    second = everything(ImageFolder(**data), "train")["x"]
    assert (second != first).flatten(1).any(1).sum() == 1
    cache_file(folder).write_bytes(cache_file(folder).read_bytes()[:-1])
    assert torch.equal(everything(ImageFolder(**data), "train")["x"], second)
    (folder / "a" / "00.png").unlink()
    assert len(ImageFolder(**data).dataset("train")) == 19


def test_the_source_does_not_carry_its_pictures_to_other_processes(folder):
    source = ImageFolder(path=str(folder)).dataset("train").source
    sent = pickle.dumps(source)
    assert len(sent) < 20 * 6 * 5 * 3
    rows = torch.tensor([3, 1, 3])
    assert torch.equal(pickle.loads(sent)(rows)["x"], source(rows)["x"])
    assert isinstance(source.__dict__["_pages"].base, np.memmap)


def cache(tmp_path, total=6, **changes):
    return PictureCache(**{
        "file": tmp_path / "made" / "few.pictures", "digest": "of these", "shape": (1, 2, 2), "total": total,
        "kept": True, "advice": "choose another place", **changes,
    })  # fmt: skip


def test_one_process_decodes_while_others_wait(tmp_path):
    seen, headers = [], []

    def decode(number):
        seen.append(number)
        time.sleep(0.02)
        return np.full((1, 2, 2), number, np.uint8)

    threads = [
        threading.Thread(target=lambda: headers.append(cache(tmp_path).build(lambda: decoded(decode, 6))))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(6))
    assert len(headers) == 3
    assert all(header["count"] == 6 for header in headers)


def test_an_interrupted_run_leaves_nothing_that_is_taken_for_whole(tmp_path):
    def decode(number):
        if number == 5:
            raise KeyError("power")
        return np.zeros((1, 2, 2), np.uint8)

    with pytest.raises(KeyError):
        cache(tmp_path).build(lambda: decoded(decode, 6))
    assert cache(tmp_path).header() is None
    with pytest.raises(ValueError, match="expected 6 pictures, got 5"):
        cache(tmp_path).build(lambda: [np.zeros((5, 1, 2, 2), np.uint8)])
    assert cache(tmp_path).header() is None
    assert (
        cache(tmp_path).build(lambda: [np.zeros((4, 1, 2, 2), np.uint8)] + [np.zeros((1, 2, 2), np.uint8)] * 2)["count"]
        == 6
    )
    assert cache(tmp_path, digest="of others").header() is None
    assert [path.name for path in sorted((tmp_path / "made").iterdir())] == [".lock", "few.pictures"]


def test_places_that_cannot_be_written_to(folder, monkeypatch):
    (folder.parent / "file").write_text("")
    with pytest.raises(PermissionError, match=r"cannot be written to: name another directory by data\.cache=DIRECTORY"):
        ImageFolder(path=str(folder), cache=str(folder.parent / "file"))
    ImageFolder(path=str(folder)).prepare_data()
    allowed = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and allowed(path, mode))
    assert len(ImageFolder(path=str(folder)).dataset("train")) == 16  # decoded already: nothing has to be written
    with pytest.raises(PermissionError, match=r"or decode pictures as they come by data.cache=false"):
        ImageFolder(path=str(folder), pictures={"size": 3})
    assert len(ImageFolder(path=str(folder), pictures={"size": 3}, cache=False).dataset("train")) == 16
    monkeypatch.undo()
    data = ImageFolder(path=str(folder), pictures={"size": 3}, cache=str(folder.parent / "elsewhere"))
    data.prepare_data()
    assert [path.suffix for path in Path(folder.parent / "elsewhere").glob("*x*")] == [".pictures"]


def test_no_room_is_said_before_anything_is_decoded(tmp_path):
    large = cache(tmp_path, shape=(3, 10**6, 10**6))
    with pytest.raises(OSError, match=r"expected 18000.0 GB for decoded pictures in .*: choose another place"):
        large.build(lambda: pytest.fail("decoded"))


# what newcomers have


@pytest.mark.parametrize(
    "names", [("train", "validation"), ("Train", "Test"), ("train", "valid", "test"), ("val", "test")]
)
def test_folders_that_are_nearly_called_as_splits_are_no_classes(tmp_path, names):
    for name in names:
        save(tmp_path / "own" / name / "cat" / "0.png", colours(4, 4))
    with pytest.raises(ValueError, match="called train, val and test, train among them, got"):
        ImageFolder(path=str(tmp_path / "own"))


def test_a_name_that_is_no_utf8_is_read(tmp_path):
    values = [save(tmp_path / "own" / f"{i}.png", colours(4, 4)) for i in range(10)]
    os.rename(bytes(tmp_path / "own" / "9.png"), bytes(tmp_path / "own") + b"/9\xff.png")
    data = ImageFolder(path=str(tmp_path / "own"), val_size=0, test_size=0)
    data.prepare_data()
    dataset = data.dataset("train")
    x = dataset[dataset.rows.argsort()]["x"][:, 0]
    torch.testing.assert_close(x, torch.from_numpy(np.stack(values)) / 255)


@pytest.mark.parametrize("damage", ["cut short", "exif"])
def test_a_first_picture_that_is_broken_is_told_or_left_out(tmp_path, damage):
    for i in range(5):
        save(tmp_path / "own" / f"{i}.png", colours(30, 30))
    first = tmp_path / "own" / "0.png"
    if damage == "exif":
        save(first, colours(30, 30), exif=b"XX")
    else:
        first.write_bytes(first.read_bytes()[:400])
    with pytest.raises(BrokenPicture, match=r"0\.png, got what is cut short, damaged"):
        ImageFolder(path=str(tmp_path / "own"))
    data = ImageFolder(path=str(tmp_path / "own"), broken="skip", val_size=1, test_size=1)
    with pytest.warns(UserWarning, match="1 of 5 pictures are broken"):
        assert len(data.dataset("train")) == 2


@pytest.mark.parametrize("header", [b"\xff" * 8, (2).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"[]"])
def test_a_damaged_header_of_decoded_pictures_means_that_they_are_made_anew(tmp_path, header):
    cache = PictureCache(tmp_path / "own.pictures", "digest", (1, 2, 2), 3, True, "advice")
    made = cache.build(lambda: [colours(3, 1, 2, 2)])
    whole = bytearray(cache.file.read_bytes())
    whole[16 : 16 + len(header)] = header
    cache.file.write_bytes(whole)
    assert cache.header() is None
    assert cache.build(lambda: [colours(3, 1, 2, 2)]) == made


def test_a_word_where_true_or_false_should_be_is_refused():
    with pytest.raises(ValueError, match="flip to be true or false, got 'no'"):
        Pictures(flip="no")
    with pytest.raises(ValueError, match="cache to be true, false or a directory, got 'no'"):
        ImageFolder(cache="no")


@pytest.mark.parametrize(
    "options", [{"size": 2.5}, {"size": True}, {"size": "64"}, {"size": [8, 2.5]}, {"background": "white"}]
)
def test_sizes_and_levels_are_whole_numbers(options):
    with pytest.raises(ValueError, match="expected whole numbers as size and background"):
        Pictures(**options)


def test_pipes_are_no_pictures(tmp_path):
    """Nobody would write into one, and opening it would wait for ever."""
    for number in range(3):
        Image.fromarray(colours(1, 1, 2, 2)[0, 0]).save(tmp_path / f"{number}.png")
    os.mkfifo(tmp_path / "z.png")
    data = ImageFolder(path=str(tmp_path), cache=False, val_size=0, test_size=0)
    assert len(data.dataset("train")) == 3
