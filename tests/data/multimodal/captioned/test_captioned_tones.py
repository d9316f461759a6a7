"""What captions and tables of tones say is what is heard."""

import numpy as np
import pytest
import torch

from lsgen.data import Audible, CaptionedTones
from lsgen.data.audio.tones import ENVELOPES, RATE, SAMPLES, TIMBRES, synthesise


@pytest.fixture(scope="module")
def data():
    return CaptionedTones(mel={"n_mels": None})


def test_captions_are_read_back_and_say_what_is_heard(data):
    batch = data.dataset("train")[torch.arange(300)]
    own = data.packing.unpack(batch["x"])
    sentences = data.vocabularies["caption"].decode(own["caption"])
    told = data.attributes_of(sentences)
    octave = np.log2((torch.fft.rfft(own["sound"]).abs().argmax(1) * RATE / SAMPLES / 220).numpy())
    registers = ["deep", "low", "high", "shrill"]
    for attributes, factors, height in zip(told, batch["factors"].tolist(), octave, strict=True):
        assert attributes["timbre"] == TIMBRES[factors[1]]
        assert attributes["envelope"] == ENVELOPES[factors[2]]
        assert abs(height - (registers.index(attributes["register"]) + 0.5) / 2) < 0.26  # half an octave, within a bin
    starts = {(sentence.split()[0], len(sentence.split())) for sentence in sentences}
    assert len(starts) == 3  # every form is there
    assert data.attributes_of(["a low sawtooth", "a low horn that fades"]) == [None, None]
    assert torch.equal(own["sound"], synthesise(batch["factors"]))
    assert torch.equal(batch["label"], batch["factors"][:, 1])


def test_the_table_is_measured_on_the_sound(data):
    """Harmonics by the Fourier transform of steady tones, and the centre by the energy of all."""
    batch = data.dataset("train")[torch.arange(400)]
    own = data.packing.unpack(batch["x"])
    octaves, brightness, centre = own["table"].double().unbind(1)
    energy = own["sound"].double().square()
    place = (energy * torch.linspace(0, 1, SAMPLES)).sum(1) / energy.sum(1)
    torch.testing.assert_close(centre, place, atol=5e-3, rtol=0)
    steady = batch["factors"][:, 2] == ENVELOPES.index("steady")
    sound = own["sound"][steady].double() * torch.hann_window(SAMPLES, dtype=torch.float64)
    power = torch.fft.rfft(sound).abs().square()
    frequency = torch.arange(power.shape[1]) * RATE / SAMPLES
    mean = (power * frequency).sum(1) / power.sum(1)
    torch.testing.assert_close(brightness[steady], (mean / 220).log2() - octaves[steady], atol=0.02, rtol=0)


def test_modalities_are_packed_and_the_sound_of_a_packed_observation_is_heard(data):
    assert isinstance(data, Audible)
    assert data.shapes == {"sound": (4032,), "caption": (7,), "table": (3,)}
    batch = data.dataset("val")[torch.arange(5)]
    assert torch.equal(data.sound(batch["x"]), data.packing.unpack(batch["x"])["sound"])
    gaps = CaptionedTones(mel={"n_mels": None}, missing={"sound": 0.5})
    present = gaps.dataset("train")[torch.arange(400)]["present"]
    assert 0.4 < present[:, 0].float().mean() < 0.6
    with pytest.raises(ValueError, match=r"expected vocabulary_size \d+, got 3"):
        CaptionedTones(vocabulary_size=3)
