"""Hypernyms of nouns: a small dictionary in WordNet's format, and the counts of the real one where it is installed."""

from pathlib import Path

import networkx
import pytest
import torch

from lsgen.data import WordNetHypernyms

DEBIAN = Path("/usr/share/wordnet")
LICENCE = "  1 This software and database is being provided to you\n"
SYNSETS = {  # offset: words, hypernyms of classes and of instances
    "00000100": (["thing"], [], []),
    "00000200": (["animal", "beast"], ["00000100"], []),
    "00000300": (["pet"], ["00000100"], []),
    "00000400": (["dog"], ["00000200", "00000300"], []),
    "00000500": (["Rex", "dog"], [], ["00000400"]),
    "00000600": (["dog"], ["00000100"], []),
}


def _write(folder: Path) -> str:
    data, senses = LICENCE, {"dog": ["00000600", "00000400", "00000500"]}
    for offset, (words, classes, instances) in SYNSETS.items():
        for word in words:
            senses.setdefault(word.lower(), [offset])
        pointers = [f"@ {over} n 0000" for over in classes] + [f"@i {over} n 0000" for over in instances]
        pointers.append("~ 00000100 n 0000")
        forms = " ".join(f"{word} 0" for word in words)
        data += f"{offset} 03 n {len(words):02x} {forms} {len(pointers):03d} {' '.join(pointers)} | a @ 1 gloss  \n"
    index = LICENCE + "".join(
        f"{word} n {len(found)} 1 @ {len(found)} 0 {' '.join(found)}  \n" for word, found in sorted(senses.items())
    )
    (folder / "data.noun").write_text(data)
    (folder / "index.noun").write_text(index)
    return str(folder)


def test_links_lead_to_every_hypernym_of_classes_and_instances(tmp_path: Path) -> None:
    graph = WordNetHypernyms(path=_write(tmp_path)).graph()
    assert graph.names == ("thing.n.01", "animal.n.01", "pet.n.01", "dog.n.02", "rex.n.01", "dog.n.01")
    assert graph.directed
    near = networkx.DiGraph([(1, 0), (2, 0), (3, 1), (3, 2), (4, 3), (5, 0)])
    assert {*map(tuple, graph.edges.tolist())} == {*networkx.transitive_closure(near).edges}
    assert graph.columns["level"].tolist() == [0, 1, 1, 2, 3, 1]
    next_ones = WordNetHypernyms(closure=False, path=str(tmp_path)).graph()
    assert {*map(tuple, next_ones.edges.tolist())} == {*near.edges}


def test_a_root_keeps_what_is_a_kind_of_it(tmp_path: Path) -> None:
    graph = WordNetHypernyms("animal.n.01", path=_write(tmp_path)).graph()
    assert graph.names == ("animal.n.01", "dog.n.02", "rex.n.01")
    assert sorted(graph.edges.tolist()) == [[1, 0], [2, 0], [2, 1]]
    assert graph.columns["level"].tolist() == [0, 1, 2]


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"data\.noun, found nothing: install Debian's wordnet-base"):
        WordNetHypernyms(path=str(tmp_path)).graph()
    folder = _write(tmp_path)
    with pytest.raises(ValueError, match=r"expected data\.graph\.root to be a noun .*, got 'cat\.n\.01'"):
        WordNetHypernyms("cat.n.01", path=folder).graph()
    (tmp_path / "data.noun").write_text("00000100 03 n 01 thing")
    with pytest.raises(ValueError, match=r"expected the WordNet data in .*damaged"):
        WordNetHypernyms(path=folder).graph()


@pytest.mark.slow
@pytest.mark.skipif(not (DEBIAN / "index.noun").exists(), reason="needs Debian's wordnet-base")
def test_the_counts_are_those_of_the_paper_before_its_filter() -> None:
    graph = WordNetHypernyms().graph()
    assert (graph.nodes, len(graph)) == (82_115, 743_241)
    root = graph.names.index("mammal.n.01")
    inside = torch.zeros(graph.nodes, dtype=torch.bool)
    inside[graph.edges[graph.edges[:, 1] == root, 0]] = True
    inside[root] = True
    found = graph.subgraph(inside)
    assert (found.nodes, len(found)) == (1_182, 6_542)
