from __future__ import annotations

import pytest

from cryoparts.errors import InputError
from cryoparts.simulation.options import ImagingOptions
from cryoparts.simulation.scene_options import CompositionOptions, MapsOptions, MotionOptions


def flag(field):
    """The field's name on the command line, where ångström go without saying."""
    return "^--" + field.removesuffix("_angstrom").replace("_", "-") + ": must be"


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("n_particles", 1),
        ("box_size", 33),
        ("box_size", 8),
        ("pixel_size_angstrom", 0.0),
        ("pixel_size_angstrom", float("nan")),
        ("snr", 0.0),
        ("snr", -1.0),
        ("coloured_noise_fraction", 1.5),
        ("coloured_noise_correlation_angstrom", 0.0),
        ("shift_sigma_angstrom", -1.0),
        ("defocus_range_angstrom", (20000.0, 10000.0)),
        ("astigmatism_angstrom", -5.0),
        ("voltage_kv", 0.0),
        ("spherical_aberration_mm", -1.0),
        ("amplitude_contrast", 1.1),
        ("contrast", "grey"),
        ("seed", -1),
    ],
)
def test_impossible_imaging_options_are_named(option, value):
    with pytest.raises(InputError, match=flag(option)) as caught:
        ImagingOptions(**{option: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "values"),
    [
        (CompositionOptions, {"n_segments": 1}),
        (CompositionOptions, {"probability": 1.2}),
        (MotionOptions, {"n_regions": 0}),
        (MotionOptions, {"rmsd_angstrom": 0.0}),
        (MotionOptions, {"rmsd_angstrom": float("inf")}),
        (MapsOptions, {"weights": (1.0, -1.0)}),
        (MapsOptions, {"weights": (0.0, 0.0)}),
        (MapsOptions, {"voxel_size_angstrom": -2.0}),
    ],
)
def test_impossible_options_are_named(options, values):
    (name,) = values
    with pytest.raises(InputError, match=flag(name)):
        options(**values)
