"""Small models of digits with captions, and of digits with their class, for tests of every callback."""

from pytorch_lightning import LightningModule
from torch import nn

from lsgen.data import CaptionedDigits, DataModule, DigitLabel, Grammar, MultimodalData, Sentences, SpriteQuestions
from lsgen.latent import StandardNormal
from lsgen.likelihoods import AutoregressiveTokens, Bernoulli, Categorical, modalities_likelihood
from lsgen.models.multimodal import Captioner, DualEncoder, InfoNCE, JointClassifier, MultimodalVAE, MVAEObjective
from lsgen.models.vae import ELBO, VAE
from lsgen.nn import ConcatenationFusion, GRUDecoder, GRUEncoder, LabelEncoder, MLPDecoder, MLPEncoder

__all__ = ["answers", "captions", "modalities", "sentences", "views"]

DIGIT = (1, 8, 8)


def modalities(steps: int) -> tuple[LightningModule, MultimodalData]:
    """Return a joint autoencoder of digits and their class."""
    encoders = {"image": MLPEncoder(DIGIT, 2, (8,)), "label": LabelEncoder((1,), 10, 2, hidden=(8,))}
    decoders = {"image": MLPDecoder(2, DIGIT, (8,), nn.SiLU), "label": MLPDecoder(2, (1,), (8,), nn.SiLU, heads=10)}
    likelihood = modalities_likelihood({"image": Bernoulli(DIGIT), "label": Categorical((1,), 10, 9.0)})
    model = MultimodalVAE(encoders, decoders, likelihood, StandardNormal(2), MVAEObjective(), max_steps=steps)
    return model, DigitLabel(binarise="threshold")


def views(steps: int) -> tuple[LightningModule, MultimodalData]:
    """Return a dual encoder of digits and their captions."""
    data = CaptionedDigits()
    text = GRUEncoder(data.shapes["caption"], data.vocabulary_size, 4, 1, 4, 8)
    encoders = {"image": MLPEncoder(DIGIT, 4, (8,), heads=1), "caption": text}
    return DualEncoder(encoders, data.shapes, 4, InfoNCE(), max_steps=steps), data


def captions(steps: int) -> tuple[LightningModule, MultimodalData]:
    """Return a captioner of digits."""
    data = CaptionedDigits()
    shape, size = data.shapes["caption"], data.vocabulary_size
    likelihood = AutoregressiveTokens(GRUDecoder(shape, size, 4, 4, 8), shape, size)
    return Captioner(MLPEncoder(DIGIT, 4, (8,), heads=1), likelihood, data.shapes, 4, max_steps=steps), data


def answers(steps: int) -> tuple[LightningModule, MultimodalData]:
    """Return what answers questions about sprites."""
    scenes = {"number": 700, "sprites": 2, "held_out": [], "val_size": 60, "test_size": 60}
    data = SpriteQuestions(scenes=scenes)
    text = GRUEncoder(data.shapes["question"], data.vocabulary_size, 4, 1, 4, 8)
    encoders = {"image": MLPEncoder(data.shapes["image"], 4, (8,), heads=1), "question": text}
    fusion = ConcatenationFusion({"image": 4, "question": 4}, 4, (8,))
    return JointClassifier(encoders, fusion, data.shapes, 4, len(data.answers), max_steps=steps), data


def sentences(steps: int) -> tuple[LightningModule, DataModule]:
    """Return an autoencoder of sentences that a network writes."""
    wording = {"most": 10, "unknown": "<unk>"}
    data = Sentences(example=Grammar(100), wording=wording, val_size=30, test_size=10, batch_size=16)
    shape, size = data.shape, data.vocabulary_size
    likelihood = AutoregressiveTokens(GRUDecoder(shape, size, 2, 4, 8), shape, size)
    encoder = GRUEncoder(shape, size, 2, 2, 4, 8)
    return VAE(encoder, MLPDecoder(2, (2,), ()), likelihood, StandardNormal(2), ELBO(), max_steps=steps), data
