"""Windows of sound files, as they were written."""

import sys

import numpy as np
import pytest
import torch
from scipy.io import wavfile

from lsgen.data import AudioFolder, Loading

RNG = np.random.default_rng(0)
LENGTHS = {"low/a.wav": 10, "low/deep/b.wav": 7, "high/c.wav": 3, "high/d.wav": 4}


@pytest.fixture
def sounds(tmp_path):
    """Write files of 16 bits and two channels, and return what they hold in [-1, 1), one channel."""
    pytest.importorskip("soundfile", reason="pip install 'lsgen[audio]'")
    written = {}
    for name, length in LENGTHS.items():
        values = RNG.integers(-(2**15), 2**15, (length, 2), dtype=np.int16)
        (tmp_path / "sounds" / name).parent.mkdir(parents=True, exist_ok=True)
        wavfile.write(tmp_path / "sounds" / name, 8000, values)
        written[name] = (values / 2**15).mean(1)
    return tmp_path / "sounds", written


def test_windows_of_every_file(sounds):
    folder, written = sounds
    data = AudioFolder(path=str(folder), windows={"length": 4, "hop": 3}, val_size=0, test_size=0)
    assert (data.shape, data.rate, data.classes) == ((4,), 8000, ("high", "low"))
    expected = []
    for name in sorted(LENGTHS):
        sound = written[name] if len(written[name]) >= 4 else np.append(written[name], 0)
        expected += [(name.startswith("low"), sound[first : first + 4]) for first in range(0, len(sound) - 3, 3)]
    train = data.dataset("train")
    batch = train[torch.argsort(train.rows)]
    assert batch["label"].tolist() == [label for label, _ in expected]
    np.testing.assert_allclose(batch["x"], [sound for _, sound in expected], atol=1e-6)


def test_windows_of_a_file_are_in_one_split(sounds):
    data = AudioFolder(path=str(sounds[0]), windows={"length": 2}, val_size=1, test_size=1, batch_size=2)
    source = data.dataset("train").source
    files = [set(source.clip[data.dataset(split).rows.numpy()]) for split in ("train", "val", "test")]
    assert [len(part) for part in files] == [2, 1, 1]
    assert len(set.union(*files)) == 4
    assert sum(len(data.dataset(split)) for split in ("train", "val", "test")) == 5 + 3 + 1 + 2
    worker = AudioFolder(
        path=str(sounds[0]), windows={"length": 2}, val_size=1, test_size=1, batch_size=2, loading=Loading(1)
    )
    for mine, theirs in zip(data.train_dataloader(), worker.train_dataloader(), strict=True):
        assert torch.equal(mine["x"], theirs["x"])


def test_files_that_do_not_fit(sounds):
    folder = sounds[0]
    with pytest.raises(ValueError, match=r"expected 16000 samples a second, got 8000 in .*c\.wav: resample it"):
        AudioFolder(path=str(folder), windows={"rate": 16000})
    (folder / "low" / "e.flac").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"expected the audio data in .*e\.flac, got what is cut short"):
        AudioFolder(path=str(folder))
    import soundfile

    soundfile.write(folder / "low" / "e.flac", RNG.uniform(-1, 1, 50000), 8000)
    whole = (folder / "low" / "e.flac").read_bytes()
    (folder / "low" / "e.flac").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"expected the audio data in .*e\.flac, got what is cut short"):
        AudioFolder(path=str(folder))
    (folder / "stray.wav").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"in the folder of its class, or none, got stray\.wav in none"):
        AudioFolder(path=str(folder))


def test_tones_without_a_file_or_the_package(tmp_path, monkeypatch):
    """The strongest frequency of every tone is its pitch, between 100 and 1000 Hz."""
    data = AudioFolder(windows={"length": 4000}, val_size=20, test_size=20)
    batch = data.dataset("train")[torch.arange(50)]
    strongest = torch.fft.rfft(batch["x"]).abs()[:, 1:].argmax(1) + 1
    assert ((strongest * 2 >= 98) & (strongest * 2 <= 1002)).all()
    assert set(batch["label"].tolist()) == {0, 1, 2}
    square = batch["x"][batch["label"] == 2]
    torch.testing.assert_close(square.abs(), square.abs().amax(1, keepdim=True).expand_as(square))
    with pytest.raises(ValueError, match="expected a rate of 8000, that of the example, got 44100"):
        AudioFolder(windows={"rate": 44100})
    with pytest.raises(ValueError, match="expected a window and a hop of at least 1 sample, got 512 and 0"):
        AudioFolder(windows={"hop": 0})
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ImportError, match=r"expected the package soundfile, .*: pip install 'lsgen\[audio\]'"):
        AudioFolder(path=str(tmp_path))


def test_empty_files_and_nan_are_refused_and_hidden_folders_left_out(sounds):
    folder, _ = sounds
    (folder / ".old").mkdir()
    wavfile.write(folder / ".old" / "a.wav", 8000, np.zeros(9, np.float32))
    (folder / "low" / "folder.wav").mkdir()
    assert AudioFolder(path=str(folder), windows={"length": 4}).classes == ("high", "low")
    long = np.zeros((2**20 + 9, 2), np.float64)
    long[2**20 + 3, 1] = np.nan
    for values, place in (
        (np.array([0, 1, np.inf, 0], np.float32), "inf in sample 2 of channel 0"),
        (long, "nan in sample 1048579 of channel 1"),
    ):
        wavfile.write(folder / "low" / "z.wav", 8000, values)
        data = AudioFolder(path=str(folder), windows={"length": 4}, val_size=0, test_size=0)
        with pytest.raises(ValueError, match=rf"expected finite numbers in .*z\.wav, got {place}"):
            data.dataset("train")
    wavfile.write(folder / "low" / "z.wav", 8000, np.zeros(0, np.float32))
    with pytest.raises(ValueError, match=r"expected sound in .*z\.wav, got no sample"):
        AudioFolder(path=str(folder))


def test_clipped_and_silent_files_are_told_with_their_share(sounds):
    folder, _ = sounds
    loud = np.clip(3 * np.sin(np.arange(6000) / 9), -1, 1)  # 0.78 of it at the limits
    wavfile.write(folder / "low" / "y.wav", 8000, (loud * 32767).astype(np.int16))
    data = AudioFolder(path=str(folder), windows={"length": 4}, val_size=0, test_size=0)
    with pytest.warns(UserWarning, match=r"1 of 5 files have samples stuck.*: 7\d % of those in .*y\.wav"):
        data.dataset("train")
    over = np.zeros(200, np.float32)
    over[[5, 9, 11, 50]] = 1.5
    silent = np.zeros((7, 2), np.int16)
    for values, sentence in (
        (over, r"expected values in \[-1, 1\] in .*y\.wav, got 1\.5 in sample 5 of channel 0 and 2 % of all beyond"),
        (silent, r"expected sound in .*y\.wav, got silence, 14 samples of 0: remove it"),
    ):
        wavfile.write(folder / "low" / "y.wav", 8000, values)
        data = AudioFolder(path=str(folder), windows={"length": 4}, val_size=0, test_size=0)
        with pytest.raises(ValueError, match=sentence):
            data.dataset("train")


def test_a_folder_of_spoken_digits_is_read_with_the_digits_as_classes(tmp_path):
    """Short files in ten folders, of which each is one window: shorter ones are filled up, longer ones cut."""
    pytest.importorskip("soundfile", reason="pip install 'lsgen[audio]'")
    for digit in range(10):
        for speaker in range(3):
            file = tmp_path / str(digit) / f"speaker{speaker}.wav"
            file.parent.mkdir(exist_ok=True)
            samples = 2000 + 500 * speaker  # a quarter of a second or more
            tone = np.sin(2 * np.pi * 100 * (digit + 1) * np.arange(samples) / 8000)
            wavfile.write(file, 8000, (16000 * tone).astype(np.int16))
    data = AudioFolder(path=str(tmp_path), windows={"length": 2800}, val_size=10, test_size=0, batch_size=4)
    assert data.classes == tuple("0123456789")
    batch = data.dataset("train")[torch.arange(20)]
    heard = torch.fft.rfft(batch["x"], 8000).abs().argmax(1)
    torch.testing.assert_close(heard.double(), 100 * (batch["label"] + 1).double(), atol=2, rtol=0)
    assert {int((row != 0).nonzero().max()) // 100 for row in batch["x"]} <= {19, 24, 27}
