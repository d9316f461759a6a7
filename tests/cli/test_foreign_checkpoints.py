"""Checkpoints that are damaged, or of another model: one sentence from every verb that reads them."""

import zipfile

import pytest
import torch

DAMAGED = "got a damaged file: cut short or overwritten"
FOREIGN = "expected a checkpoint that lsgen saved, with the "


class Pickled:
    """An object that no checkpoint may hold."""


def without(key):
    return lambda content: {name: value for name, value in content.items() if name != key}


def renamed(content):
    weights = dict(content["state_dict"])
    weights["elsewhere"] = weights.pop("latent_space.decoder.layers.0.weight")
    return content | {"state_dict": weights}


def reshaped(content):
    return content | {"state_dict": content["state_dict"] | {"latent_space.decoder.layers.0.weight": torch.zeros(3, 3)}}


CASES = (
    (lambda content: torch.zeros(3), "got a file that holds a Tensor"),
    (lambda content: [1], "got a file that holds a list"),
    (lambda content: {"a": 1}, f"{FOREIGN}weights of a model, got one without 'state_dict'"),
    (without("clocks"), f"{FOREIGN}clocks of a model, got one without 'clocks'"),
    (lambda content: content | {"state_dict": [1]}, f"{FOREIGN}weights of a model, got a list as 'state_dict'"),
    (lambda content: content | {"clocks": "a"}, f"{FOREIGN}clocks of a model, got a str as 'clocks'"),
    (lambda content: content | {"more": Pickled()}, "got other Python objects"),
    (renamed, "does not fit the model: it lacks latent_space.decoder.layers.0.weight; it has in excess elsewhere"),
    (reshaped, "latent_space.decoder.layers.0.weight has shape [3, 3] in it and [128, 4] in the model"),
)


@pytest.mark.slow
def test_a_checkpoint_that_does_not_fit_is_one_sentence(lsgen, trained, tmp_path):
    file = trained / "checkpoints" / "last.ckpt"
    whole, content = file.read_bytes(), torch.load(file, weights_only=True)
    (trained / "checkpoints" / "previous.ckpt").unlink(missing_ok=True)
    verbs = (["evaluate", "trained"], ["train", "resume=trained", "model.max_steps=9"])

    def check(sentence, *commands):
        for command in commands:
            outcome = lsgen(*command)
            said = [line for line in outcome.err.splitlines() if not line.startswith("warning: ")]
            assert (outcome.code, len(said)) == (2, 1), outcome.err
            assert sentence in said[0]

    for data in (b"", b"text", whole[:1000], whole[:-100]):
        file.write_bytes(data)
        check(DAMAGED, *verbs)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", "b")
    check(DAMAGED, *verbs)
    for change, sentence in CASES:
        torch.save(change(content), file)
        check(sentence, *verbs)
    check("[3, 3] in it", ["traverse", "trained"], ["geometry", "trained"])

    torch.save(without("optimizer_states")(content), file)
    check("expected a checkpoint from which training can go on, got one without 'optimizer_states'", verbs[1])
    moments = content["optimizer_states"][0]
    moments = moments | {"param_groups": [moments["param_groups"][0] | {"params": [0]}]}
    torch.save(content | {"optimizer_states": [moments]}, file)
    check("the checkpoint does not fit the run: ValueError: loaded state dict", verbs[1])
    file.write_bytes(whole)
    (trained / "config.yaml").write_text("a: 1\n")
    check("expected a frozen config with a model, got a", verbs[0])
