"""A run folder says which layout it has; one of the future is refused, one of the past opens."""

from __future__ import annotations

import pytest
import yaml

from cryoparts.config import RunConfig
from cryoparts.errors import InputError
from cryoparts.io.run_directory import FORMAT, RunDirectory


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return RunDirectory.create(tmp_path / "run", RunConfig("p.star", "m.cif"), [])


def rewrite(run: RunDirectory, **changes: object) -> None:
    record = yaml.safe_load(run.config_path.read_text()) | changes
    kept = {name: value for name, value in record.items() if value is not None}
    run.config_path.write_text(yaml.safe_dump(kept))


def test_a_new_folder_has_the_present_format(run):
    assert RunDirectory.open(run.root).require_known_format() == FORMAT


def test_a_folder_without_a_number_is_of_the_first_format_and_opens(run):
    rewrite(run, format=None)
    assert RunDirectory.open(run.root).require_known_format() == 1
    assert run.config().particles == "p.star"


@pytest.mark.parametrize("number", [FORMAT + 1, 0, "two", [1]])
def test_a_format_that_is_not_known_is_refused_with_the_version_that_made_it(run, number):
    rewrite(run, format=number, versions={"cryoparts": "7.3.1"})
    with pytest.raises(InputError, match=r"has format .* Open it with cryoparts 7\.3\.1"):
        RunDirectory.open(run.root)


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "a: [", "just words\n", "format: 2\n"])
def test_options_that_cannot_be_read_are_one_error_with_the_file(run, text):
    run.config_path.write_text(text)
    with pytest.raises(InputError, match=r"config\.yaml"):
        RunDirectory.open(run.root).config()
