"""A run without a report has no page of its codes either."""

import pytest

from lsgen.cli.application import compose_and_run
from lsgen.cli.config.preparation import prepare


@pytest.mark.parametrize(("overrides", "has"), [([], True), (["report=false"], False)])
def test_a_page_is_written_where_pages_are_asked_for(overrides, has):
    found = []
    compose_and_run(["data=digits", *overrides], "train", lambda composed: found.append(prepare(composed, None).config))
    assert ("explorer" in found[0]["callbacks"]) is has
    assert "reconstructions" in found[0]["callbacks"]
