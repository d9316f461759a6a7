"""The run directory on disk: layout, frozen config, provenance, status, and an index over many runs."""

from lsgen.runs.directory import RunDirectory
from lsgen.runs.distances import SeedVariation, seed_groups, seed_variation
from lsgen.runs.errors import RunError
from lsgen.runs.files import (
    csv_text,
    read_json,
    read_yaml,
    to_json,
    unescaped,
    write_atomically,
    write_json,
    write_yaml,
)
from lsgen.runs.keys import LEVELS
from lsgen.runs.metrics import last_metrics
from lsgen.runs.origin import check_version, new_id, now, provenance, surroundings
from lsgen.runs.problems import Problem, problems_in
from lsgen.runs.quantities import Quantity, grouped, in_reading_order, named, share_measured
from lsgen.runs.rows import find_runs, flatten, index
from lsgen.runs.secrets import literal_secrets, redact
from lsgen.runs.snapshot import take_snapshot
from lsgen.runs.sweep import Job, Sweep

__all__ = [
    "LEVELS",
    "Job",
    "Problem",
    "Quantity",
    "RunDirectory",
    "RunError",
    "SeedVariation",
    "Sweep",
    "check_version",
    "csv_text",
    "find_runs",
    "flatten",
    "grouped",
    "in_reading_order",
    "index",
    "last_metrics",
    "literal_secrets",
    "named",
    "new_id",
    "now",
    "problems_in",
    "provenance",
    "read_json",
    "read_yaml",
    "redact",
    "seed_groups",
    "seed_variation",
    "share_measured",
    "surroundings",
    "take_snapshot",
    "to_json",
    "unescaped",
    "write_atomically",
    "write_json",
    "write_yaml",
]
