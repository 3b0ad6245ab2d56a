"""The one exception that a user of cryoparts is meant to see."""

from __future__ import annotations


class InputError(Exception):
    """Something the user gave is wrong: a file, a value in it, an option.

    The command line prints the message and exits with code 2, without a
    traceback; everything else that escapes is a defect of cryoparts.

    Parameters
    ----------
    where : str
        The file (with its row, block or column) or the option at fault.
    problem : str
        The rule that is broken, with the value found.
    cure : str
        What the user can do about it.
    """

    def __init__(self, where: str, problem: str, cure: str) -> None:
        self.where = where
        self.problem = problem
        self.cure = cure
        super().__init__(f"{where}: {problem}. {cure}")
