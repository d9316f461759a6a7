"""Ways to start the jobs of a sweep. Each is one class here and one file in conf/hydra/launcher."""

from lsgen.cli.launchers.base import BlockingLauncher, JobLauncher, Scheduler
from lsgen.cli.launchers.local import Local
from lsgen.cli.launchers.pool import Joblib
from lsgen.cli.launchers.ray_tasks import Ray
from lsgen.cli.launchers.slurm import Slurm
from lsgen.cli.launchers.submission import launcher_of, queue_of, start

__all__ = [
    "BlockingLauncher",
    "JobLauncher",
    "Joblib",
    "Local",
    "Ray",
    "Scheduler",
    "Slurm",
    "launcher_of",
    "queue_of",
    "start",
]
