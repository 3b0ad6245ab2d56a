"""One door to every particle format."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryoparts.errors import InputError
from cryoparts.particle_files.assembly import ParticleRows, ReadOptions, assemble
from cryoparts.particle_files.cryodrgn import read_stack_rows, with_pickles
from cryoparts.particle_files.cryosparc import read_cryosparc_rows
from cryoparts.particle_files.eman2 import read_eman2_rows
from cryoparts.particle_files.other_inputs import require_known_suffix
from cryoparts.particle_files.relion import read_relion_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from cryoparts.particle_files.particle_table import ParticleTable

STACKS = {".mrcs", ".mrc", ".hdf", ".txt"}


def read_particles(
    path: Path,
    *,
    datadir: Path | None = None,
    passthrough: Path | Sequence[Path] | None = None,
    poses: Path | None = None,
    ctf: Path | None = None,
    pixel_size_angstrom: float | None = None,
    without_ctf: bool = False,
    require_stacks: bool = True,
) -> ParticleTable:
    """Read particles of any format that cryoparts knows.

    Parameters
    ----------
    path : Path
        RELION .star, cryoSPARC .cs, EMAN2 .lst, or a stack (.mrcs, .mrc, .hdf, or
        a .txt that lists stacks) with `poses` and `ctf`.
    datadir : Path, optional
        Folder that the stacks are in now.
    passthrough : Path or sequence of Path, optional
        cryoSPARC's passthrough file or files, joined by uid.
    poses, ctf : Path, optional
        cryoDRGN's .pkl files; they replace what `path` says, row by row.
    pixel_size_angstrom : float, optional
        Å per pixel; overrides what the files say.
    without_ctf : bool
        The images carry no CTF.
    require_stacks : bool
        When False, stacks need not be there (poses and CTF alone are wanted).

    Returns
    -------
    ParticleTable
        In the order of the file; no particle is dropped.

    Raises
    ------
    InputError
        With the file, the row or column, the rule broken and the cure.
    """
    options = ReadOptions(datadir, pixel_size_angstrom, without_ctf, require_stacks)
    further = () if passthrough is None else passthrough
    files = tuple(further) if isinstance(further, list | tuple) else (further,)
    kind = path.suffix.lower()
    if files and kind != ".cs":
        raise InputError(
            "--passthrough", f"belongs to a cryoSPARC .cs file, not to {path}", "Leave it out."
        )
    rows, file_format = _rows(path, kind, files, options)
    if kind in STACKS and poses is None:
        raise InputError(
            str(path),
            "a stack alone says nothing of orientations",
            "Give poses and CTF in cryoDRGN's format with --poses and --ctf, or a .star, .cs "
            "or .lst file.",
        )
    return assemble(with_pickles(rows, path, poses, ctf), path, file_format, options)


def _rows(
    path: Path, kind: str, passthrough: Sequence[Path], options: ReadOptions
) -> tuple[ParticleRows, str]:
    if not path.exists():
        raise InputError(str(path), "there is no such file", "Check the path.")
    if kind == ".star":
        return read_relion_rows(path), "relion"
    if kind == ".cs":
        return read_cryosparc_rows(path, passthrough), "cryosparc"
    if kind == ".lst":
        return read_eman2_rows(path, options), "eman2"
    if kind in STACKS:
        return read_stack_rows(path, options.datadir), "cryodrgn"
    require_known_suffix(path)
    raise InputError(
        str(path),
        f"{kind or 'a file without suffix'} is no particle format",
        "Give a RELION .star, a cryoSPARC .cs, an EMAN2 .lst, or a stack with --poses and --ctf.",
    )
