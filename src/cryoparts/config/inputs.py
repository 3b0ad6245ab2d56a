"""Options of what goes in: the working images and the neutral model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from cryoparts.config.limits import require


@dataclass(frozen=True)
class PreprocessingConfig:
    """How raw particle images become the working images."""

    box_size: int | None = None
    """Side of the working images after Fourier cropping, pixels (even). Default:
    the smallest even box whose Nyquist frequency lies a quarter beyond
    --max-resolution where that is given, else 64, or up to 128 where Gaussians may move and the
    molecule is small enough: pixels of 3 Å or more; at most the box of the images."""

    mask_radius_angstrom: float | None = None
    """Radius of the soft circular mask, Å. Default: 0.45 of the box."""

    mask_edge_pixels: float = 4.0
    """Width of the mask's cosine edge, working pixels."""

    contrast: Literal["auto", "bright", "dark"] = "auto"
    """Whether protein is bright or dark in the raw images."""

    normalise: bool = True
    """Bring each image's background (outside the mask) to mean 0, deviation 1."""

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        box, radius = self.box_size, self.mask_radius_angstrom
        require(
            box is None or (box >= 16 and box % 2 == 0),
            "--box-size",
            "an even number of at least 16 pixels",
            box,
            "Choose an even box, 64 or 128 for example.",
        )
        require(
            radius is None or radius > 0,
            "--mask-radius",
            "positive",
            radius,
            "Give the molecule's radius in Å, with a margin.",
        )
        require(
            self.mask_edge_pixels >= 0,
            "--mask-edge-pixels",
            "at least 0",
            self.mask_edge_pixels,
            "4 is usual.",
        )


@dataclass(frozen=True)
class ModelConfig:
    """How the neutral Gaussian model is made from a map or an atomic model."""

    n_gaussians: int | None = None
    """Number of Gaussians. Default: from the target resolution."""

    model_resolution_angstrom: float | None = None
    """Resolution that the Gaussians' widths aim at, Å. Default: --max-resolution."""

    model_origin: Literal["auto", "corner", "centre"] = "auto"
    """Where the atomic model's (0, 0, 0) lies in the box; auto takes what fits."""

    model_pixel_size_angstrom: float | None = None
    """Voxel size of a model map, Å, in place of what its header says."""

    map_threshold: float | None = None
    """Density below which a map counts as solvent. Default: found from the map."""

    def __post_init__(self) -> None:
        """Check the limits; raises InputError."""
        require(
            self.n_gaussians is None or self.n_gaussians >= 1,
            "--n-gaussians",
            "at least 1",
            self.n_gaussians,
            "500 to 5,000 is usual.",
        )
        resolution = self.model_resolution_angstrom
        require(
            resolution is None or resolution > 0,
            "--model-resolution",
            "positive",
            resolution,
            "Give a resolution in Å.",
        )
        voxel = self.model_pixel_size_angstrom
        require(
            voxel is None or voxel > 0,
            "--model-pixel-size",
            "positive",
            voxel,
            "Give Å per voxel.",
        )
