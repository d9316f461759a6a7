"""What a config may call, and what it may not."""

import subprocess
import sys

import pytest
import torch

from lsgen.cli.config.targets import allowed, check_names, resolve
from lsgen.cli.errors import UsageError

REFUSED = [
    "os.system",
    "builtins.eval",
    "subprocess.run",
    "torch.load",
    "torch.hub.load",
    "functools.partial",
    "hydra.utils.instantiate",
    "hydra.utils.call",
    "hydra._internal.utils._locate",
    "lsgen.cli.main",
    "lsgen.runs.write_yaml",
    "lsgen.load",
    "lsgen.datax.Digits",
    "lsgenx.data.Digits",
    "pytorch_lightning.cli.LightningCLI",
    "pytorch_lightning.strategies.launchers.subprocess_script._SubprocessScriptLauncher",
    "torch.nn",
    "",
]
DISGUISED = [
    "lsgen.data.images.digits.torch.load",
    "lsgen.data.factors.sprites.torch.hub.load",
    "lsgen.models.optimised.partial",
    "lsgen.callbacks.logging.loggers.os.system",
    "torch.nn.modules.module.functools.partial",
    "torch.optim.optimizer.torch.load",
    "pytorch_lightning.callbacks.progress.rich_progress.math.sqrt",
    "torchmetrics.metric.inspect.getmodule",
]


@pytest.mark.parametrize("name", REFUSED[:-2])
def test_names_off_the_list_are_refused_wherever_they_stand(name):
    for config in (
        {"model": {"_target_": name}},
        {"model": {"_target_": "lsgen.models.VAE", "a": [{"b": {"_target_": name, "_partial_": True}}]}},
        {"model": {"_target_": "hydra.utils.get_object", "path": name}},
        {"model": {"_target_": "hydra.utils.get_method", "_args_": [name]}},
    ):
        with pytest.raises(UsageError, match="is not among what a config may call"):
            check_names(config)


@pytest.mark.parametrize("name", DISGUISED)
def test_what_lives_elsewhere_is_refused_under_any_name(name):
    with pytest.raises(UsageError, match="is not among what a config may call"):
        resolve("model", {"_target_": name})


def test_a_refused_name_is_never_imported(tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="LSGEN_TARGETS"):
        resolve("model", {"_target_": "trap.Anything"})
    assert "trap" not in sys.modules


@pytest.mark.parametrize("target", ["torch.nn", None, 3, ["torch.nn.SiLU"]])
def test_what_is_no_class_or_function_is_refused(target):
    with pytest.raises(UsageError, match=r"expected|there is no"):
        resolve("model", {"_target_": target})


@pytest.mark.parametrize("name", ["torch.nn.NoSuchLayer", "lsgen.no_room.Thing", "lsgen.nn.MLPEncoder.nothing"])
def test_what_does_not_exist_is_told(name):
    with pytest.raises(UsageError):
        resolve("model.encoder", {"_target_": name})


def test_good_names_resolve():
    assert resolve("a", {"_target_": "torch.nn.SiLU"}) is torch.nn.SiLU
    assert resolve("a", {"_target_": "hydra.utils.get_class", "path": "torch.optim.Adam"}) is torch.optim.Adam
    assert resolve("a", {"_target_": "pytorch_lightning.Trainer"}).__name__ == "Trainer"


def test_the_environment_extends_the_list_but_not_to_what_its_packages_import(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text("import os\nfrom os import system\nclass Net: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("LSGEN_TARGETS", " other.package , mine.")
    assert resolve("a", {"_target_": "mine.Net"}).__name__ == "Net"
    assert allowed("other.package.Thing")
    assert not allowed("mineral.Net")
    for name in ("mine.os.system", "mine.system"):
        with pytest.raises(UsageError, match="is not among what a config may call"):
            resolve("a", {"_target_": name})
    monkeypatch.delenv("LSGEN_TARGETS")
    with pytest.raises(UsageError):
        resolve("a", {"_target_": "mine.Net"})


def test_checking_names_imports_nothing_heavy():
    code = (
        "import sys; from lsgen.cli.config.targets import check_names;"
        "check_names({'a': {'_target_': 'torch.nn.SiLU'}}); print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_what_a_package_exports_from_its_private_modules_counts_as_its_own():
    v2 = pytest.importorskip("torchvision.transforms.v2")
    assert resolve("a", {"_target_": "torchvision.transforms.v2.RandomCrop"}) is v2.RandomCrop
    for name in (
        "torchvision.transforms.v2._geometry.RandomCrop",
        "torchvision.transforms.v2.functional._misc.torch.load",
    ):
        with pytest.raises(UsageError, match="is not among what a config may call"):
            resolve("a", {"_target_": name})


def test_a_package_that_an_extra_installs_is_asked_for_by_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning", None)
    monkeypatch.setitem(sys.modules, "pytorch_metric_learning.losses", None)
    name = "pytorch_metric_learning.losses.NTXentLoss"
    with pytest.raises(
        UsageError, match=r"NTXentLoss needs pytorch-metric-learning: pip install 'lsgen\[similarity\]'"
    ):
        resolve("model.loss", {"_target_": name})


@pytest.mark.parametrize(
    "name", ["pytorch_metric_learning.utils.logging_presets.get_record_keeper", "geoopt.utils.size2shape"]
)
def test_of_packages_of_metric_learning_only_parts_of_models_may_be_named(name):
    assert not allowed(name)
    assert allowed("pytorch_metric_learning.miners.TripletMarginMiner")
    assert allowed("geoopt.optim.RiemannianAdam")
