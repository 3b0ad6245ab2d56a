"""Tables of a STAR file, read by block and column.

Only the columns that are asked for are turned into numbers, by pandas' C
parser: 1,000,000 rows take 2 s and 0.25 GB (starfile 12 s and 3.2 GB, gemmi 5 s
and 1.5 GB, which also takes a value such as ``data_2020/mic.mrc`` for the start
of a block). Blocks whose rows have quotes or comments in them are cut into values
here: pandas knows one kind of quotes only, and takes the rest for further values.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from cryoparts.errors import InputError
from cryoparts.io.files import reading

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import TextIO

CURE = "Give a RELION .star file with particles (a run_data.star, for example)."
VALUE = re.compile(r"\"[^\n]*?\"(?=[ \t\r\n]|$)|'[^\n]*?'(?=[ \t\r\n]|$)|[^ \t\r\n]+")
"""A value: quoted, the quote closed by one before a blank; or up to the next blank."""
FILE_ENDING = re.compile(r"\.[A-Za-z]{3,4}$")
MISSING = ["", "<NA>"]


def values_of(line: str) -> list[str]:
    """The values of a line, without their quotes and without a comment behind them."""
    found: list[str] = []
    for match in VALUE.finditer(line):
        text = match[0]
        if text[0] == "#":
            break
        quoted = len(text) > 1 and text[0] in "\"'" and text[-1] == text[0]
        found.append(text[1:-1] if quoted else text)
    return found


@dataclass(frozen=True)
class OddRow:
    """The first row whose values do not fit the columns."""

    line: int
    """1-based line of the file."""
    row: int
    """1-based row of the block."""
    text: str


@dataclass(frozen=True)
class StarBlock:
    """One ``data_`` block: a loop of rows, or single values.

    Parameters
    ----------
    path : Path
    name : str
        Without ``data_``; may be empty.
    columns : tuple of str
        Tags, with the leading underscore removed.
    first_line : int
        0-based line of the first row.
    row_count : int
    values : dict
        The single values of a block without a loop.
    comment_lines : tuple of int
        0-based lines of comments among the rows.
    line : int
        1-based line of the block's name.
    plain : bool
        Whether no row has quotes, comments or characters beyond ASCII.
    odd_row : OddRow, optional
        The first row with too many or too few values.
    odd_rows : int
        How many rows have.
    fault : str, optional
        What makes the block as a whole ambiguous.
    """

    path: Path
    name: str
    columns: tuple[str, ...]
    first_line: int
    row_count: int
    values: dict[str, str]
    comment_lines: tuple[int, ...] = ()
    line: int = 1
    plain: bool = True
    odd_row: OddRow | None = None
    odd_rows: int = 0
    fault: str | None = None

    def __len__(self) -> int:
        return self.row_count

    def read(self, wanted: Iterable[str]) -> pd.DataFrame:
        """The wanted columns that the block has, numbers where all values are.

        Raises
        ------
        InputError
            If a row has too many or too few values, a wanted column stands twice, or
            the block has several loops or a namesake.
        """
        asked = set(wanted)
        present = [(i, c) for i, c in enumerate(self.columns) if c in asked]
        self._require_sound([c for _, c in present])
        if self.values:
            return pd.DataFrame({c: pd.Series([self.values[c]]) for _, c in present})
        return self._plain_rows(present) if self.plain else self._cut_rows(present)

    def line_of(self, row: int) -> int:
        """1-based line of the file on which the 0-based `row` stands."""
        with self.path.open(encoding="utf-8-sig") as stream:
            for seen, (number, _) in enumerate(self._row_lines(stream)):
                if seen == row:
                    return number + 1
        raise IndexError(row)

    def _require_sound(self, present: Sequence[str]) -> None:
        where = f"{self.path}, block data_{self.name} (line {self.line})"
        if self.fault is not None:
            raise InputError(
                where, self.fault, "Give every table a data_ line of its own, with another name."
            )
        twice = next((c for c in present if self.columns.count(c) > 1), None)
        if twice is not None:
            places = [str(i + 1) for i, c in enumerate(self.columns) if c == twice]
            raise InputError(
                where,
                f"the column {twice} stands {len(places)} times, as columns {', '.join(places)}; "
                "which one counts is not said",
                "Take the wrong one out of the file, with its values.",
            )
        if self.odd_row is not None:
            raise _row_error(self, self.odd_row)

    def _plain_rows(self, present: list[tuple[int, str]]) -> pd.DataFrame:
        try:
            frame = pd.read_csv(
                self.path,
                sep=r"\s+",
                header=None,
                names=list(range(len(self.columns))),
                usecols=[i for i, _ in present],
                skiprows=[*range(self.first_line), *self.comment_lines],
                nrows=self.row_count,
                skip_blank_lines=True,
                quoting=csv.QUOTE_NONE,
                index_col=False,
                low_memory=False,
                encoding="utf-8-sig",
                keep_default_na=False,  # "None" and "NA" are names here
                na_values=MISSING,
            )
        except (pd.errors.ParserError, ValueError, IndexError) as fault:
            raise InputError(
                f"{self.path}, block data_{self.name}",
                f"its {len(self.columns)} columns and its rows do not fit: {fault}",
                "Write the file again.",
            ) from fault
        return frame.rename(columns=dict(present))[[c for _, c in present]]

    def _cut_rows(self, present: list[tuple[int, str]]) -> pd.DataFrame:
        columns: list[list[str]] = [[] for _ in present]
        with self.path.open(encoding="utf-8-sig") as stream:
            for _, line in self._row_lines(stream):
                found = values_of(line)
                for column, (place, _name) in zip(columns, present, strict=True):
                    column.append(found[place])
        return pd.DataFrame(
            {name: _numbers_or_text(c) for c, (_, name) in zip(columns, present, strict=True)}
        )

    def _row_lines(self, stream: TextIO) -> Iterator[tuple[int, str]]:
        """0-based number and text of every row's line."""
        comments, left = set(self.comment_lines), self.row_count
        for number, line in enumerate(stream):
            if not left:
                return
            if number >= self.first_line and number not in comments and line.strip():
                left -= 1
                yield number, line


def _numbers_or_text(texts: list[str]) -> pd.Series[float] | pd.Series[str]:
    series = pd.Series(texts, dtype=object)
    series = series.where(~series.isin(MISSING), None)
    try:
        return pd.to_numeric(series)
    except (ValueError, TypeError):
        return series


def _row_error(block: StarBlock, odd: OddRow) -> InputError:
    found, expected = values_of(odd.text), len(block.columns)
    few = len(found) < expected
    problem = (
        f"the row has {len(found)} values, {'fewer values' if few else 'more'} than the {expected} "
        f"columns ({block.odd_rows} such row{'s' if block.odd_rows > 1 else ''})"
    )
    if few:
        cure = "The file was cut off or edited: write it again."
    else:
        guess = _value_with_blank(block.columns, found)
        cure = (
            f"A value with a blank in it must stand in quotes{guess}; where there is a value "
            "without a column, name the column in the header of the block."
        )
    return InputError(
        f"{block.path}, line {odd.line}, data_{block.name} row {odd.row}", problem, cure
    )


def _value_with_blank(columns: Sequence[str], found: Sequence[str]) -> str:
    """The name that has blanks in it, if with it whole all else are numbers and names of files."""
    more = len(found) - len(columns)
    best, most = "", -1
    for place, column in enumerate(columns):
        last = place + more
        if "Name" not in column or _numeric(found[last]):
            continue
        if any(FILE_ENDING.search(text) for text in found[place:last]):
            continue
        whole = " ".join(found[place : last + 1])
        values = dict(zip(columns, [*found[:place], whole, *found[last + 1 :]], strict=True))
        names = [v for c, v in values.items() if "Name" in c]
        files = sum(FILE_ENDING.search(name) is not None for name in names)
        if files > most and all("Name" in c or _numeric(v) for c, v in values.items()):
            best, most = f' (here "{whole}", the {column})', files
    return best


def _numeric(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.startswith("[")
    return True


def read_blocks(path: Path) -> dict[str, StarBlock]:
    """Find the blocks of a STAR file in one pass over its lines.

    Of several blocks of one name the first is kept, marked; reading it is an error.

    Raises
    ------
    InputError
        If the file is absent, empty, no text, or has no ``data_`` block.
    """
    blocks: dict[str, StarBlock] = {}
    with reading(path, "a STAR file", CURE):
        try:
            with path.open(encoding="utf-8-sig") as stream:
                for block in _scan(path, stream):
                    earlier = blocks.get(block.name)
                    if earlier is None:
                        blocks[block.name] = block
                    else:
                        blocks[block.name] = _namesakes(earlier, block)
        except UnicodeDecodeError as fault:
            raise InputError(str(path), "not a STAR file: it is not text", CURE) from fault
    if not blocks:
        raise InputError(str(path), "not a STAR file: it has no data_ block", CURE)
    return blocks


def _namesakes(first: StarBlock, second: StarBlock) -> StarBlock:
    fault = f"the file has another block data_{second.name}, in line {second.line}"
    columns = (*first.columns, *(c for c in second.columns if c not in first.columns))
    return StarBlock(
        first.path, first.name, columns, 0, 0, {}, line=first.line, fault=first.fault or fault
    )


@dataclass
class _Scanned:
    """A block while its lines are read."""

    path: Path
    name: str
    line: int
    columns: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    comments: list[int] = field(default_factory=list)
    first_line: int = 0
    rows: int = 0
    in_loop: bool = False
    plain: bool = True
    odd_row: OddRow | None = None
    odd_rows: int = 0
    fault: str | None = None

    def row(self, number: int, line: str) -> None:
        if self.rows == 0:
            self.first_line = number
        self.rows += 1
        if line.isascii() and not ('"' in line or "'" in line or "#" in line):
            count = len(line.split())
        else:
            self.plain = False
            count = len(values_of(line))
        if count != len(self.columns):
            self.odd_rows += 1
            if self.odd_row is None:
                self.odd_row = OddRow(number + 1, self.rows, line)

    def loop(self, number: int) -> None:
        if self.in_loop:
            self.fault = f"it has two loops, the second in line {number + 1}"
        elif self.values:
            self.fault = f"it has single values and a loop, in line {number + 1}"
        self.in_loop = True

    def tag(self, number: int, head: str) -> None:
        word, *rest = values_of(head)
        if self.rows and self.fault is None:
            self.fault = f"a tag, {word}, stands behind its rows, in line {number + 1}"
        self.columns.append(word[1:])
        if not self.in_loop:
            self.values[word[1:]] = rest[0] if rest else ""

    def block(self) -> StarBlock:
        faulty = self.fault is not None
        return StarBlock(
            self.path,
            self.name,
            tuple(dict.fromkeys(self.columns) if faulty else self.columns),
            self.first_line,
            self.rows,
            self.values,
            tuple(self.comments),
            self.line,
            self.plain,
            self.odd_row,
            self.odd_rows,
            self.fault,
        )


def _scan(path: Path, stream: TextIO) -> Iterable[StarBlock]:
    block: _Scanned | None = None
    for number, line in enumerate(stream):
        head = line.lstrip()
        if not head:
            continue
        rows_follow = block is not None and block.in_loop and bool(block.columns)
        if block is not None and rows_follow and not _ends_rows(head):
            block.row(number, line)
            continue
        if head[0] == "#":
            if block is not None and block.rows:
                block.comments.append(number)
            continue
        word = head.split(None, 1)[0]
        if word.startswith("data_"):
            if block is not None:
                yield block.block()
            block = _Scanned(path, word[5:], number + 1)
        elif block is not None and word == "loop_":
            block.loop(number)
        elif block is not None and word[0] == "_":
            block.tag(number, head)
    if block is not None:
        yield block.block()


def _ends_rows(head: str) -> bool:
    """Whether a line within a loop is a comment, a further tag, or a new block.

    A value may begin with ``data_`` (a folder's name), so a block's line must
    have nothing else on it but a comment.
    """
    if head[0] in "#_":
        return True
    return head.startswith(("data_", "loop_")) and len(head.split("#", 1)[0].split()) == 1


def write_loop(
    stream: TextIO, block: str, columns: Sequence[str], rows: Iterable[Sequence[str]]
) -> None:
    """Write one ``data_`` block with a loop, as RELION lays it out."""
    stream.write(f"\n# version 30001\n\ndata_{block}\n\nloop_\n")
    stream.writelines(f"_{column} #{i + 1}\n" for i, column in enumerate(columns))
    stream.writelines(" ".join(map(_written, row)) + "\n" for row in rows)
    stream.write("\n")


def _written(value: str) -> str:
    """A value as it must stand in a row: with quotes where it is empty or has a blank or quote."""
    if value and value[0] not in "\"'#_" and not any(c.isspace() for c in value):
        return value
    return f"'{value}'" if '"' in value else f'"{value}"'
