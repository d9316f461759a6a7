"""Entries of the registry for codes of the nodes of networks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from lsgen.runs.keys.entry import Chart, Entry, ends, figure

__all__ = ["GRAPHS"]


def _estimated(pattern: str, name: str, meaning: str, *, unit: str = "", **more: Any) -> Iterator[Entry]:
    """Yield the entries of a number, of the two ends of its 95 % interval and of what it is by chance."""
    key = f"graph/{pattern}"
    yield from ends(key, name, unit, "networks")
    yield Entry(f"{key}_chance", f"{name}, by chance", unit, "networks", meaning="the same by chance", default=False)
    yield Entry(key, name, unit, "networks", meaning=meaning, **more)


def _links(measure: str, name: str, meaning: str, **more: Any) -> Iterator[Entry]:
    """Yield the entries of a measure of link prediction, those of the model first."""
    title = f"Links: {name}"
    yield from _estimated(
        f"links/{{split}}/model/{measure}", f"{name} of links, {{split}}", meaning, better="higher", **more,
        chart=Chart(title, "", "model") if more.get("summary") else None,
    )  # fmt: skip
    yield from _estimated(f"links/{{split}}/{{score}}/{measure}", f"{name} of links, {{split}}, {{score}}",
        "the same of a score without codes", better="higher", default="hits" not in measure)  # fmt: skip


def _maps(name: str, caption: str, meaning: str) -> Iterator[Entry]:
    """Yield the entries of a map of the last year and of its animation over the years."""
    yield figure(f"graph/flows/{name}", caption, "networks", f"{meaning}, of the last year")
    yield figure(
        f"graph/flows/{name}_by_year", f"{caption}, by year", "networks", f"{meaning}, year by year", "animation"
    )


# fmt: off
GRAPHS: tuple[Entry, ...] = (
    *_links("auc", "AUC", "probability that a held-out link scores higher than a pair without a link; ties count half",
        summary=True, card=("Links", "AUC")),
    *_links("ap", "AP", "mean over held-out links of the precision of the list that ends with them", summary=True),
    *_links("hits_at_{k}", "hits at {k}", "share of held-out links that come before the k-th pair without a link"),
    Entry("graph/links/{split}/pairs", "links asked for, {split}", "", "networks", default=False,
        meaning="number of held-out links"),
    Entry("graph/links/{split}/pairs_others", "pairs without a link, {split}", "", "networks", default=False,
        meaning="number of pairs that they are told from"),
    *_estimated("reconstruction/mean_rank", "mean rank of neighbours", "mean place of a neighbour among it and the "
        "nodes that are not linked to its source", better="lower", summary=True, card=("Reconstruction", "mean rank"),
        chart=Chart("Reconstruction: mean rank", "")),
    *_estimated("reconstruction/map", "MAP of neighbours", "mean over nodes of the average precision of their "
        "neighbours in the list of all other nodes", better="higher", summary=True, card=("Reconstruction", "MAP"),
        chart=Chart("Reconstruction: MAP", "")),
    Entry("graph/reconstruction/nodes", "nodes with links", "", "networks", default=False,
        meaning="number of nodes that were asked for their neighbours"),
    Entry("graph/reconstruction/nodes_left_out", "nodes without links", "", "networks", default=False,
        meaning="number of nodes that have none"),
    *_estimated("classification/{column}/codes/at_{labels}", "{column} by {labels} labels", "accuracy of a probe of "
        "the codes that is fitted to so many labels, for held-out nodes; R² of numbers", better="higher", summary=True),
    *_estimated("classification/{column}/{coordinates}/at_{labels}", "{column} by {labels} labels, {coordinates}",
        "the same of the spectrum of the network, of features of nodes, or of the most frequent label",
        better="higher"),
    *_estimated("communities/{column}/{clusters}/rand_index", "adjusted Rand index, {column}, {clusters}",
        "agreement of clusters with labels: of codes by k-means or by their neighbours, or of the network alone",
        better="higher"),
    *_estimated("communities/{column}/{clusters}/mutual_information",
        "adjusted mutual information, {column}, {clusters}", "the same, in information", better="higher"),
    *_estimated("routing/success", "greedy routing, success", "share of packets that arrive, each node sending them to "
        "its neighbour nearest to the target", better="higher", summary=True, card=("Greedy routing", "success")),
    *_estimated("routing/stretch", "greedy routing, stretch", "links on the way over links on the shortest, mean over "
        "packets that arrive", better="lower", summary=True),
    Entry("graph/routing/packets", "packets", "", "networks", default=False, meaning="number of packets sent"),
    Entry("graph/routing/packets_left_out", "packets without a way", "", "networks", default=False,
        meaning="pairs of nodes that no way leads between"),
    *_estimated("routing/radius_degree", "radius against degree", "Spearman's correlation of the distance of codes "
        "from the centre and degrees; below 0 where hubs are near the centre"),
    Entry("graph/routing/radius_degree_n", "nodes of radius against degree", "", "networks", default=False,
        meaning="number of nodes with links"),
    figure("graph/map", "Nodes and links", "networks", "nodes by their codes, with links: geodesics in the Poincaré "
        "disk where codes are hyperbolic, straight lines in a plane else"),
    figure("graph/links/{split}/bars", "Links of {split} told from other pairs", "networks",
        "AUC and AP of the model and of scores without codes, with 95 % intervals"),
    figure("graph/classification/{column}/curves", "{column} by number of labels", "networks",
        "accuracy of probes with 95 % intervals"),
    figure("graph/links/{split}/scores", "Scores of link prediction, {split}", "networks",
        "all of these numbers, with intervals and chance; also as csv", "table"),
    *_maps("links", "Flows between places", "arrows, blue where more people move than sizes of places explain and "
        "orange where fewer do"),
    *_maps("attractiveness", "Attractiveness of places", "mean signed weights of the links that arrive and that leave"),
    *_maps("codes", "Codes of places on the map", "three principal components of codes as colours"),
    *_estimated("trend/r2", "trend with time", "share of the variance of the times of nodes that the codes of others "
        "explain along one axis", better="higher", summary=True, card=("Trend", "R²")),
    figure("graph/trend", "Nodes along the trend", "networks", "nodes by their codes, along the axis on which they "
        "move with time and along the next principal axis, with a line through the means of times"),
    figure("graph/trend/nodes", "Times of nodes", "networks", "the time of each node and that which its code tells; "
        "also as csv", "table"),
    figure("graph/flows/changes", "Places whose attractiveness has changed most", "networks",
        "mean signed weights of the links that arrive, over the years"),
    figure("graph/flows/places", "Places by year", "networks", "mean signed weights of the links that arrive and that "
        "leave, and the distance of the code from that of the year before; also as csv", "table"),
    Entry("graph/flows/moved", "distance of codes from year to year", "", "networks",
        meaning="distance on the manifold between the codes of a place in years that follow each other, mean over all"),
)
# fmt: on
