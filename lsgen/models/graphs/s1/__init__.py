"""The S1 model of networks: nodes on a circle with hidden degrees, in the hyperbolic plane, by maximum likelihood."""

from lsgen.models.graphs.s1.hidden_degree_links import HiddenDegreeLinks
from lsgen.models.graphs.s1.refinement import Candidates
from lsgen.models.graphs.s1.s1_map import S1Map, S1Search, fit_s1

__all__ = ["Candidates", "HiddenDegreeLinks", "S1Map", "S1Search", "fit_s1"]
