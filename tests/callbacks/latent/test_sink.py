import json
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageSequence
from pytorch_lightning.loggers import CSVLogger, TensorBoardLogger, WandbLogger
from scipy.io import wavfile

from lsgen import callbacks
from lsgen.callbacks.logging.sink import Sink

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
FRAMES = np.stack([np.full((8, 8, 3), v, np.uint8) for v in (0, 120, 255)])
NUMBERS = np.array([1.0, 2.0, np.nan, 2.0, np.inf])


def _fill(sink):
    sink.image("sample/grid", PIXELS)
    sink.animation("traversal/animation", FRAMES, fps=10)
    sink.histogram("geometry/eigenvalues", NUMBERS)
    sink.table("traversal/kl", ["axis", "KL"], [[0, 1.5], [1, 0.25]])
    sink.table("explorer/codes", ["id", "picture"], [["a", PIXELS], ["b", None]])
    sink.arrays("geometry/arrays", a=np.arange(3), b=np.eye(2))
    sink.scalars({"geometry/rank": 3})
    sink.scalars({"geometry/log_volume": -1.5})
    sink.close()


def _read_gif(data):
    return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(Image.open(BytesIO(data)))])


def test_files_hold_what_was_given_under_key_and_step(tmp_path):
    _fill(Sink(tmp_path, 500))
    found = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert found == [
        "figures/geometry/arrays/00000500.npz",
        "figures/sample/grid/00000500.png",
        "figures/traversal/animation/00000500.gif",
    ]
    assert (np.asarray(Image.open(tmp_path / found[1])) == PIXELS).all()
    assert (_read_gif((tmp_path / found[2]).read_bytes()) == FRAMES).all()
    with np.load(tmp_path / found[0]) as arrays:
        assert arrays["a"].tolist() == [0, 1, 2]
        assert (arrays["b"] == np.eye(2)).all()


def test_a_logger_of_scalars_gets_them_in_one_row(tmp_path, toys):
    recorder = toys.Recorder()
    _fill(Sink(tmp_path, 500, [recorder]))
    assert recorder.rows == [(500, {"geometry/rank": 3.0, "geometry/log_volume": -1.5})]


def test_sound_is_a_file_that_scipy_reads_and_that_loggers_play(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sounds = np.array([[0.0, 0.5, -1.0], [1.0, 2.0, 0.25]])
    logger = TensorBoardLogger(tmp_path, name="", version="")
    Sink(tmp_path, 3, [logger]).sound("sample/sound", sounds, 10)
    logger.finalize("success")
    rate, values = wavfile.read(tmp_path / "figures" / "sample" / "sound" / "00000003.wav")
    assert rate == 10
    expected = [0, 0.5, -1, 0, 0, 1, 1, 0.25, 0, 0]
    np.testing.assert_allclose(values / 32767, expected, atol=1 / 32767)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    (event,) = events.Audio("sample/sound")
    assert (event.step, event.sample_rate, event.length_frames) == (3, 10, 10)
    with pytest.raises(ValueError, match=r"expected finite sounds \(N, samples\) and a positive rate, got \(2,\)"):
        Sink(tmp_path, 3).sound("sample/sound", [0.0, np.nan], 10)


def test_csv_gets_scalars(tmp_path):
    logger = CSVLogger(tmp_path, name="", version="")
    _fill(Sink(tmp_path, 7, [logger]))
    logger.save()
    header, row = (tmp_path / "metrics.csv").read_text().split()
    assert dict(zip(header.split(","), row.split(","), strict=True)) == {
        "step": "7",
        "geometry/rank": "3.0",
        "geometry/log_volume": "-1.5",
    }


def test_tensorboard_gets_pixels_the_animation_and_the_finite_numbers(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    logger = TensorBoardLogger(tmp_path, name="tb", version="")
    _fill(Sink(tmp_path, 42, [logger]))
    logger.finalize("success")
    events = accumulator.EventAccumulator(str(tmp_path / "tb"), {"images": 0, "tensors": 0, "histograms": 0}).Reload()
    image, animation = events.Images("sample/grid")[0], events.Images("traversal/animation")[0]
    assert (image.step, animation.step) == (42, 42)
    assert (np.asarray(Image.open(BytesIO(image.encoded_image_string))) == PIXELS).all()
    assert (_read_gif(animation.encoded_image_string) == FRAMES).all()
    assert events.Histograms("geometry/eigenvalues")[0].histogram_value.num == 3
    assert events.Scalars("geometry/log_volume")[0].value == -1.5
    assert b"| 1 | 0.25 |" in events.Tensors("traversal/kl/text_summary")[0].tensor_proto.string_val[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "axis"), [(WandbLogger, "trainer/global_step"), (callbacks.WandbLogger, "step")], ids=["lightning", "own"]
)
def test_wandb_gets_one_row_and_the_very_pixels(tmp_path, monkeypatch, kind, axis):
    for name, value in (("WANDB_ERROR_REPORTING", "false"), ("WANDB_SILENT", "true")):
        monkeypatch.setenv(name, value)
    logger = kind(save_dir=tmp_path, project="test", mode="offline")
    rows = []
    log = logger.experiment.log
    monkeypatch.setattr(logger.experiment, "log", lambda row, **kwargs: (rows.append(row), log(row, **kwargs)))
    _fill(Sink(tmp_path, 300, [logger]))
    logger.experiment.finish()
    assert len(rows) == 1
    assert rows[0][axis] == 300
    assert set(rows[0]) == {
        "sample/grid",
        "traversal/animation",
        "geometry/eigenvalues",
        "traversal/kl",
        "explorer/codes",
        "geometry/rank",
        "geometry/log_volume",
        axis,
    }
    assert sum(rows[0]["geometry/eigenvalues"].histogram) == 3
    media = next(tmp_path.glob("wandb/offline-run-*/files/media"))
    (png,) = media.glob("images/sample/grid_*.png")
    (gif,) = media.glob("videos/traversal/animation_*.gif")
    (table,) = media.glob("table/traversal/kl_*.table.json")
    assert (np.asarray(Image.open(png)) == PIXELS).all()
    assert (_read_gif(gif.read_bytes()) == FRAMES).all()
    assert json.loads(table.read_text())["data"] == [[0, 1.5], [1, 0.25]]
    codes = rows[0]["explorer/codes"]
    assert [row[0] for row in codes.data] == ["a", "b"]
    assert (np.asarray(codes.data[0][1].image.convert("RGB")) == PIXELS).all()
    assert codes.data[1][1] is None


@pytest.mark.parametrize("log_all", [True, False])
def test_a_logger_gets_the_default_scalars_unless_it_asks_for_all(tmp_path, toys, log_all):
    recorder = toys.Recorder()
    recorder.log_all = log_all
    sink = Sink(tmp_path, 7, [recorder])
    values = {f"curvature/plane/q{level}": float(level) for level in ("05", "25", "50", "75", "95")}
    sink.within("w").scalars({**values, "curvature/plane/not_finite": 0, "own/q25": 1.0})
    sink.close()
    ((step, row),) = recorder.rows
    kept = ("05", "25", "50", "75", "95") if log_all else ("05", "50", "95")
    expected = {f"curvature/w/plane/q{level}": float(level) for level in kept} | {"own/w/q25": 1.0}
    assert row == expected | ({"curvature/w/plane/not_finite": 0.0} if log_all else {})
    assert step == 7


def test_what_is_not_finite_or_not_pixels_is_refused(tmp_path):
    sink = Sink(tmp_path, 0)
    with pytest.raises(ValueError, match="expected finite scalars in the log, got geometry/a = nan"):
        sink.scalars({"geometry/a": float("nan"), "geometry/b": 1.0})
    with pytest.raises(ValueError, match=r"expected uint8 pixels of 3 dimensions.*for sample/grid; got float64"):
        sink.image("sample/grid", np.zeros((4, 4, 3)))
    assert not (tmp_path / "figures").exists()
