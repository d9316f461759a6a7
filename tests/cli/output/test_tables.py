"""Tables on a terminal of any width."""

import pytest

from lsgen.cli.output.tables import print_table
from lsgen.runs import RunDirectory

COLUMNS = ["run", "model.objective.beta", "test/elbo_mean", "test/elbo_std", "test/elbo_ci_low", "note"]
ROWS = [
    [f"runs/a_rather_long_name_{i}", str(i), f"-{i}23456.789", "1.23457e-05", "-98,765.4", "words " * 12]
    for i in range(3)
]


@pytest.fixture
def shown(monkeypatch, capsys):
    """Return a function: width of the terminal -> what is printed there."""

    def show(width, columns=COLUMNS, **options):
        monkeypatch.setenv("COLUMNS", str(width))
        print_table(columns, [row[: len(columns)] for row in ROWS], **options)
        return capsys.readouterr().out

    return show


@pytest.mark.parametrize("width", [40, 60, 80, 120, 400])
def test_a_number_is_never_broken_and_no_line_is_too_long(shown, width):
    out = shown(width)
    assert max(map(len, out.splitlines())) <= width
    for row in ROWS:
        for cell in row[1:5]:
            assert any(cell in line for line in out.splitlines()), cell
    assert out.count("words") == 12 * len(ROWS), "text is folded, not cut"


def test_what_does_not_fit_goes_on_below_after_the_keys(shown):
    narrow, wide = shown(80, COLUMNS[:5]), shown(200, COLUMNS[:5])
    assert wide.count("runs/a_rather_long_name_0") == 1
    assert narrow.count("runs/a_rather_long_name_0") > 1
    for column in COLUMNS[1:5]:
        assert narrow.count(column) == 1, "every column stands in one block"


def test_keys_alone_are_a_table(shown):
    assert shown(80, COLUMNS[:1]).count("runs/a_rather_long_name_2") == 1


def test_markup_is_read_where_it_is_asked_for(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    for markup, text in ((True, "12.5"), (False, "[bold]12.5[/bold]")):
        print_table(["[x]", "value"], [["a", "[bold]12.5[/bold]"]], markup=markup)
        out = capsys.readouterr().out
        assert f"│ {text} " in out
        assert "[x]" in out, "heads are text"


@pytest.mark.slow
def test_an_evaluation_names_what_it_measured_and_its_unit(lsgen, trained):
    out = lsgen("evaluate", str(trained)).out
    rows = {line.strip("│ ").split("│")[0].strip(): line for line in out.splitlines()}
    assert "nats" in rows["ELBO"]
    assert "nats" in rows["KL of z0"]
    assert "nats per dimension" in rows["code length"]
    metrics = RunDirectory.open(trained).path / "evaluation" / "last.json"
    assert '"test/kl_dimension/00"' in metrics.read_text(), "files keep the keys"


@pytest.mark.slow
def test_a_traversal_prints_one_row_for_each_quantity(lsgen, small, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    arguments = [argument for argument in small if not argument.startswith("callbacks")]
    assert lsgen("train", *arguments, "run_dir=drawn", "~callbacks.geodesics").code == 0
    lines = lsgen("traverse", "drawn").out.splitlines()
    assert len(lines) < 30
    assert max(map(len, lines)) <= 80
    (volume,) = [line for line in lines if "log-volume, all axes" in line]
    assert len(volume.split("│")) == 7, "5 %, median, 95 % and what is not finite, in one row"
    assert not any("geometry/" in line for line in lines), "no raw key"
