"""A complex of C4 symmetry whose four like subunits come and go, and what each row shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryoparts.io.structure import Structure, write_structure
from cryoparts.particle_files.symmetry import group_elements

SUBUNITS = "BCDE"


def ring_of_four(folder: Path, seed: int = 0, atoms: int = 150) -> tuple[Path, Path]:
    """Write ring.cif (chain A a hub on z, B to E the subunits) and segments.csv.

    Subunit j + 1 is subunit j turned by a quarter about z.
    """
    rng = np.random.default_rng(seed)
    quarter = group_elements("C4")
    hub = np.concatenate(
        [part @ g.T for part in [rng.normal(size=(atoms // 2, 3)) * (14, 14, 18)] for g in quarter]
    )
    lobe = rng.normal(size=(atoms, 3)) * (11, 9, 12) + (42, 0, 8)
    # g_k turns by -90 degrees k: its inverse takes subunit 0 to subunit k
    lobes = [lobe @ g for g in quarter]
    points = np.concatenate([hub, *lobes]).astype(np.float32)
    sizes = [len(hub), *(atoms for _ in SUBUNITS)]
    count = len(points)
    folder.mkdir(parents=True, exist_ok=True)
    write_structure(
        folder / "ring.cif",
        Structure(
            positions=points,
            masses=np.full(count, 6, dtype=np.float32),
            chain_ids=np.repeat(np.array(list("A" + SUBUNITS)), sizes),
            residue_numbers=np.concatenate([np.arange(1, n + 1) for n in sizes]),
            residue_names=np.full(count, "ALA"),
            atom_names=np.full(count, "CA"),
            elements=np.full(count, "C"),
        ),
    )
    (folder / "segments.csv").write_text(
        "chain,segment\nA,hub\n" + "".join(f"{chain},subunit_{chain}\n" for chain in SUBUNITS)
    )
    return folder / "ring.cif", folder / "segments.csv"


def presence_by_row(presence: np.ndarray) -> np.ndarray:
    """Presence (4 P, 4) at each place in every row of the particles expanded by C4.

    `presence` (P, 4) is that of subunits B to E. Row (R g_k) shows at place j the
    subunit that lies at g_k x_j: number j - k.
    """
    place, copy = np.arange(4)[None, :], np.arange(4)[:, None]
    return presence[:, (place - copy) % 4].reshape(-1, 4)
