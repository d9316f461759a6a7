"""The CPU time of a training step with each regulariser of the metric, over that of the same step without.

Steps are those of beta-VAE on 64 x 64 images with the convolutional networks of the small experiments on sprites
(batch 32, d = 6), and with perceptrons on 8 x 8 images (batch 64, d = 10). Regularisers are those of conf/regulariser
as they stand, at all codes of the batch, and with 16 codes at every 4th step. All alternate within one process, on one
thread; a ratio is that of the least times. There is no target: the figures tell what a penalty costs.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from time import thread_time
from typing import Any

import torch
from hydra import compose, initialize_config_module
from hydra.utils import instantiate

STEPS, ROUNDS = 8, 4
NAMES = (
    "isometry", "conformality", "flat_metric", "even_volume", "extrinsic_curvature", "intrinsic_curvature",
    "pair_distances",
)  # fmt: skip
SETTINGS = {
    "conv, 64 x 64": ["experiment=beta_vae_small_sprites"],
    "MLP, 8 x 8": ["model=beta_vae", "data=digits", "net=mlp"],
}


def step(settings: list[str], name: str, *options: str) -> Callable[[], float]:
    """Return a call that trains for some steps and returns the CPU seconds of one."""
    with initialize_config_module("lsgen.conf", version_base="1.3"):
        config = compose("train", [*settings, f"regulariser={name}", *options])
    torch.manual_seed(0)
    model = instantiate(config.model).train()
    model.regularise(**{key: instantiate(part) for key, part in config.regulariser.items()})
    x = torch.rand(config.data.batch_size, *config.data.shape).round()
    optimizer = torch.optim.Adam(model.parameters(), fused=True)

    def run() -> float:
        start = thread_time()
        for _ in range(STEPS):
            optimizer.zero_grad()
            model.loss({"x": x}).loss.backward()
            optimizer.step()
            model.generator_steps += 1
        return (thread_time() - start) / STEPS

    run()
    return run


def rows() -> list[dict[str, Any]]:
    """Measure, on one thread."""
    threads, found = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            for place, settings in SETTINGS.items():
                calls = {("none", ""): step(settings, "none")}
                for name in NAMES:
                    lazy = [f"regulariser.{name}.sampling.{option}" for option in ("codes=16", "every=4")]
                    calls |= {(name, ""): step(settings, name), (name, ", lazy"): step(settings, name, *lazy)}
                times = {key: [] for key in calls}
                for _ in range(ROUNDS):
                    for key, call in calls.items():
                        times[key].append(call())
                least = {key: min(values) for key, values in times.items()}
                plain = least.pop(("none", ""))
                found += [
                    {
                        "work": f"training step with {name}{lazy}, {place}",
                        "bound_or_peer": "the same step without",
                        "ratio": seconds / plain,
                        "target": "none",
                        "met": True,
                        "note": f"{1e3 * seconds:.1f} ms of CPU a step",
                    }
                    for (name, lazy), seconds in least.items()
                ]
    finally:
        torch.set_num_threads(threads)
    return found


if __name__ == "__main__":
    for line in rows():
        print(f"{line['work']:60} {line['ratio']:.2f}  {line['note']}")
