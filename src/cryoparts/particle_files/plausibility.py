"""Values of a particle file that are in the wrong unit, broken, or unusual.

Every rule is a range that no microscope leaves (then the finding is certain) or that
few do. The commonest causes are units: V for kV, µm or nm for Å, radians for degrees,
a factor of 1,000 in Cs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cryoparts.particle_files.particle_table import ParticleTable

    FloatArray = NDArray[np.float64]
    BoolArray = NDArray[np.bool_]

SHOWN = 5
"""Particles named in a line."""

VOLTAGE_KV = (20.0, 1000.0)
USUAL_VOLTAGE_KV = (60.0, 400.0)
DEFOCUS_ANGSTROM = (2e3, 1e6)
USUAL_DEFOCUS_ANGSTROM = (3500.0, 1e5)
MICROMETRES = 100.0
"""A median defocus below this can only be in µm."""
PHASE_PLATE_DEGREES = 10.0
"""From here on a phase plate makes images near focus usual."""
CS_MM = 10.0
METRES = (0.0015, 0.0045)
"""A Cs of 1.5 to 4.5 mm in m."""
USUAL_CONTRAST = (0.0, 0.3)
PIXEL_ANGSTROM = (0.02, 200.0)
USUAL_PIXEL_ANGSTROM = (0.2, 25.0)
SAME_MAGNIFICATION = 0.1
"""Relative difference of pixel sizes within an optics group that is no calibration."""
FEW_ROWS = 0.1
"""Fewer rows than this are broken; more may be another data set without an optics group."""
FIX = "Correct the file."


@dataclass(frozen=True)
class Finding:
    """One thing in a particle file that is wrong, or unusual.

    Parameters
    ----------
    what : str
        The quantity, with the value found.
    rule : str
        What it should be.
    cure : str
    certain : bool
        Whether it cannot be right.
    """

    what: str
    rule: str
    cure: str
    certain: bool = False

    @property
    def line(self) -> str:
        """All of it in one line."""
        word = "cannot be right: " if self.certain else ""
        return f"{word}{self.what}: {self.rule}. {self.cure}"


def implausible(table: ParticleTable) -> tuple[Finding, ...]:
    """What cannot be right, or hardly is, in a particle file; none in a right one."""
    found = [*_pixel_sizes(table), *_shifts(table), *_orientations(table), *_half_sets(table)]
    ctf = table.ctf
    without_ctf = (ctf.amplitude_contrast == 1).all() and not ctf.defocus_u_angstrom.any()
    if not without_ctf:
        found += [*_voltage(table), *_aberration(table), *_contrast(table)]
        found += [*_defocus(table), *_phase_shift(table)]
    return tuple(sorted(found, key=lambda finding: not finding.certain))


def _voltage(table: ParticleTable) -> Iterator[Finding]:
    values = table.ctf.voltage_kv
    bad = _outside(values, VOLTAGE_KV)
    if bad.any():
        cure = "Divide by 1,000: these are V." if values[bad].min() > VOLTAGE_KV[1] else FIX
        yield Finding(
            _said("voltage", values, bad, "kV", table), "60 to 400 kV", cure, certain=True
        )
    elif (unusual := _outside(values, USUAL_VOLTAGE_KV)).any():
        yield Finding(_said("voltage", values, unusual, "kV", table), "usually 60 to 400 kV", FIX)


def _defocus(table: ParticleTable) -> Iterator[Finding]:
    ctf = table.ctf
    values = 0.5 * (ctf.defocus_u_angstrom + ctf.defocus_v_angstrom)
    size = np.abs(values)
    median = float(np.median(size))
    rule = "usually 3,500 to 60,000 Å (0.35 to 6 µm)"
    near_focus = float(np.median(np.abs(ctf.phase_shift_degrees))) >= PHASE_PLATE_DEGREES
    what = f"defocus, median {median:,.4g} Å"
    if median == 0:
        yield Finding(what, rule, "Give --without-ctf if the images carry no CTF.")
    elif median < MICROMETRES:
        yield Finding(what, rule, "Multiply by 10,000: these are µm.", certain=True)
    elif median > DEFOCUS_ANGSTROM[1]:
        yield Finding(what, rule, "Correct its unit to Å.", certain=True)
    elif median < USUAL_DEFOCUS_ANGSTROM[0] and not near_focus:
        sure = median < DEFOCUS_ANGSTROM[0]
        yield Finding(what, rule, "Multiply by 10 if these are nm.", certain=sure)
    elif median > USUAL_DEFOCUS_ANGSTROM[1]:
        yield Finding(what, rule, "Correct its unit to Å.")
    else:
        odd = (size < MICROMETRES) | (size > DEFOCUS_ANGSTROM[1])
        if odd.any():
            yield Finding(_said("defocus", values, odd, "Å", table), rule, FIX, certain=True)
    if (values < 0).mean() > 0.5:
        yield Finding(
            f"defocus, {int((values < 0).sum()):,} of {len(values):,} negative",
            "underfocus is positive here, as in RELION and CTFFIND",
            "Change its sign if the images are underfocused.",
        )


def _phase_shift(table: ParticleTable) -> Iterator[Finding]:
    values = table.ctf.phase_shift_degrees
    used = np.abs(values[values != 0])
    if len(used) == 0:
        return
    if used.max() > 360.0:
        high = np.abs(values) > 360.0
        yield Finding(
            _said("phase shift", values, high, "degrees", table),
            "0 to 180 degrees",
            "A column in radians (ctf/phase_shift_rad) holds degrees: convert it.",
            certain=True,
        )
    elif used.max() < np.pi + 0.05 and float(np.median(used)) > 0.15:
        yield Finding(
            f"phase shift, at most {used.max():.3g} degrees",
            "phase plates shift by 20 to 180 degrees",
            "Multiply by 57.2958: these are radians.",
            certain=True,
        )


def _aberration(table: ParticleTable) -> Iterator[Finding]:
    values = table.ctf.spherical_aberration_mm
    high, metres = np.abs(values) > CS_MM, (values > METRES[0]) & (values < METRES[1])
    rule = "usually 0.01 to 4 mm (2.7 mm on many microscopes)"
    what = "spherical aberration"
    if high.any():
        cure = "Divide by 1,000: these are µm."
        yield Finding(_said(what, values, high, "mm", table), rule, cure, certain=True)
    elif metres.any():
        cure = "Multiply by 1,000: these are m."
        yield Finding(_said(what, values, metres, "mm", table), rule, cure, certain=True)
    elif (values <= 0).any():
        low = values <= 0
        cure = "Correct the file, unless the microscope has a Cs corrector."
        yield Finding(_said(what, values, low, "mm", table), rule, cure)


def _contrast(table: ParticleTable) -> Iterator[Finding]:
    values = table.ctf.amplitude_contrast
    unusual = _outside(values, USUAL_CONTRAST)
    if unusual.any():
        yield Finding(
            _said("amplitude contrast", values, unusual, "", table),
            "a fraction, usually 0.07 to 0.1",
            "Divide by 100 if these are per cent.",
        )


def _pixel_sizes(table: ParticleTable) -> Iterator[Finding]:
    values = table.pixel_size_angstrom
    rule = "usually 0.5 to 10 Å"
    cure = "Give Å per pixel with --pixel-size."
    bad = _outside(values, PIXEL_ANGSTROM)
    if bad.all():
        yield Finding(_said("pixel size", values, bad, "Å", table), rule, cure, certain=True)
        return
    usual = pd.Series(values).groupby(table.optics_group).transform("median").to_numpy()
    broken = np.abs(values - usual) > SAME_MAGNIFICATION * usual
    if broken.any():
        yield Finding(
            _said("pixel size", values, broken, "Å", table),
            f"that of the optics group, {float(np.median(values[~broken])):.4g} Å; the "
            "magnification of these rows is broken",
            FIX + " Or give --pixel-size.",
            certain=bool(broken.mean() < FEW_ROWS),
        )
    elif (unusual := _outside(values, USUAL_PIXEL_ANGSTROM)).any():
        yield Finding(_said("pixel size", values, unusual, "Å", table), rule, cure)


def _shifts(table: ParticleTable) -> Iterator[Finding]:
    extent = table.box_size * table.pixel_size_angstrom
    largest = np.abs(table.poses.shift_angstrom).max(axis=1)
    outside = (largest > 0.5 * extent) & (extent > 0)
    if outside.any():
        yield Finding(
            _said("shift", largest, outside, "Å", table),
            f"at most half the box, {0.5 * float(extent.min()):.1f} Å, or the particle lies "
            "outside its image",
            "Correct its unit (Å or pixels), or take these particles out of the file.",
            certain=True,
        )


def _orientations(table: ParticleTable) -> Iterator[Finding]:
    rotation = table.poses.rotation
    if len(rotation) > 1 and np.abs(rotation - rotation[0]).max() < 1e-6:
        yield Finding(
            f"orientation, the same for all {len(rotation):,} particles",
            "those of a 3D refinement differ",
            "Give the particles of a 3D refinement.",
        )


def _half_sets(table: ParticleTable) -> Iterator[Finding]:
    halves = np.unique(table.half_set)
    if len(table) > 1 and len(halves) == 1 and halves[0] > 0:
        yield Finding(
            f"half set, {int(halves[0])} for all {len(table):,} particles",
            "two halves of about one size",
            "Give the file with both; here the halves are drawn at random.",
        )


def _outside(values: FloatArray, limits: tuple[float, float]) -> BoolArray:
    return np.asarray((values < limits[0]) | (values > limits[1]))


def _said(what: str, values: FloatArray, bad: BoolArray, unit: str, table: ParticleTable) -> str:
    """The quantity with the values that are bad, and whose they are."""
    low, high = float(values[bad].min()), float(values[bad].max())
    span = f"{low:,.6g}" if low == high else f"{low:,.6g} to {high:,.6g}"
    span = f"{span} {unit}".strip()
    if bad.all():
        return f"{what} {span} in all {len(values):,} particles"
    names = [str(name) for name in table.names[np.flatnonzero(bad)[:SHOWN]]]
    more = "" if int(bad.sum()) <= SHOWN else ", ..."
    return (
        f"{what} {span} in {int(bad.sum()):,} of {len(values):,} particles "
        f"({', '.join(names)}{more})"
    )
