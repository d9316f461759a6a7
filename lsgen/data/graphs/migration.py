"""Internal migration of Turkey: a signed directed network of its 81 provinces for each year from 2008 to 2020."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsgen.data.files import data_root, reading, require
from lsgen.data.graphs.signed_backbone import SignedBackbone, signed_weights
from lsgen.data.graphs.yearly import YearLinks, joined_years
from lsgen.data.loading import chosen_options
from lsgen.latent.graphs import Graph

__all__ = ["TurkishMigration"]

NAME, FILES = "migration_tr", ("migration.csv", "city_meta.csv")


@dataclass(frozen=True)
class TurkishMigration:
    """Signed weights of migration between all ordered pairs of Turkish provinces, one network for each year.

    A node is a province in a year, and links are within years, at whose time they stand. Nodes are called as the
    province, with the year behind it where there are several; the columns are "place", the province, "year",
    "latitude" and "longitude". Weights are those of `lsgen.data.graphs.signed_backbone`; where nobody moves it is -1.

    The files are migration.csv and city_meta.csv in migration_tr below the root.

    Attributes:
        years: the years, ascending; those from 2008 to 2020 where it is None.
        backbone: which links are kept, `SignedBackbone` or its options; all of them if None.
        root: directory of data sets; what LSGEN_DATA_DIR says, else "data", where it is None.

    Raises:
        ValueError: there is no year, or one twice.

    Reference: Gursoy & Badur, "Investigating internal migration with network analysis and latent space representations:
    an application to Turkey" (2022), https://arxiv.org/abs/2201.03543; the data of
    https://github.com/furkangursoy/MigrationTR.
    """

    years: Sequence[int] | None = (2020,)
    backbone: SignedBackbone | Mapping[str, Any] | None = None
    root: str | None = None

    def __post_init__(self) -> None:
        if self.years is not None and (not self.years or list(self.years) != sorted(set(self.years))):
            raise ValueError(f"expected ascending years, at least one, got {list(self.years)}")

    def graph(self) -> Graph:
        """Return the networks of all years as one, in which no link leads from year to year.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged, or it has not all of the years.

        """
        years = sorted(self.flows) if self.years is None else list(self.years)
        if unknown := [year for year in years if year not in self.flows]:
            raise ValueError(f"expected years among {min(self.flows)} to {max(self.flows)}, got {unknown[0]}")
        backbone = None if self.backbone is None else chosen_options(SignedBackbone, self.backbone, "graph.backbone")
        links = {}
        for year in years:
            signed = signed_weights(self.flows[year])
            kept = ~np.eye(len(self.places), dtype=bool) if backbone is None else backbone.kept(signed)
            links[year] = YearLinks(kept, signed.vigour[kept])
        return joined_years(links, self.places)

    @cached_property
    def flows(self) -> Mapping[int, NDArray[np.float64]]:
        """Who moved, by year: from the province of a row to that of a column, people (81, 81).

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged.

        """
        file, number = self._files()[0], {name: row for row, name in enumerate(self.places)}
        found: dict[int, NDArray[np.float64]] = {}
        with reading(NAME, file), file.open(encoding="utf-8-sig", newline="") as lines:
            year = source = ""
            for first, second, target, people in csv.reader(lines):  # a year and a source stand once, then are empty
                year, source = first or year, second or source
                matrix = found.setdefault(int(year), np.full((len(number), len(number)), np.nan))
                matrix[number[source], number[target]] = float(people)
            if any(np.isnan(matrix.diagonal()).any() for matrix in found.values()):
                raise ValueError("not all provinces are in it")
        return {year: np.nan_to_num(matrix) for year, matrix in found.items()}  # pairs without a line have no migrants

    @cached_property
    def places(self) -> Mapping[str, tuple[float, float]]:
        """The latitude and the longitude of each province by name, in degrees.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file is damaged.

        """
        file = self._files()[1]
        with reading(NAME, file), file.open(encoding="utf-8-sig", newline="") as lines:
            return {row["city"]: (float(row["lat"]), float(row["long"])) for row in csv.DictReader(lines)}

    def _files(self) -> list[Path]:
        files = [data_root(self.root) / NAME / file for file in FILES]
        require(NAME, files, "copy input/ of github.com/furkangursoy/MigrationTR there")
        return files
