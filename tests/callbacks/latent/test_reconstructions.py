import numpy as np
import pytest
import torch
from PIL import Image

from lsgen.callbacks.latent.reconstructions import Reconstructions
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe


def _picture(tmp_path, step=1):
    return np.asarray(Image.open(tmp_path / "figures" / "reconstruction" / "grid" / f"{step:08d}.png"))


def test_it_fires_as_promised(tmp_path, toys):
    _, recorder, _ = toys.fit(tmp_path, [Reconstructions(every_n_epochs=1)], max_epochs=3)
    names = sorted(path.name for path in (tmp_path / "figures" / "reconstruction" / "grid").iterdir())
    assert names == ["00000005.png", "00000010.png", "00000015.png"]
    assert recorder.steps("reconstruction/share_of_training") == [5, 10, 15]


def test_each_observation_stands_over_its_reconstruction_through_the_posterior_mean(tmp_path, toys):
    space, x = toys.space(), toys.images(5)
    Reconstructions(n=5, columns=3).run(space, Probe(x), Sink(tmp_path, 1))
    picture = _picture(tmp_path)
    with torch.no_grad():
        rebuilt = space.decoder(space.encoder(x)[:, : toys.DIM]).sigmoid()
    tops = []
    for image, again in zip(x, rebuilt, strict=True):
        ((row, column),) = toys.places(picture, toys.enlarged(image))
        ((below, same),) = toys.places(picture, toys.enlarged(again))
        assert same == column
        assert 48 <= below - row <= 52
        tops.append((row, column))
    assert tops == sorted(tops)
    assert len({row for row, _ in tops}) == 2


def test_the_range_of_values_is_that_of_the_data_or_the_one_given(tmp_path, toys):
    space = toys.space()
    x = torch.full((1, *toys.SHAPE), 0.5)
    Reconstructions(n=1, value_range=(0.0, 2.0)).run(space, Probe(x), Sink(tmp_path, 1))
    assert (_picture(tmp_path) == 64).all(-1).sum() >= 48 * 48


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="Reconstructions expected n and columns of at least 1, got 0 and 3"):
        Reconstructions(n=0, columns=3)
