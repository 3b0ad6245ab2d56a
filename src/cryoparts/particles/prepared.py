"""The working images: preprocessed once, read from disk ever after.

A folder of three files: ``images.npy`` (float32 (M, D, D), as preprocessed,
before the contrast sign), ``particles.npz`` (one row a particle, no pickle) and
``preprocessing.json`` (pixel size, box, contrast sign and how they were made).

P rows may refer to M < P images (symmetry-expanded particles): ``particles.npz`` then
has ``image`` and ``working_image``; where it has not, row i shows image i.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd
import torch

from cryoparts.conventions import (
    AberratedCtfParameters,
    Aberrations,
    CtfParameters,
    Poses,
    with_aberrations,
)
from cryoparts.errors import InputError
from cryoparts.io.array_file import ArrayFile, read_npz
from cryoparts.io.atomic import write_text
from cryoparts.io.files import reading
from cryoparts.particles.pose_change import PoseChange, pose_changes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray

IMAGES = "images.npy"
PARTICLES = "particles.npz"
PREPROCESSING = "preprocessing.json"
_BATCH_BYTES = 32 * 2**20
"""Images that are read at once where all are gone through."""

CURE = "Delete the folder and run again."
ABERRATION_COLUMNS = {
    "odd_zernike": "odd_zernike",
    "even_zernike": "even_zernike",
    "group": "aberration_group",
}
"""Field of `Aberrations` -> its name in particles.npz, where there are any."""


@dataclass(frozen=True)
class PreparedParticles:
    """P working images with what belongs to them, in the order of the particle file.

    Reading is thread-safe, and memory does not grow with P: the images stay on
    disk. Made by `cryoparts.particles.preprocessing.prepare`.

    Parameters
    ----------
    folder : Path
    names : str array, shape (P,)
        Of the rows; unique.
    poses : Poses
        As given, or as the run has refined them since.
    ctf : CtfParameters
    half_set : int8 array, shape (P,)
        1 or 2, or 0 where unknown.
    optics_group : int array, shape (P,)
    pixel_size_angstrom : float
        Of the working images.
    box_size : int
        Side D of the working images.
    contrast_sign : int
        +1 where protein is bright in the raw images, -1 where it is dark.
    details : dict
        The whole of preprocessing.json.
    image_names : str array, shape (P,), optional
        Names of the images; None where every row shows another one.
    """

    folder: Path
    names: NDArray[np.str_]
    poses: Poses
    ctf: CtfParameters
    half_set: NDArray[np.int8]
    optics_group: NDArray[np.int64]
    pixel_size_angstrom: float
    box_size: int
    contrast_sign: int
    details: dict[str, Any]
    _images: ArrayFile | NDArray[np.float32]
    image_names: NDArray[np.str_] | None = None
    _image: NDArray[np.int64] | None = None
    _working_image: NDArray[np.int64] | None = None
    _given: Poses | None = None

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Open a folder that `prepare` wrote.

        Raises
        ------
        InputError
            If a file is missing, cut off, unreadable or disagrees with the others.
        """
        details = _read_details(folder)
        columns = _read_columns(folder)
        with reading(folder / PARTICLES, "a table of particles", CURE):
            names = np.char.decode(columns["names"], "utf-8")
            box = int(details["box_size"])
        image, working = (_numbers(folder, columns, key) for key in ("image", "working_image"))
        stored = len(names) if working is None else int(working.max(initial=-1)) + 1
        images = _open_images(folder, stored, box)
        changes = pose_changes(folder)
        change = PoseChange.load(changes[-1]) if changes else PoseChange.nothing()
        if len(change) not in (0, len(names)):
            fault = f"is of {len(change)} particles, the run has {len(names)}"
            raise InputError(str(changes[-1]), fault, CURE)
        with reading(folder / PARTICLES, "a table of particles", CURE):
            given = Poses(columns["rotation"], columns["shift_angstrom"])
            return cls(
                folder=folder,
                names=names,
                poses=change.applied(given),
                ctf=_ctf(columns),
                half_set=columns["half_set"],
                optics_group=columns["optics_group"],
                pixel_size_angstrom=float(details["pixel_size_angstrom"]),
                box_size=box,
                contrast_sign=int(details["contrast_sign"]),
                details=details,
                _images=images,
                image_names=_decoded(columns.get("image_names")),
                _image=image,
                _working_image=working,
                _given=given,
            )._agreeing()

    def _agreeing(self) -> Self:
        count = len(self.names)
        for name in (
            "poses",
            "ctf",
            "half_set",
            "optics_group",
            "image_names",
            "_image",
            "_working_image",
        ):
            column = getattr(self, name)
            if column is not None and len(column) != count:
                raise ValueError(f"{count} names but {len(column)} rows of {name.lstrip('_')}")
        if not pd.Index(self.names).is_unique:
            # an earlier version took such rows for one another and tore images between the halves
            raise ValueError("several rows have one name (a symmetry-expanded file)")
        if self.contrast_sign not in (1, -1):
            raise ValueError(f"the contrast sign must be 1 or -1, it is {self.contrast_sign}")
        return self

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def image(self) -> NDArray[np.int64]:
        """Number (P,) of the image that each row shows, from 0 in order of first appearance.

        Rows that share it are no independent observations: halves, held-out sets and
        resamples keep them together.
        """
        return np.arange(len(self), dtype=np.int64) if self._image is None else self._image

    @property
    def working_image(self) -> NDArray[np.int64]:
        """Place (P,) of each row's working image in images.npy; equal for most rows of an image."""
        return self.image if self._working_image is None else self._working_image

    @property
    def image_count(self) -> int:
        """How many different images the rows show."""
        return int(self.image.max(initial=-1)) + 1

    def images(self, indices: ArrayLike) -> torch.Tensor:
        """Working images with protein bright, in the order asked for.

        Parameters
        ----------
        indices : int array, shape (n,)

        Returns
        -------
        Tensor, shape (n, D, D)
            float32, a copy that the caller may change.
        """
        rows = np.asarray(indices, dtype=np.int64).reshape(-1)
        chosen = self._images.take(self.working_image[rows], axis=0)
        if self.contrast_sign < 0:
            np.negative(chosen, out=chosen)
        return torch.from_numpy(chosen)

    def image_means(self) -> NDArray[np.float64]:
        """Mean (P,) of each row's working image, protein bright; read in batches of 32 MiB."""
        batch = max(1, _BATCH_BYTES // (4 * self.box_size**2))
        rows = np.arange(len(self))
        means = [
            self.images(rows[start : start + batch]).mean(dim=(1, 2)).numpy()
            for start in range(0, len(rows), batch)
        ]
        return np.concatenate([np.zeros(0), *means])

    @property
    def poses_refined(self) -> bool:
        """Whether the poses are others than those of the file."""
        return self._given is not None and self.poses is not self._given

    def with_given_poses(self) -> Self:
        """The same particles in the poses that their file gives."""
        return self if self._given is None else replace(self, poses=self._given)

    def with_pose_change(self, change: PoseChange) -> Self:
        """The same particles in refined poses: the given ones, changed."""
        given = self.with_given_poses()
        return replace(given, poses=change.applied(given.poses))

    def take(self, rows: NDArray[np.int64]) -> Self:
        """Some of the particles (n,), in this order; their images are numbered anew."""
        names, given = self.image_names, self._given
        poses = self.poses.take(rows)
        if given is not None:
            given = given.take(rows) if self.poses_refined else poses
        return replace(
            self,
            names=self.names[rows],
            poses=poses,
            ctf=self.ctf.take(rows),
            half_set=self.half_set[rows],
            optics_group=self.optics_group[rows],
            image_names=None if names is None else names[rows],
            _image=pd.factorize(self.image[rows])[0],
            _working_image=self.working_image[rows],
            _given=given,
        )

    def with_contrast_sign(self, sign: int) -> Self:
        """The same images with the other or the same contrast sign; rewrites the JSON only."""
        if sign not in (1, -1):
            raise ValueError(f"the contrast sign is 1 or -1, not {sign}")
        details = self.details | {"contrast_sign": sign, "contrast_source": "given"}
        write_text(self.folder / PREPROCESSING, json.dumps(details, indent=2) + "\n")
        return replace(self, contrast_sign=sign, details=details)


def ctf_columns(ctf: CtfParameters) -> dict[str, NDArray[Any]]:
    """What `particles.npz` keeps of the CTF."""
    columns = {f.name: getattr(ctf, f.name) for f in fields(CtfParameters)}
    if isinstance(ctf, AberratedCtfParameters):
        columns |= {key: getattr(ctf.aberrations, name) for name, key in ABERRATION_COLUMNS.items()}
    return columns


def _ctf(columns: dict[str, NDArray[Any]]) -> CtfParameters:
    ctf = CtfParameters(**{f.name: columns[f.name] for f in fields(CtfParameters)})
    if "odd_zernike" not in columns:
        return ctf
    kept = {name: columns[key] for name, key in ABERRATION_COLUMNS.items()}
    return with_aberrations(ctf, Aberrations(**kept))


def _read_details(folder: Path) -> dict[str, Any]:
    path = folder / PREPROCESSING
    with reading(path, "a description of working images", CURE):
        details = json.loads(path.read_text(encoding="utf-8"))
        missing = {"box_size", "pixel_size_angstrom", "contrast_sign"} - set(details)
    if missing:
        raise InputError(str(path), f"lacks {', '.join(sorted(missing))}", CURE)
    return dict(details)


def _read_columns(folder: Path) -> dict[str, NDArray[Any]]:
    path = folder / PARTICLES
    columns = read_npz(path, "a table of particles", CURE)
    if "names" not in columns:
        raise InputError(str(path), "lacks the names of the particles", CURE)
    return columns


def _numbers(folder: Path, columns: dict[str, NDArray[Any]], name: str) -> NDArray[np.int64] | None:
    """A column of numbers 0, 1 ..., of which none is left out; None where there is none."""
    values = columns.get(name)
    if values is None:
        return None
    if values.dtype.kind == "i" and values.ndim == 1 and len(values):
        found = np.unique(values)
        if found[0] == 0 and found[-1] == len(found) - 1:
            return values.astype(np.int64)
    fault = f"is damaged: {name} must number the images from 0"
    raise InputError(str(folder / PARTICLES), fault, CURE)


def _decoded(names: NDArray[Any] | None) -> NDArray[np.str_] | None:
    return None if names is None else np.char.decode(names, "utf-8")


def _open_images(folder: Path, count: int, box: int) -> ArrayFile:
    path = folder / IMAGES
    with reading(path, "an array of images", CURE):
        images = ArrayFile.open(path)
    if images.shape != (count, box, box) or images.dtype != np.float32:
        raise InputError(
            str(path),
            f"holds {images.dtype} {images.shape}, the table beside it has {count} images "
            f"of {box} x {box} pixels in float32",
            CURE,
        )
    return images
