"""The contents of a page in the formats of other tools."""

from lsgen.explorer.exports.anndata_file import write_anndata
from lsgen.explorer.exports.atlas import write_atlas
from lsgen.explorer.exports.embedding_projector import write_projector
from lsgen.explorer.exports.table import code_table, write_npz

__all__ = ["code_table", "write_anndata", "write_atlas", "write_npz", "write_projector"]
