"""Files for other programs and for people: masks, the page of a run, a ChimeraX script."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryoparts.config.steps import MaskOptions
from cryoparts.export.chimerax import write_session_script
from cryoparts.io.atomic import write_together
from cryoparts.io.map_frame import MapFrame
from cryoparts.parts.part_chains import original_box
from cryoparts.parts.part_masks import write_part_masks
from cryoparts.report.conclusion import conclude
from cryoparts.report.page import write_report
from cryoparts.run.result_options import OPTIONS, keep_options

if TYPE_CHECKING:
    from pathlib import Path

    from cryoparts.report.conclusion import Conclusion
    from cryoparts.run.run import Run


@dataclass(frozen=True)
class MasksWritten:
    """Masks of a run's parts.

    Parameters
    ----------
    files : tuple of Path
    box_size : int
    pixel_size_angstrom : float
        Å.
    """

    files: tuple[Path, ...]
    box_size: int
    pixel_size_angstrom: float


def write_masks(run: Run, options: MaskOptions | None = None) -> MasksWritten | None:
    """Write parts/masks/part_1.mrc, ..., and core.mrc; None where the run has no parts."""
    options, labels = options or MaskOptions(), run.parts
    if labels.n_parts == 0:
        return None
    box, pixel = original_box(run.directory)
    folder = run.directory.masks_path
    frame = MapFrame.load(run.root)
    with write_together(folder, last=OPTIONS, replaces=("part_*.mrc", "core.mrc")) as new:
        written = write_part_masks(new, run.model, labels, box, pixel, options, frame)
        keep_options(new, options)
    return MasksWritten(
        tuple(folder / path.name for path in written),
        options.box_size or box,
        options.pixel_size_angstrom or pixel,
    )


@dataclass(frozen=True)
class ReportWritten:
    """Where report and script are.

    Parameters
    ----------
    page : Path
        report.html.
    script : Path
        chimerax.cxc.
    conclusion : Conclusion
        What the run came to.
    """

    page: Path
    script: Path
    conclusion: Conclusion


def report_run(run: Run) -> ReportWritten:
    """Write report.html, figures/ and chimerax.cxc from what the run folder holds."""
    script = write_session_script(run.root)
    return ReportWritten(write_report(run.root), script, conclude(run.root))
