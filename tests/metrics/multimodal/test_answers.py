"""Counts of right answers, and the best guess from a text alone against enumeration."""

from itertools import product

import pytest
import torch

from lsgen.metrics.multimodal import FrequentAnswers, right_answers


def test_counts_by_kind_add_up() -> None:
    given, true = torch.tensor([0, 1, 2, 2, 1]), torch.tensor([0, 1, 1, 2, 0])
    found = right_answers(given, true, torch.tensor([0, 0, 2, 2, 2]), ("size", "shape", "count"))
    assert found == {"size": (2, 2), "count": (1, 3), "all": (3, 5)}


@pytest.mark.parametrize(
    ("given", "kinds", "message"),
    [([0, 1], [0], "of answers|answers, right"), ([], [], "got"), ([0, 1], [0, 3], "kinds from 0 to 1, got 0 to 3")],
)
def test_other_shapes_and_kinds_are_refused(given: list[int], kinds: list[int], message: str) -> None:
    answers = torch.tensor(given, dtype=torch.int64)
    with pytest.raises(ValueError, match=message):
        right_answers(answers, answers, torch.tensor(kinds, dtype=torch.int64), ("a", "b"))


def test_no_rule_from_texts_to_answers_is_right_more_often_in_training() -> None:
    texts, answers = list("aabbbccca"), [0, 1, 1, 1, 2, 0, 2, 2, 1]
    guess = FrequentAnswers(texts, answers)
    right = sum(a == b for a, b in zip(guess(texts), answers, strict=True))
    rules = (dict(zip("abc", rule, strict=True)) for rule in product(range(3), repeat=3))
    assert right == max(sum(rule[t] == a for t, a in zip(texts, answers, strict=True)) for rule in rules)


def test_ties_go_to_the_smallest_number_and_new_texts_to_the_most_frequent_answer() -> None:
    guess = FrequentAnswers(["a", "a", "b", "b", "b"], [2, 1, 4, 4, 0])
    assert guess(["a", "b", "c"]) == [1, 4, 4]
    with pytest.raises(ValueError, match="got 1 for 2"):
        FrequentAnswers(["a", "b"], [0])
