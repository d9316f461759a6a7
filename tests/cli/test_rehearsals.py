"""Optimisers, schedules and weights that are tried out before work starts."""

import pytest
import torch

from lsgen.cli.config.rehearsal import rehearse, rehearse_weights
from lsgen.cli.errors import UsageError
from lsgen.models.schedules import Linear, Schedule
from lsgen.runs import RunDirectory

SCHEDULERS = "torch.optim.lr_scheduler"


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["model.optimizer.lr=-1"], "model.optimizer: Invalid learning rate: -1"),
        (["model.optimizer.lr=nan"], "model.optimizer: Invalid learning rate: nan"),
        (["model.optimizer.lr=0"], "expected model.optimizer to have a learning rate above 0, got 0"),
        (["model.optimizer.betas=[2,2]"], "model.optimizer: Invalid beta parameter at index 0: 2"),
        (["+model.scheduler._target_=StepLR"], "model.scheduler: StepLR.__init__() missing 1 required positional"),
        (
            ["+model.scheduler={_target_: StepLR, step_size: 0}"],
            "integer modulo by zero (after generator step 1 of 40)",
        ),
        (
            ["+model.scheduler={_target_: OneCycleLR, max_lr: 0.1, total_steps: 30}"],
            "The specified number of total steps is 30 (after generator step 31 of 40)",
        ),
        (
            ["+model.scheduler={_target_: OneCycleLR, max_lr: 0.1}"],
            "model.scheduler: You must define either total_steps",
        ),
        (["+model.scheduler={_target_: ReduceLROnPlateau}"], "expected a schedule over generator steps"),
        (
            ["+model.scheduler={_target_: ExponentialLR, gamma: -1}"],
            "to keep the learning rate at 0 or above, got -0.001",
        ),
        (["+model.scheduler={_target_: ConstantLR, factor: 0, total_iters: 99}"], "a learning rate above 0, got 0"),
    ],
)
def test_schedules_are_rehearsed(overrides, sentence, changed):
    written = [text.replace("_target_: ", f"_partial_: true, _target_: {SCHEDULERS}.") for text in overrides]
    if written[0].endswith("_target_=StepLR"):
        written = ["+model.scheduler={_partial_: true, _target_: " + f"{SCHEDULERS}.StepLR}}"]
    with pytest.raises(UsageError) as told:
        rehearse(changed("model.max_steps=40", *written).model)
    assert sentence in str(told.value)


@pytest.mark.parametrize(
    "scheduler",
    [
        "OneCycleLR, max_lr: 0.1, total_steps: 40",
        "CosineAnnealingLR, T_max: 40",
        "LinearLR, start_factor: 0.01, total_iters: 10",
        "PolynomialLR, total_iters: 39",
    ],
)
def test_schedules_that_train_are_followed_to_their_end(scheduler, changed):
    text = f"+model.scheduler={{_partial_: true, _target_: {SCHEDULERS}.{scheduler}}}"
    rehearse(changed("model.max_steps=40", text).model)


class Wrong(Schedule):
    def __init__(self, wrong):
        self.wrong = wrong

    def __call__(self, step):
        return self.wrong if step >= 900 else 1.0


def test_weights_are_rehearsed():
    model = torch.nn.Sequential(torch.nn.Linear(1, 1))
    model[0].beta = Linear(0, 4, steps=10)
    rehearse_weights(model, 1000)
    for wrong in (float("nan"), float("inf"), None, True, "1"):
        model[0].beta = Wrong(wrong)
        rehearse_weights(model, 899)
        with pytest.raises(UsageError, match=r"expected model.0.beta, the schedule Wrong, to give a finite number"):
            rehearse_weights(model, 1000)


def test_a_finished_run_that_cannot_be_extended_stays_finished(lsgen, refused, config, tmp_path):
    schedule = {"_target_": "torch.optim.lr_scheduler.OneCycleLR", "_partial_": True, "max_lr": 0.01, "total_steps": 9}
    run = RunDirectory.create(tmp_path / "run", config | {"model": config["model"] | {"scheduler": schedule}}, {})
    run.set_status("finished", generator_steps=9)
    before = {path: path.read_bytes() for path in (run.status_file, run.config_file, run.provenance_file)}
    said = "run cannot continue with model.max_steps=12: model.scheduler: ", "total steps is 9"
    refused(lsgen("train", "resume=run", "model.max_steps=12"), tmp_path, *said)
    assert {path: path.read_bytes() for path in before} == before
