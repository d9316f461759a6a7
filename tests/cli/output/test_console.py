"""Messages of libraries during a run."""

import logging
import sys

from lsgen.cli.output.console import messages


def test_lightning_writes_into_the_file_even_where_it_has_a_handler_of_its_own(tmp_path, capsys, monkeypatch):
    logger, handler = logging.getLogger("pytorch_lightning"), logging.StreamHandler(sys.stderr)
    monkeypatch.setattr(logger, "handlers", [handler])
    monkeypatch.setattr(logger, "propagate", False)
    logger.setLevel(logging.INFO)
    with messages(tmp_path / "train.log"):
        logger.info("GPU available: no")
        logger.warning("a thing to know")
    assert (logger.handlers, logger.propagate) == ([handler], False)
    assert capsys.readouterr().err == "warning: a thing to know\n"
    assert (tmp_path / "train.log").read_text().count("pytorch_lightning: ") == 2
