"""Paths through z: where they leave the codes, how the decoder moves along them, and paths that keep to the codes."""

from lsgen.analysis.trajectories.density import DensityPath, density_path
from lsgen.analysis.trajectories.diagnostics import PathDiagnostics, PathJudge
from lsgen.analysis.trajectories.kinds import JudgedPath, paths_between

__all__ = ["DensityPath", "JudgedPath", "PathDiagnostics", "PathJudge", "density_path", "paths_between"]
