from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import wavfile

from lsgen.callbacks import Decoding, LatentTraversal, Reconstructions, TraversalFigures, Turns
from lsgen.callbacks.latent.samples import Samples
from lsgen.callbacks.logging.sink import Sink
from lsgen.callbacks.probes import Probe
from lsgen.data import AudioFolder
from lsgen.latent import EncodableLatentSpace, LatentSpace, StandardNormal
from lsgen.likelihoods import FixedGaussian
from lsgen.nn import MLPDecoder, MLPEncoder


def _picture(tmp_path, step=1):
    return np.asarray(Image.open(tmp_path / "figures" / "sample" / "grid" / f"{step:08d}.png"))


def test_it_fires_as_promised_for_spaces_with_and_without_encoder(tmp_path, toys):
    for encodable in (True, False):
        path = tmp_path / str(encodable)
        _, recorder, _ = toys.fit(path, [Samples(4, n=9)], module=toys.ThirdParty(encodable))
        names = sorted(found.name for found in (path / "figures" / "sample" / "grid").iterdir())
        assert names == ["00000004.png", "00000008.png", "00000010.png"]
        assert recorder.steps("sample/seconds") == [4, 8, 10]


def test_samples_are_the_decoded_means_of_fixed_draws_from_the_prior(tmp_path, toys):
    space, probe = toys.space(), Probe(toys.images(4))
    for step in (1, 2):
        Samples(n=6, columns=4, turns=Turns(seed=9)).run(space, probe, Sink(tmp_path, step))
        torch.rand(10)
    assert (_picture(tmp_path, 1) == _picture(tmp_path, 2)).all()
    z = torch.randn(6, toys.DIM, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        x = space.decoder(z).sigmoid()
    found = [toys.places(_picture(tmp_path), toys.enlarged(image)) for image in x]
    assert [len(places) for places in found] == [1] * 6
    in_order = [places[0] for places in found]
    assert in_order == sorted(in_order)
    assert len({row for row, _ in in_order}) == 2


def test_the_number_of_codes_decoded_at_a_time_changes_nothing(tmp_path, toys):
    space, probe = toys.space(), Probe(toys.images(4))
    Samples(n=7).run(space, probe, Sink(tmp_path, 1))
    Samples(n=7, decoding=Decoding(chunk_size=2)).run(space, probe, Sink(tmp_path, 2))
    assert np.abs(_picture(tmp_path, 1).astype(int) - _picture(tmp_path, 2)).max() <= 1


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="Samples expected columns of at least 1, got 0"):
        Samples(columns=0)


def test_samples_of_sound_can_be_heard(tmp_path):
    data = AudioFolder(windows={"length": 100})
    space = LatentSpace(MLPDecoder(2, (100,), (4,)), FixedGaussian((100,)), StandardNormal(2))
    samples = Samples(n=9, turns=Turns(seed=9))
    samples.setup(SimpleNamespace(datamodule=data), SimpleNamespace(latent_space=space), "fit")
    samples.run(space, Probe(data.probe(4)["x"]), Sink(tmp_path, 1))
    rate, heard = wavfile.read(tmp_path / "figures" / "sample" / "sound" / "00000001.wav")
    z = torch.randn(9, 2, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        x = space.decode(z).mean.clamp(-1, 1)[:8]
    assert rate == data.rate == 8000
    np.testing.assert_allclose(heard.reshape(8, 100 + 1600)[:, :100] / 32767, x, atol=1e-4)
    assert (heard.reshape(8, -1)[:, 100:] == 0).all()


def test_axes_and_paths_and_reconstructions_of_sound_can_be_heard(tmp_path):
    """Each file has the decoded codes in their order; the data are those that the trainer has."""
    data = AudioFolder(windows={"length": 64})
    encoder, decoder = MLPEncoder((64,), 2, (4,)), MLPDecoder(2, (64,), (4,))
    space = EncodableLatentSpace(encoder, decoder, FixedGaussian((64,)), StandardNormal(2)).eval()
    x = data.probe(12)["x"]
    traversal = LatentTraversal(points=3, sigmas=2.0, figures=TraversalFigures(heard_axes=1, path_points=4, pairs=2))
    for callback in (traversal, Reconstructions(n=8)):
        callback.setup(SimpleNamespace(datamodule=data), SimpleNamespace(latent_space=space), "fit")
        callback.run(space, Probe(x), Sink(tmp_path, 1))
    with torch.no_grad():
        z = space.encode(x).mean
        kl = (z.square() + space.encode(x).variance - space.encode(x).variance.log() - 1).mean(0)
        axis = int(kl.argmax())
        along = z[:1].repeat(3, 1)
        along[:, axis] = torch.tensor([-2.0, 0, 2])
        expected = {
            f"traversal/sound/z{axis}": space.decode(along).mean,
            "interpolation/sound/linear": space.decode(torch.lerp(z[0], z[1], torch.linspace(0, 1, 4)[:, None])).mean,
            "reconstruction/sound": torch.stack([x[:4], space.decode(z[:4]).mean], 1).flatten(0, 1),
        }
    for key, sounds in expected.items():
        rate, heard = wavfile.read(tmp_path / "figures" / key / "00000001.wav")
        assert rate == 8000
        heard = heard.reshape(len(sounds), 64 + 1600)[:, :64] / 32767
        np.testing.assert_allclose(heard, sounds.clamp(-1, 1), atol=1e-4, err_msg=key)
    assert len(list((tmp_path / "figures" / "traversal" / "sound").iterdir())) == 1
