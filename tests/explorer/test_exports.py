"""Codes in the formats of other tools, read back by the libraries that read them."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lsgen.explorer import CodeMap, Contents, Thumbnails
from lsgen.explorer.exports import code_table, write_anndata, write_atlas, write_npz, write_projector
from lsgen.latent import Codes, Sphere

N = 7


def contents(**changes):
    """Seven codes on a circle with columns of every kind; the last item has no picture."""
    angle = np.linspace(0, 3, N)
    z = np.stack([np.cos(angle), np.sin(angle)], 1)
    columns = {
        "label": np.arange(N) % 3,
        "score": np.where(np.arange(N) == 2, np.nan, angle),
        "seen": np.arange(N) < 3,
        "name\twith a tab": np.array(["a\tb", None, "ünï\ncode", "", "x", "y", "z"], dtype=object),
        "day": np.array(["2024-01-01", "NaT", *["2024-02-03"] * 5], dtype="datetime64[D]"),
        "group/kind": np.array(["p", "q"] * 3 + ["p"], dtype=object),
    }
    codes = Codes(z, [f"val/{i}" for i in range(N)], Sphere(), columns, np.full((N, 2), 0.5))
    pictures = Thumbnails(np.arange(6, dtype=np.uint8)[:, None, None] * np.full((6, 4, 6), 40, np.uint8))
    maps = [CodeMap("PCA in 3-D", np.c_[z, angle]), CodeMap("PCA", z), CodeMap("t-SNE", z[:, ::-1])]
    return Contents("a run", codes, **{"maps": maps, "pictures": pictures, "facts": {"model": "VAE"}} | changes)


def test_the_projector_finds_tensors_metadata_and_pictures(tmp_path):
    projector = pytest.importorskip("tensorboard.plugins.projector")
    text_format = pytest.importorskip("google.protobuf.text_format")
    made = write_projector(tmp_path / "deep" / "projector", contents())
    config = text_format.Parse((made / "projector_config.pbtxt").read_text(), projector.ProjectorConfig())
    assert [one.tensor_name for one in config.embeddings] == ["codes", "pca_in_3_d", "pca", "t_sne"]
    given = [contents().codes.z, *(shown.coordinates for shown in contents().maps)]
    for one, expected in zip(config.embeddings, given, strict=True):
        np.testing.assert_allclose(np.loadtxt(made / one.tensor_path, delimiter="\t"), expected, rtol=1e-6)
        assert list(one.sprite.single_image_dim) == [6, 4]
        assert (made / one.sprite.image_path).is_file()
    lines = (made / "metadata.tsv").read_text(encoding="utf-8").split("\n")
    assert lines[0].split("\t") == ["id", "label", "score", "seen", "name with a tab", "day", "group/kind"]
    assert len(lines) == N + 2
    assert lines[1].split("\t") == ["val/0", "0", "0", "True", "a b", "2024-01-01", "p"]
    assert lines[3].split("\t")[2:5] == ["", "True", "ünï code"]
    sheet = np.asarray(Image.open(made / "pictures.png").convert("L"))
    assert sheet.shape == (3 * 4, 3 * 6)
    for row in range(N):
        y, x = row // 3 * 4, row % 3 * 6
        assert (sheet[y : y + 4, x : x + 6] == (40 * row if row < 6 else 0)).all()


def test_pictures_of_a_projector_become_smaller_to_fit_into_one_sheet(tmp_path, monkeypatch):
    monkeypatch.setattr("lsgen.explorer.exports.embedding_projector.MOST", 9)
    made = write_projector(tmp_path, contents())
    assert "single_image_dim: 3 single_image_dim: 2" in (made / "projector_config.pbtxt").read_text()
    assert Image.open(made / "pictures.png").size == (9, 6)


def test_one_column_of_metadata_has_a_header(tmp_path):
    alone = Contents("t", Codes(np.eye(3)), [CodeMap("PCA", np.eye(3)[:, :2])])
    made = write_projector(tmp_path, alone)
    assert (made / "metadata.tsv").read_text() == "id\trow\n0\t0\n1\t1\n2\t2\n"
    assert not (made / "pictures.png").exists()


def test_the_atlas_has_a_map_metadata_pictures_and_the_neighbours_of_the_space(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    table = pq.read_table(write_atlas(tmp_path / "codes.parquet", contents(), k=2)).to_pydict()
    given = contents()
    np.testing.assert_allclose(np.c_[table["x"], table["y"]], given.codes.z, rtol=1e-6)
    np.testing.assert_allclose(np.c_[table["t_sne_x"], table["t_sne_y"]], given.codes.z[:, ::-1], rtol=1e-6)
    np.testing.assert_allclose(table["code"], given.codes.z, rtol=1e-6)
    assert table["id"] == given.codes.ids.tolist()
    assert table["label"] == [0, 1, 2, 0, 1, 2, 0]
    assert table["name\twith a tab"] == given.codes.columns["name\twith a tab"].tolist()
    assert table["day"][1] is None
    for row, near in enumerate(table["neighbors"]):
        far = np.abs(np.arange(N) - row) * 0.5  # angles on the circle are half a radian apart
        order = np.argsort(np.where(far == 0, np.inf, far), kind="stable")[:2]
        np.testing.assert_allclose(near["distances"], far[order], rtol=1e-6)
        assert {abs(other - row) for other in near["ids"]} == {int(d / 0.5 + 0.1) for d in far[order]}
    assert np.asarray(Image.open(BytesIO(table["picture"][5]["bytes"]))).tolist() == np.full((4, 6), 200).tolist()
    assert table["picture"][6] is None


def test_an_atlas_needs_a_flat_map_and_takes_a_single_item(tmp_path):
    pq = pytest.importorskip("pyarrow.parquet")
    with pytest.raises(ValueError, match="expected a map of two dimensions"):
        write_atlas(tmp_path / "codes.parquet", contents(maps=contents().maps[:1]))
    one = Contents("t", Codes(np.ones((1, 2)), columns={"x": [5]}), [CodeMap("PCA", np.ones((1, 2)))])
    table = pq.read_table(write_atlas(tmp_path / "one.parquet", one))
    assert table.column_names == ["id", "x", "y", "x (column)", "code"]


def test_anndata_holds_codes_maps_and_metadata(tmp_path):
    anndata = pytest.importorskip("anndata")
    found = anndata.read_h5ad(write_anndata(tmp_path / "codes.h5ad", contents()))
    given = contents()
    np.testing.assert_array_equal(found.obsm["X_latent"], given.codes.z)
    np.testing.assert_array_equal(found.obsm["X_latent_scale"], given.codes.scale)
    np.testing.assert_array_equal(found.obsm["X_t_sne"], given.codes.z[:, ::-1])
    assert found.obs_names.tolist() == given.codes.ids.tolist()
    assert found.obs["label"].tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert found.obs["group_kind"].tolist() == ["p", "q", "p", "q", "p", "q", "p"]
    assert found.uns["lsgen"]["model"] == "VAE"


def test_a_table_is_read_by_lsgen_and_holds_the_maps(tmp_path):
    found = Codes.load(write_npz(tmp_path / "codes.npz", contents()))
    given = contents().codes
    assert found.select(rows=slice(None)) == Codes(
        given.z, given.ids, given.manifold, {**given.columns, **{n: found.columns[n] for n in list(found.columns)[6:]}},
        given.scale,
    )  # fmt: skip
    np.testing.assert_array_equal(found.columns["t-SNE/x"], given.z[:, 1])
    assert list(found.columns)[6:9] == ["PCA in 3-D/x", "PCA in 3-D/y", "PCA in 3-D/z"]
    with pytest.raises(ValueError, match="npz"):
        write_npz(tmp_path / "codes.csv", contents())


def test_rows_to_log_hold_metadata_places_and_pixels():
    names, rows = code_table(contents(), 100)
    assert len(rows) == N
    assert names[:3] == ["id", "label", "score"]
    assert names[-3:] == ["t-SNE/x", "t-SNE/y", "picture"]
    assert rows[1][0] == "val/1"
    assert rows[1][names.index("day")] == ""
    assert rows[3][-1].shape == (4, 6, 3)
    assert (rows[3][-1] == 120).all()
    assert rows[6][-1] is None
    assert len(code_table(contents(), 2)[1]) == 2
