"""Networks in files are those that networkx and scipy wrote there; what makes no network is refused in a sentence."""

import csv
import gzip
import zipfile

import networkx as nx
import numpy as np
import pytest
from scipy import sparse

from lsgen.data import GraphFile


@pytest.fixture
def made():
    """Return a network with weights, times, and a node without links."""
    rng = np.random.default_rng(0)
    graph = nx.gnp_random_graph(30, 0.2, seed=1, directed=True)
    graph.add_node(30)
    nx.set_edge_attributes(graph, {edge: float(rng.integers(1, 9)) / 4 for edge in graph.edges}, "weight")
    nx.set_edge_attributes(graph, {edge: float(rng.integers(1990, 2020)) for edge in graph.edges}, "time")
    nx.set_node_attributes(graph, {node: node % 3 for node in graph}, "block")
    return nx.relabel_nodes(graph, {node: f"n {node}" for node in graph})


def links(graph):
    weights, times = graph.strengths().tolist(), [None] * len(graph) if graph.times is None else graph.times.tolist()
    names = [(graph.names[i], graph.names[j]) for i, j in graph.edges.tolist()]
    return {pair: (weight, time) for pair, weight, time in zip(names, weights, times, strict=True)}


def known(made, weighted=True, timed=True):
    return {
        (a, b): (data["weight"] if weighted else 1.0, data["time"] if timed else None)
        for a, b, data in made.edges(data=True)
    }


def test_graph_ml_is_what_networkx_wrote(made, tmp_path):
    nx.write_graphml(made, tmp_path / "a.graphml")
    graph = GraphFile(tmp_path / "a.graphml").graph()
    assert graph.directed
    assert links(graph) == known(made)
    assert graph.names == tuple(made)
    assert graph.columns["block"].tolist() == [made.nodes[node]["block"] for node in made]
    assert links(GraphFile(tmp_path / "a.graphml", weight=None, time=None).graph()) == known(made, False, False)
    (tmp_path / "packed.graphml.gz").write_bytes(gzip.compress((tmp_path / "a.graphml").read_bytes()))
    assert links(GraphFile(tmp_path / "packed.graphml.gz").graph()) == known(made)


def test_a_table_of_links_with_one_of_nodes(made, tmp_path):
    rows = [("Time", "Target", "note", "Weight", "Source")]
    rows += [(data["time"], b, 'a "note", long', data["weight"], a) for a, b, data in made.edges(data=True)]
    with open(tmp_path / "links.csv", "w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    nodes = "".join(f"{node},{made.nodes[node]['block']}\n" for node in made)
    (tmp_path / "nodes.csv").write_text(f"id,block\n{nodes}")
    graph = GraphFile(tmp_path / "links.csv", directed=True, nodes_path=tmp_path / "nodes.csv").graph()
    assert links(graph) == known(made)
    assert graph.names == tuple(made)
    assert graph.columns["block"].tolist() == [made.nodes[node]["block"] for node in made]
    assert graph.isolated().nonzero().tolist() == [[30]]
    swapped = GraphFile(
        tmp_path / "links.csv", True, source="Target", target="Source", weight="Time", time=None
    ).graph()
    assert links(swapped) == {(b, a): (time, None) for (a, b), (_, time) in known(made).items()}


def test_lists_of_links(made, tmp_path):
    plain = nx.convert_node_labels_to_integers(made)
    nx.write_weighted_edgelist(plain, tmp_path / "a.edgelist")
    graph = GraphFile(tmp_path / "a.edgelist", True, weight=3).graph()
    assert links(graph) == {(str(a), str(b)): (data["weight"], None) for a, b, data in plain.edges(data=True)}
    assert graph.names == tuple(str(node) for node in range(30))  # by value; a list does not know of node 30
    nx.write_edgelist(plain.to_undirected(), tmp_path / "b.edges", data=False)
    assert set(links(GraphFile(tmp_path / "b.edges").graph())) == {
        (str(min(edge)), str(max(edge))) for edge in plain.to_undirected().edges
    }
    text = b"# Nodes: 3 Edges: 2\n# FromNodeId\tToNodeId\n7\t10\n\n10\t-2\n"
    (tmp_path / "c.txt.gz").write_bytes(gzip.compress(text))
    snap = GraphFile(tmp_path / "c.txt.gz").graph()
    assert (snap.names, snap.edges.tolist()) == (("-2", "7", "10"), [[1, 2], [0, 2]])
    (tmp_path / "d.txt").write_text("#b #a\n% not a link\n#a #c\n")
    assert GraphFile(tmp_path / "d.txt").graph().names == ("#b", "#a", "#c")


def test_arrays_are_what_numpy_and_scipy_wrote(made, tmp_path):
    matrix = nx.to_scipy_sparse_array(made)
    sparse.save_npz(tmp_path / "matrix.npz", matrix)
    graph = GraphFile(tmp_path / "matrix.npz").graph()
    assert graph.directed
    assert (graph.adjacency() != matrix).nnz == 0
    sparse.save_npz(tmp_path / "both.npz", sparse.csr_array(matrix + matrix.T))
    both = GraphFile(tmp_path / "both.npz").graph()
    assert not both.directed
    assert (both.adjacency() != matrix + matrix.T).nnz == 0
    assert (GraphFile(tmp_path / "both.npz", True).graph().adjacency() != matrix + matrix.T).nnz == 0
    drawn = np.random.default_rng(0).random((4, 6))
    features = sparse.csr_array(drawn * (drawn < 0.4))
    rows = {"indptr": features.indptr, "indices": features.indices, "data": features.data, "shape": features.shape}
    edges = np.array([[2, 0], [0, 1]], np.int32)
    given = {"weights": [1.0, 2.5], "times": [3, 1], "names": ["a", "b", "c", "d"], "label": [0, 1, 1, 0]}
    np.savez(tmp_path / "general.npz", edges=edges, directed=True, **rows, **given)
    general = GraphFile(tmp_path / "general.npz")
    assert links(general.graph()) == {("c", "a"): (1.0, 3.0), ("a", "b"): (2.5, 1.0)}
    assert general.graph().columns["label"].tolist() == [0, 1, 1, 0]
    assert np.allclose(general.features().toarray(), features.toarray().astype(np.float32), rtol=0, atol=0)
    assert GraphFile(tmp_path / "both.npz").features() is None


def test_an_archive_of_netzschleuder(tmp_path):
    with zipfile.ZipFile(tmp_path / "net.csv.zip", "w") as archive:
        archive.writestr("edges.csv", "# source, target, weight\n0, 2, 1.5\n2, 1, 1\n")
        archive.writestr(
            "nodes.csv", '# index, name, age, _pos\n0, Ann, 3, "array([1., 2.])"\n1, Bob, , ""\n2, "C, D", 5, ""\n'
        )
        archive.writestr("gprops.csv", "# name\nnet\n")
    graph = GraphFile(tmp_path / "net.csv.zip").graph()
    assert links(graph) == {("Ann", "C, D"): (1.5, None), ("Bob", "C, D"): (1.0, None)}
    assert list(graph.columns) == ["age"]
    np.testing.assert_equal(graph.columns["age"], [3.0, np.nan, 5.0])


def test_dates_are_seconds(tmp_path):
    (tmp_path / "a.csv").write_text(
        "from,to,time\na,b,1970-01-02\nb,c,1970-01-02T01:00:00\nc,d,1970-01-02T01:00+01:00\n"
    )
    assert GraphFile(tmp_path / "a.csv").graph().times.tolist() == [86400.0, 90000.0, 86400.0]


MARKED = "source,target,weight\n"
WRONG = {
    "column names": ("a.csv", "a,b\nb,c\n", {}, "expected the first line of .* to call two columns source and target"),
    "two sources": ("a.csv", "source,target,source\na,b,c\n", {}, "expected two columns .* source, target, source"),
    "no such column": ("a.csv", MARKED + "a,b,1\n", {"weight": "w"}, "data.graph.weight to be one column .* got 'w'"),
    "one column": ("a.txt", "a\nb\n", {}, "expected at least two columns in .*, got 'a'"),
    "the same column": ("a.txt", "a b\n", {"source": 1, "target": 1}, "expected two columns .* got 1 twice"),
    "column 0": ("a.txt", "a b\n", {"source": 0, "target": 1}, "numbered 1 to 2, got 0"),
    "unclaimed": ("a.txt", "a b 3\n", {}, "expected to know what column 3 .* is, such as '3'"),
    "short line": ("a.csv", MARKED + "a,b,1\nc,d\n", {}, "expected 3 columns in line 3 of .*, got 2"),
    "long line": ("a.txt", "a b\n\nc d e\n", {}, "expected 2 columns in line 3 of .*, got 3"),
    "no name": ("a.csv", MARKED + "a, ,1\n", {}, "expected two nodes in line 2 of .*, got one without a name"),
    "late comment": ("a.csv", MARKED + "a,b,1\n# c,d,1\n", {}, "expected comments before all other lines.* line 3"),
    "NaN": ("a.csv", MARKED + "a,b,nan\n", {}, "expected a finite number above 0 as weight in line 2 .* 'nan'"),
    "no weight": ("a.csv", MARKED + "a,b,\n", {}, "expected a finite number above 0 as weight in line 2 .* got ''"),
    "infinite": ("a.csv", MARKED + "a,b,-inf\n", {"signed": True}, "expected a finite number as weight in line 2"),
    "underscore": ("a.csv", MARKED + "a,b,1_0\n", {}, "expected a finite number above 0 as weight .* '1_0'"),
    "negative": ("a.csv", MARKED + "a,b,-1\n", {}, "got '-1': data.graph.signed=true takes negative ones"),
    "zero": ("a.csv", MARKED + "a,b,0\n", {}, "expected a finite number above 0 as weight in line 2 of .*, got '0'$"),
    "no sign": ("a.csv", "source,target\na,b\n", {"signed": True}, "expected weights .* for data.graph.signed=true"),
    "no time": ("a.csv", "u,v,time\na,b,soon\n", {}, "expected a number, or date .* in line 2 of .*, got 'soon'"),
    "two kinds of time": ("a.csv", "u,v,time\na,b,2008\nb,c,2008-01-01\n", {}, "expected a number as time in line 3"),
    "loop": ("a.txt", "a a\nb c\n", {}, r"expected no link from a node to itself, got 1, such as that of 'a' \(data"),
    "again": ("a.txt", "a b\nb a\na b\n", {}, "expected every link once, got 2 again, such as that of 'a' and 'b'"),
    "opposite": (
        "a.txt",
        "b a\na b\n",
        {},
        "got 1 from either end, such as that of 'b' and 'a': data.graph.directed=true",
    ),
    "empty": ("a.csv", "", {}, "expected lines in .*, got none"),
    "names alone": ("a.csv", MARKED, {}, "expected links in .*, got none"),
    "matrix market": (
        "a.txt",
        "%%MatrixMarket matrix\n2 2 1\n1 2\n",
        {},
        "got a matrix in the format of Matrix Market",
    ),
    "open quote": ("a.csv", 'u,v\n"a,b\n', {}, "got what is cut short or damaged"),
    "latin": ("a.csv", "u,v\né,b\n".encode("latin-1"), {}, "expected text in UTF-8 in .*, got another encoding"),
    "bytes": ("a.txt", "a\0 b\n", {}, "expected text in UTF-8 in .*, got the name 'a.*"),
    "cut archive": ("a.txt.gz", gzip.compress(b"1 2\n" * 99, mtime=0)[:-9], {}, "cut short or damaged"),
    "no archive": ("a.zip", b"PK", {}, "expected the network data in .*, got what is cut short"),
    "another format": ("a.xlsx", b"PK", {}, "expected data.graph.path to end in .csv, .tsv, .* got '.*a.xlsx'"),
    "broken xml": ("a.graphml", "<graphml>", {}, "expected the network data in .*, got what is cut short"),
    "no xml graph": ("a.graphml", "<graphml></graphml>", {}, "expected the network data in .*, got what is cut short"),
    "source of xml": (
        "a.graphml",
        "",
        {"source": "a"},
        "expected data.graph.source and .* with a table of links alone",
    ),
    "nodes of xml": (
        "a.graphml",
        "",
        {"nodes_path": "b"},
        "expected data.graph.nodes_path with a table of links alone, got 'b'",
    ),
    "broken npz": ("a.npz", b"PK\x03\x04", {}, "expected the network data in .*, got what is cut short"),
}


@pytest.mark.parametrize("name", WRONG)
def test_files_that_are_no_network_are_refused(name, tmp_path):
    file, content, options, sentence = WRONG[name]
    (tmp_path / file).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=sentence):
        GraphFile(tmp_path / file, **options).graph()


EDGES = np.array([[0, 1], [1, 2]])
WRONG_ARRAYS = {
    "no edges": ({"links": EDGES}, {}, "expected an array edges of whole numbers .* got none"),
    "halves": ({"edges": EDGES / 2}, {}, r"expected an array edges of whole numbers .* got float64 \(2, 2\)"),
    "few nodes": ({"edges": EDGES, "nodes": 2}, {}, "expected one number of nodes .* got 2 and ends up to 2"),
    "two numbers": ({"edges": EDGES, "nodes": 4, "names": list("abc")}, {}, "expected one number of nodes .* got 4, 3"),
    "negative": ({"edges": -EDGES}, {}, "expected links between nodes 0 to .*, got one with node -2"),
    "weights": ({"edges": EDGES, "weights": [1.0]}, {}, r"expected weights of 2 links, \(2,\), got \(1,\)"),
    "NaN": ({"edges": EDGES, "weights": [1.0, np.nan]}, {}, "expected finite weights of links, got nan of link 1"),
    "one name": ({"edges": EDGES, "names": ["a", "b", "a"]}, {}, "expected a name of each of 3 nodes, all different"),
    "column": (
        {"edges": EDGES, "age": [1, 2]},
        {},
        r"expected a column of 3 nodes, \(3,\), as 'age' in .*, got \(2,\)",
    ),
    "features": ({"edges": EDGES, "data": [1.0]}, {}, "expected features of nodes as .*, got no indptr"),
    "no weight": ({"edges": EDGES}, {"weight": "w"}, "expected data.graph.weight to be an array of .* got 'w'"),
    "object": ({"edges": np.array([None])}, {}, "expected the network data in .*, got what is cut short"),
    "none": ({"edges": EDGES[:0]}, {}, "expected links in .*, got none"),
}


@pytest.mark.parametrize("name", WRONG_ARRAYS)
def test_arrays_that_are_no_network_are_refused(name, tmp_path):
    arrays, options, sentence = WRONG_ARRAYS[name]
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=sentence):
        GraphFile(tmp_path / "a.npz", **options).graph()


def test_other_files_that_are_no_network_are_refused(tmp_path):
    sparse.save_npz(tmp_path / "flat.npz", sparse.csr_array(np.ones((2, 3))))
    sparse.save_npz(tmp_path / "skew.npz", sparse.csr_array(np.array([[0, 2.0], [1, 0]])))
    (tmp_path / "a.csv").write_text("u,v\na,b\nb,c\n")
    (tmp_path / "two.csv").write_text("id,x\na,1\na,2\n")
    (tmp_path / "ab.csv").write_text("id\na\nb\n")
    with zipfile.ZipFile(tmp_path / "no.zip", "w") as archive:
        archive.writestr("other.csv", "")
    text = "\n".join(nx.generate_graphml(nx.path_graph(2)))
    graph = text[text.index("<graph ") : text.index("</graph>") + 8]
    (tmp_path / "twice.graphml").write_text(text.replace("</graph>", f"</graph>{graph}"))
    sentences = {
        "flat.npz": ({}, r"expected a square matrix of links in .*, got \(2, 3\)"),
        "skew.npz": ({"directed": False}, "expected a symmetric matrix .*, got 2 entries apart"),
        "no.zip": ({}, "expected edges.csv and nodes.csv in .*, got other.csv"),
        "twice.graphml": ({}, "expected one network in .*, got 2"),
    }
    for name, (options, sentence) in sentences.items():
        with pytest.raises(ValueError, match=sentence):
            GraphFile(tmp_path / name, **options).graph()
    with pytest.raises(ValueError, match=r"expected another node in each line of .*, got 'a' in line 3"):
        GraphFile(tmp_path / "a.csv", nodes_path=tmp_path / "two.csv").graph()
    with pytest.raises(ValueError, match=r"expected one of the 2 nodes in line 3 of .*, got 'c'"):
        GraphFile(tmp_path / "a.csv", nodes_path=tmp_path / "ab.csv").graph()
    with pytest.raises(FileNotFoundError, match=r"expected a network at .*, found nothing"):
        GraphFile(tmp_path / "nothing.csv").graph()
