"""Loading of trained models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lsgen.runs import RunDirectory, RunError, check_version

if TYPE_CHECKING:
    from pytorch_lightning import LightningModule

__all__ = ["check_content", "load", "model_of", "opened", "opened_model"]


def load(path: str | Path, checkpoint: str = "last", device: str = "cpu") -> LightningModule:
    """Return the trained model of a run, in eval mode.

    Args:
        path: a run directory, wherever it was moved to, or a checkpoint file.
        checkpoint: "last", "best", or the path of a checkpoint; not used where `path` is a file.
        device: where the model goes, such as "cpu" or "cuda".

    Returns:
        The model with the weights under "state_dict" of the checkpoint; where a callback averages weights, its
        latent space decodes with the averaged ones.

    Raises:
        RunError: there is no run or checkpoint at `path`, it is damaged, or another series of versions made it.
        UsageError: the config names what it may not.

    Example:
        >>> model = lsgen.load("runs/2026-01-31_12-00-00_vae_digits_x1y2z3ab")  # doctest: +SKIP
        >>> model.latent_space.sample(16).shape  # doctest: +SKIP
        torch.Size([16, 1, 8, 8])

    """
    from lsgen.callbacks import read_checkpoint

    if Path(path).is_file():
        content = read_checkpoint(path)
        if not isinstance(content.get("config"), Mapping):
            raise RunError(f"expected a checkpoint that holds its config, or a run directory, got {path}")
        check_version(str(content.get("lsgen_version", "0.1")), f"the checkpoint {path}")
        return model_of(content["config"], content).to(device)
    run = RunDirectory.open(path)
    run.check_version()
    return model_of(run.config(), read_checkpoint(run.checkpoint(checkpoint))).to(device)


def model_of(config: Mapping[str, Any], content: Mapping[str, Any]) -> LightningModule:
    """Build the model that a frozen config describes and give it the weights of a checkpoint, in eval mode.

    Raises:
        UsageError: the config names what it may not.
        RunError: the weights do not fit the config.

    """
    from lsgen.cli.config.construction import instantiate, verify_part
    from lsgen.cli.config.frozen_config import thaw
    from lsgen.cli.refusals.explain import weights_fault

    if not isinstance(config.get("model"), Mapping):
        raise RunError(f"expected a frozen config with a model, got {', '.join(map(str, config)) or 'nothing'}")
    check_content(content)
    part = thaw({"model": config["model"]}).model
    verify_part(part, "model")
    model: LightningModule = instantiate(part, "model")
    try:
        model.on_load_checkpoint(dict(content))
        model.load_state_dict(content["state_dict"])
    except ValueError as error:
        raise RunError(str(error)) from error
    except (KeyError, RuntimeError, TypeError, AttributeError) as error:
        raise RunError(weights_fault(error) or f"the checkpoint does not fit the config: {error!r}") from error
    return model.eval()


def opened(directory: RunDirectory, file: Path, device: str) -> tuple[Any, Any, int]:
    """Return the model of a checkpoint, the data module of its run, set up for validation, and the generator step.

    Raises:
        RunError: the checkpoint is damaged.
        UsageError: the config names what it may not.

    """
    from lsgen.cli.config.construction import instantiate, verify_part
    from lsgen.cli.config.frozen_config import thaw

    model, step = opened_model(directory, file, device)
    part = thaw(directory.config(), directory.overrides()).data
    verify_part(part, "data")
    data = instantiate(part, "data")
    data.prepare_data()
    data.setup("validate")
    return model, data, step


def opened_model(directory: RunDirectory, file: Path, device: str) -> tuple[Any, int]:
    """Return the model of a checkpoint and its generator step.

    Raises:
        RunError: the checkpoint is damaged.
        UsageError: the config names what it may not.

    """
    from lsgen.callbacks import read_checkpoint

    content = read_checkpoint(file)
    model = model_of(directory.config(), content).to(device)
    return model, int(content.get("clocks", {}).get("generator_steps", content["global_step"]))


def check_content(content: Mapping[str, Any], *, resumed: bool = False) -> None:
    """Refuse a checkpoint that holds no model of lsgen.

    Args:
        content: what the file holds.
        resumed: whether training is to go on from it, which takes more than a model.

    Raises:
        RunError: what it lacks.

    """
    if not isinstance(content.get("state_dict"), Mapping):
        got = "one without" if "state_dict" not in content else f"a {type(content['state_dict']).__name__} as"
        raise RunError(f"expected a checkpoint that lsgen saved, with the weights of a model, got {got} 'state_dict'")
    if not isinstance(clocks := content.get("clocks", {}), Mapping):
        got = f"a {type(clocks).__name__} as 'clocks'"
        raise RunError(f"expected a checkpoint that lsgen saved, with the clocks of a model, got {got}")
    for key in ("optimizer_states", "loops", "callbacks") if resumed else ():
        if key not in content:
            raise RunError(f"expected a checkpoint from which training can go on, got one without {key!r}")
