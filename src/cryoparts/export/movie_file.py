"""Movies as .gif (Pillow) and .mp4 (PyAV, whose wheels bring FFmpeg's libraries along)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from cryoparts.errors import InputError
from cryoparts.io.atomic import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Frame = NDArray[np.uint8]

SUFFIXES = (".mp4", ".gif")
CODECS = ("libx264", "libopenh264", "mpeg4")
"""H.264, which every browser and slide program plays; MPEG-4 where FFmpeg came without it."""

QUALITY = "18"
"""Of libx264 (CRF): no difference to be seen."""


def writes_mp4() -> bool:
    """Whether .mp4 files can be written: the extra `movies` is installed."""
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


def write_movie(path: Path, frames: Sequence[Frame], frames_a_second: float) -> None:
    """Write frames as a movie that plays for ever (.gif) or once (.mp4).

    Parameters
    ----------
    path : Path
        .gif or .mp4.
    frames : sequence of uint8 arrays, shape (H, W, 3)
        Of one size; H and W even for .mp4.
    frames_a_second : float

    Raises
    ------
    InputError
        If the suffix is another, or PyAV is not installed for .mp4.
    """
    require_movie(path)
    with write_atomically(path) as temporary:
        if path.suffix.lower() == ".gif":
            _write_gif(temporary, frames, frames_a_second)
        else:
            _write_mp4(temporary, frames, frames_a_second)


def require_movie(path: Path) -> None:
    """Raise InputError unless a movie can be written so."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(
            f"-o {path}", f"ends neither in {SUFFIXES[0]} nor in {SUFFIXES[1]}", "Choose one."
        )
    if suffix == ".mp4" and not writes_mp4():
        raise InputError(
            f"-o {path}",
            "writing .mp4 needs PyAV, which is not installed",
            "pip install 'cryoparts[movies]', or choose .gif.",
        )


def _write_gif(path: Path, frames: Sequence[Frame], frames_a_second: float) -> None:
    first, *rest = [
        Image.fromarray(frame).quantize(256, dither=Image.Dither.NONE) for frame in frames
    ]
    duration = round(1000 / frames_a_second)
    first.save(path, save_all=True, append_images=rest, duration=duration, loop=0, optimize=True)


def _write_mp4(path: Path, frames: Sequence[Frame], frames_a_second: float) -> None:
    import av

    known = next(name for name in CODECS if name in av.codecs_available)
    options = {"crf": QUALITY} if known == "libx264" else {}
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(known, rate=round(frames_a_second), options=options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
            for packet in stream.encode(picture):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
