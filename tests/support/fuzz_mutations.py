"""Valid files made wrong in the ways that disks, editors and other programs make them wrong."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

NUMBERS = (
    b"nan", b"inf", b"-inf", b"-1", b"0", b"1e308", b"-1e-308", b"99999999999999999999", b"0x1f",
    b"1,5", b"None", b"", b"1e5", b"'", b'"', b"#", b"--", b"\xff\xfe", b"1_0", b"1.5e",
    b"\xc3\xa9",
)  # fmt: skip
WORDS = (
    b"\x00",
    b"\n\n",
    b"\r\n",
    b" ",
    b"\t",
    b"data_",
    b"loop_",
    b"_rln",
    b"\xef\xbb\xbf",
    b"\x1a",
)


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """One to three faults in the content of a file."""
    for _ in range(random.integers(1, 4)):
        content = FAULTS[random.integers(len(FAULTS))](content, random)
    return content


def _cut(content: bytes, random: np.random.Generator) -> bytes:
    return content[: random.integers(len(content) + 1)]


def _flip(content: bytes, random: np.random.Generator) -> bytes:
    if not content:
        return content
    changed = bytearray(content)
    for _ in range(random.integers(1, 9)):
        # headers decide more than data do
        end = len(changed) if random.random() < 0.5 else min(len(changed), 1100)
        changed[random.integers(end)] = int(random.integers(256))
    return bytes(changed)


def _insert(content: bytes, random: np.random.Generator) -> bytes:
    at = int(random.integers(len(content) + 1))
    word = WORDS[random.integers(len(WORDS))] if random.random() < 0.7 else random.bytes(17)
    return content[:at] + word + content[at:]


def _remove(content: bytes, random: np.random.Generator) -> bytes:
    at = int(random.integers(len(content) + 1))
    return content[:at] + content[at + int(random.integers(1, 40)) :]


def _repeat(content: bytes, random: np.random.Generator) -> bytes:
    at = int(random.integers(len(content) + 1))
    return content[:at] + content[max(0, at - int(random.integers(1, 400))) :]


def _other_value(content: bytes, random: np.random.Generator) -> bytes:
    """Another number, or none, in place of a word of the text."""
    lines = content.split(b"\n")
    line = int(random.integers(len(lines)))
    words = lines[line].split(b" ")
    words[random.integers(len(words))] = NUMBERS[random.integers(len(NUMBERS))]
    lines[line] = b" ".join(words)
    return b"\n".join(lines)


def _swapped_lines(content: bytes, random: np.random.Generator) -> bytes:
    lines = content.split(b"\n")
    a, b = random.integers(len(lines), size=2)
    lines[a], lines[b] = lines[b], lines[a]
    return b"\n".join(lines)


def _lying_header(content: bytes, random: np.random.Generator) -> bytes:
    """A large or negative whole number among the first bytes, as sizes are stored."""
    if len(content) < 8:
        return content
    at = int(random.integers(min(len(content) - 7, 300))) & ~3
    value = [2**31 - 1, -1, 0, 2**20, 10**6][random.integers(5)]
    return content[:at] + int(value).to_bytes(4, "little", signed=True) + content[at + 4 :]


FAULTS = (
    _cut, _flip, _flip, _insert, _remove, _repeat, _other_value, _other_value, _swapped_lines,
    _lying_header,
)  # fmt: skip


def misplace(path: Path, kind: int) -> str:
    """Put something that is no such file in the place of one; returns what."""
    path.unlink()
    if kind == 0:
        return "nothing"
    if kind == 1:
        path.mkdir()
        return "a folder"
    if kind == 2:
        os.mkfifo(path)
        return "a named pipe"
    if kind == 3:
        path.symlink_to(path)
        return "a link to itself"
    if kind == 4:
        path.write_bytes(b"")
        return "an empty file"
    if kind == 5:
        with path.open("wb") as stream:  # under whatever name
            np.savez(stream, positions=np.zeros(3))
        return "an .npz"
    path.write_bytes(os.urandom(3000) if kind == 6 else b"\x00" * 4096)
    return "noise" if kind == 6 else "zeros"


MISPLACED = 8
