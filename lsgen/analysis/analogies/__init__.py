"""Analogies between codes: of three codes, of sets of pairs, of the averages of attribute groups."""

from lsgen.analysis.analogies.answers import ANALOGY_METHODS, solve_analogies
from lsgen.analysis.analogies.evaluation import AnalogyEvaluation, AnalogyScores, evaluate_analogies
from lsgen.analysis.analogies.group_averages import attribute_analogies
from lsgen.analysis.analogies.pair_sets import (
    PAIR_SET_METHODS,
    PairSetEvaluation,
    PairSetScores,
    evaluate_pair_sets,
    solve_by_pairs,
)
from lsgen.analysis.analogies.questions import read_questions

__all__ = [
    "ANALOGY_METHODS",
    "PAIR_SET_METHODS",
    "AnalogyEvaluation",
    "AnalogyScores",
    "PairSetEvaluation",
    "PairSetScores",
    "attribute_analogies",
    "evaluate_analogies",
    "evaluate_pair_sets",
    "read_questions",
    "solve_analogies",
    "solve_by_pairs",
]
