"""A command line that cannot be read is told by what is missing, what that is, and the cure."""

import pytest

from cryoparts.cli.main import main


@pytest.mark.parametrize(
    ("given", "problem", "cure"),
    [
        (
            "evaluate runs/first",
            "cryoparts evaluate: --truth is missing: truth.npz",
            "--truth TRUTH",
        ),
        ("evaluate runs/first --truth", "--truth is given no value: truth.npz", "--truth TRUTH"),
        (
            "reconstruct --at-rest",
            "cryoparts reconstruct: RUN is missing: Folder",
            "reconstruct RUN",
        ),
        ("simulate motion -o new", "simulate motion: STRUCTURE is missing", "motion STRUCTURE"),
        ("run p.star --modle m.mrc", "--model is missing: Map", "--model in place of --modle"),
        ("run p.star --map m.mrc", "--model is missing: Map", "MODEL` (there is no option --map)"),
        ("parts runs/first two", "cryoparts parts: no option says what two is", "parts --help"),
        ("check p.star --modle m.mrc", "check: Unknown option: --modle", "check --help"),
        ("frobnicate", 'Unknown command "frobnicate"', "cryoparts --help"),
    ],
)
def test_misuse(capsys, given, problem, cure):
    with pytest.raises(SystemExit) as ended:
        main(given.split())
    assert ended.value.code == 2
    told = " ".join(capsys.readouterr().err.split())
    assert problem in told
    assert cure in told
    assert "Traceback" not in told
