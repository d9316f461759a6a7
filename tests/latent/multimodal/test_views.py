"""Views of observations: their codes, those of prompts, what the weights keep, and what is refused."""

import io

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from lsgen.latent.multimodal import ViewSpace
from lsgen.likelihoods import Packing
from lsgen.likelihoods.text.vocabulary import Vocabulary

WORDS = Vocabulary(("<end>", "a", "red", "blue", "square"))
PACKING = Packing({"image": (1, 2, 2), "text": (3,)})


class _Flat(nn.Sequential):
    def __init__(self, size: int, d: int) -> None:
        super().__init__(nn.Flatten(), nn.Linear(size, d))


def _space(seed: int = 0) -> ViewSpace:
    torch.manual_seed(seed)
    return ViewSpace({"text": _Flat(3, 5), "image": _Flat(4, 5)}, PACKING, 5).eval()


def _observations(n: int = 6) -> Tensor:
    draws = torch.Generator().manual_seed(1)
    rows = torch.randint(1, 5, (n, 3), generator=draws)
    return PACKING.pack({"image": torch.rand(n, 1, 2, 2, generator=draws), "text": rows})


def test_the_code_of_an_observation_is_the_mean_direction_of_its_views() -> None:
    space, x = _space(), _observations()
    assert list(space.views) == ["image", "text"]
    image = normalize(space.views["image"].encoder(x[:, :4].reshape(-1, 1, 2, 2)), dim=-1)
    text = normalize(space.views["text"].encoder(x[:, 4:]), dim=-1)
    codes = space.codes(x)
    torch.testing.assert_close(codes["image"], image)
    torch.testing.assert_close(codes["text"], text)
    torch.testing.assert_close(space.encode(x).mean, normalize(image + text, dim=-1))
    assert space.shape == (7,)


def test_prompts_have_the_codes_of_their_rows_of_numbers() -> None:
    space = _space()
    space.name_words({"text": WORDS})
    rows = torch.tensor([[1.0, 2, 4], [3, 4, 0]])
    expected = space.views["text"].encode(rows).mean
    torch.testing.assert_close(space.encode_texts(["a red square", "Blue square"]), expected)
    torch.testing.assert_close(space.encode_texts(["a red square"], "text"), expected[:1])


def test_words_are_kept_with_the_weights() -> None:
    space, other, file = _space(), _space(1), io.BytesIO()
    space.name_words({"text": WORDS})
    torch.save(space.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert other.vocabularies == {"text": WORDS}
    torch.testing.assert_close(other.encode_texts(["a blue square"]), space.encode_texts(["a blue square"]))
    silent = _space()
    silent.load_state_dict(_space(2).state_dict())
    assert silent.vocabularies == {}


def test_what_has_no_code_is_refused_in_a_sentence() -> None:
    space = _space()
    with pytest.raises(ValueError, match="expected a view of sentences out of none at all, got none"):
        space.encode_texts(["a red square"])
    space.name_words({"text": WORDS})
    for texts in ([], "a red square"):
        with pytest.raises(ValueError, match="expected a list of at least one sentence, got"):
            space.encode_texts(texts)
    with pytest.raises(ValueError, match="got 'green' in 'a green square'"):
        space.encode_texts(["a red square", "a green square"])
    with pytest.raises(ValueError, match="expected a sentence with a word at least"):
        space.encode_texts([""])
    with pytest.raises(ValueError, match="expected a view of sentences out of text, got 'image'"):
        space.encode_texts(["a"], "image")
    with pytest.raises(ValueError, match="expected the vocabulary of 'text' that the model has learned"):
        space.name_words({"text": Vocabulary(("<end>", "a"))})
    with pytest.raises(ValueError, match=r"expected a view of sentences \(L,\), got 'image' of \(1, 2, 2\)"):
        space.name_words({"image": WORDS})
    with pytest.raises(ValueError, match="expected one of the modalities image, text, got 'sound'"):
        space.name_words({"sound": WORDS})
    with pytest.raises(ValueError, match=r"expected packed vectors of shape \(B, 7\), got \(2, 6\)"):
        space.codes(torch.zeros(2, 6))


def test_views_are_two_or_more_and_those_of_the_data() -> None:
    with pytest.raises(ValueError, match="expected encoders of two views or more, those of the data, image, got image"):
        ViewSpace({"image": _Flat(4, 5)}, Packing({"image": (1, 2, 2)}), 5)
    with pytest.raises(ValueError, match="those of the data, image, text, got image, words"):
        ViewSpace({"image": _Flat(4, 5), "words": _Flat(3, 5)}, PACKING, 5)
