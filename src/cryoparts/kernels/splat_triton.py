"""The splat as Triton kernels: what one program computes.

A program of the forward kernel owns one tile of one image and adds up a run of the
Gaussians there: it gathers, so no two programs write the same number. A tile's share is
the product of the Gaussians' row and column factors, as a product of matrices; Gaussians
that do not reach the tile cost their place alone, where a whole block of them does not.
A program of the backward kernel owns a block of Gaussians of one image and reads the
gradient of the image inside their supports. There are no atomics, and results repeat to
the bit.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _first_pixel(point: tl.tensor, half: tl.tensor, box: tl.tensor) -> tuple[tl.tensor, tl.tensor]:
    """Pixel, in 0 ... box - 1, at which a support begins, and its distance from the point."""
    below = tl.floor(point)
    begin = below.to(tl.int64) + 1 - half
    pixel = ((begin % box) + box) % box
    return pixel.to(tl.int32), (1 - half).to(tl.float32) - (point - below)


@triton.jit
def _places(
    positions: tl.tensor,
    frame: tl.tensor,
    widths: tl.tensor,
    gaussian: tl.tensor,
    present: tl.tensor,
    origin: tl.tensor,
    box: tl.tensor,
    cutoff_sigmas: tl.constexpr,
    cutoff_pixels: tl.constexpr,
    widest_in_boxes: tl.constexpr,
) -> tuple[tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor, tl.tensor]:
    """Of a block of Gaussians: soundness, width, half supports, first pixels and distances."""
    x = tl.load(positions + 3 * gaussian, mask=present, other=0.0)
    y = tl.load(positions + 3 * gaussian + 1, mask=present, other=0.0)
    z = tl.load(positions + 3 * gaussian + 2, mask=present, other=0.0)
    width = tl.load(widths + gaussian, mask=present, other=1.0)
    column = tl.load(frame) * x + tl.load(frame + 1) * y + tl.load(frame + 2) * z + origin
    row = tl.load(frame + 3) * x + tl.load(frame + 4) * y + tl.load(frame + 5) * z + origin
    # so written, what is not a number is not sound
    sound = (tl.abs(column) < 1e15) & (tl.abs(row) < 1e15)
    sound = sound & (width > 0) & (width <= widest_in_boxes * box)
    column, row = tl.where(sound, column, 0.0), tl.where(sound, row, 0.0)
    width = tl.where(sound, width, 1.0)
    half = tl.maximum(tl.ceil(cutoff_sigmas * width - cutoff_pixels).to(tl.int32), 1)
    half_across = (half + 3) // 4 * 4
    left, rest_x = _first_pixel(column, half_across, box)
    top, rest_y = _first_pixel(row, half, box)
    return sound, width, half_across, half, left, rest_x, top, rest_y


@triton.jit
def _factors(
    pixel: tl.tensor,
    first: tl.tensor,
    rest: tl.tensor,
    half: tl.tensor,
    width: tl.tensor,
    wraps: tl.tensor,
    box: tl.tensor,
) -> tl.tensor:
    """exp(-d^2 / (2 s^2)) of every Gaussian (rows) at every pixel, over all periodic copies."""
    step = pixel[None, :] - first[:, None]
    step = tl.where(step < 0, step + box, step)  # 0 at the support's first pixel
    factor = tl.zeros_like(step).to(tl.float32)
    for _ in range(wraps):
        ratio = (step.to(tl.float32) + rest[:, None]) / width[:, None]
        factor += tl.where(step < 2 * half[:, None], tl.exp(-0.5 * ratio * ratio), 0.0)
        step += box
    return factor


@triton.jit
def _reaches(
    first: tl.tensor, half: tl.tensor, begin: tl.tensor, tile: tl.constexpr, box: tl.tensor
) -> tl.tensor:
    """Whether supports meet the pixels begin ... begin + tile - 1."""
    before = first - begin
    before = tl.where(before < 0, before + box, before)  # pixels from the tile's first on
    return (before < tile) | (before + 2 * half > box)


@triton.jit
def forward_kernel(
    images: tl.tensor,
    positions: tl.tensor,
    amplitudes: tl.tensor,
    widths: tl.tensor,
    frames: tl.tensor,
    origin: tl.tensor,
    position_stride: tl.tensor,
    amplitude_stride: tl.tensor,
    width_stride: tl.tensor,
    count: tl.tensor,
    n_gaussians: tl.tensor,
    blocks_a_run: tl.tensor,
    box: tl.tensor,
    cutoff_sigmas: tl.constexpr,
    cutoff_pixels: tl.constexpr,
    widest_in_boxes: tl.constexpr,
    tile: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """A tile of an image of one run of Gaussians; grid (tiles, images, runs).

    ``images`` is (runs, images, box, box); strides are those of an image's row, 0 where
    all images share one.
    """
    particle = tl.program_id(1).to(tl.int64)
    run = tl.program_id(2)
    tiles = tl.cdiv(box, tile)
    begin_y = tl.program_id(0) // tiles * tile
    begin_x = tl.program_id(0) % tiles * tile
    pixel_y, pixel_x = begin_y + tl.arange(0, tile), begin_x + tl.arange(0, tile)
    positions += particle * position_stride
    amplitudes += particle * amplitude_stride
    widths += particle * width_stride
    frame = frames + particle * 6
    total = tl.zeros((tile, tile), tl.float32)
    first = run * blocks_a_run * block
    for at in range(first, tl.minimum(first + blocks_a_run * block, n_gaussians), block):
        gaussian = at + tl.arange(0, block)
        present = gaussian < n_gaussians
        sound, width, half_across, half, left, rest_x, top, rest_y = _places(
            positions,
            frame,
            widths,
            gaussian,
            present,
            origin,
            box,
            cutoff_sigmas,
            cutoff_pixels,
            widest_in_boxes,
        )
        reaches = _reaches(left, half_across, begin_x, tile, box)
        reaches = reaches & _reaches(top, half, begin_y, tile, box)
        wanted = present & (reaches | (sound == 0))
        if tl.max(wanted.to(tl.int32), axis=0) > 0:
            amplitude = tl.load(amplitudes + gaussian, mask=present, other=0.0)
            amplitude = tl.where(sound, amplitude, float("nan"))  # and with it the whole image
            height = amplitude / (6.283185307179586 * width * width)
            wraps = tl.cdiv(2 * tl.max(half_across, axis=0), box)
            across = _factors(pixel_x, left, rest_x, half_across, width, wraps, box)
            down = _factors(pixel_y, top, rest_y, half, width, wraps, box)
            weighted = down * tl.where(present, height, 0.0)[:, None]
            total += tl.dot(tl.trans(weighted), across, input_precision="ieee")
    image = images + (run.to(tl.int64) * count + particle) * box * box
    inside = (pixel_y < box)[:, None] & (pixel_x < box)[None, :]
    tl.store(image + pixel_y[:, None] * box + pixel_x[None, :], total, mask=inside)


@triton.jit
def backward_kernel(
    image_gradients: tl.tensor,
    positions: tl.tensor,
    amplitudes: tl.tensor,
    widths: tl.tensor,
    frames: tl.tensor,
    shift_gradients: tl.tensor,
    amplitude_gradients: tl.tensor,
    width_gradients: tl.tensor,
    origin: tl.tensor,
    position_stride: tl.tensor,
    amplitude_stride: tl.tensor,
    width_stride: tl.tensor,
    n_gaussians: tl.tensor,
    box: tl.tensor,
    cutoff_sigmas: tl.constexpr,
    cutoff_pixels: tl.constexpr,
    widest_in_boxes: tl.constexpr,
    amplitudes_only: tl.constexpr,
    block: tl.constexpr,
    columns: tl.constexpr,
) -> None:
    """Gradients of a block of Gaussians in one image; grid (blocks, images).

    ``shift_gradients`` (images, n, 2) are those of (column, row), the others (images, n);
    of the former and of widths nothing is written where only amplitudes are asked for.
    """
    particle = tl.program_id(1).to(tl.int64)
    gaussian = tl.program_id(0) * block + tl.arange(0, block)
    present = gaussian < n_gaussians
    sound, width, half_across, half, left, rest_x, top, rest_y = _places(
        positions + particle * position_stride,
        frames + particle * 6,
        widths + particle * width_stride,
        gaussian,
        present,
        origin,
        box,
        cutoff_sigmas,
        cutoff_pixels,
        widest_in_boxes,
    )
    image = image_gradients + particle * box * box
    inverse = 1.0 / (width * width)
    plain = tl.zeros((block,), tl.float32)
    along_x = tl.zeros((block,), tl.float32)
    along_y = tl.zeros((block,), tl.float32)
    squares = tl.zeros((block,), tl.float32)
    rows = 2 * tl.max(half, axis=0)
    widest = 2 * tl.max(half_across, axis=0)
    lane = tl.arange(0, columns)
    for row in range(rows):
        distance_y = row + rest_y
        in_rows = present & (row < 2 * half)
        down = tl.exp(-0.5 * inverse * distance_y * distance_y)
        line = (top + row) % box * box
        for start in range(0, widest, columns):
            column = start + lane
            inside = in_rows[:, None] & (column[None, :] < 2 * half_across[:, None])
            pixel = line[:, None] + (left[:, None] + column[None, :]) % box
            incoming = tl.load(image + pixel, mask=inside, other=0.0)
            distance_x = column[None, :] + rest_x[:, None]
            across = tl.exp(-0.5 * inverse[:, None] * distance_x * distance_x)
            weighted = incoming * across * down[:, None]
            zeroth = tl.sum(weighted, axis=1)
            plain += zeroth
            if not amplitudes_only:
                along_x += tl.sum(weighted * distance_x, axis=1)
                along_y += zeroth * distance_y
                squares += tl.sum(weighted * distance_x * distance_x, axis=1)
                squares += zeroth * distance_y * distance_y
    plain = tl.where(sound, plain * inverse * 0.15915494309189535, float("nan"))
    place = particle * n_gaussians + gaussian
    tl.store(amplitude_gradients + place, plain, mask=present)
    if not amplitudes_only:
        amplitude = tl.load(
            amplitudes + particle * amplitude_stride + gaussian, mask=present, other=0.0
        )
        slope = amplitude * inverse * inverse * 0.15915494309189535
        slope = tl.where(sound, slope, float("nan"))
        tl.store(shift_gradients + 2 * place, slope * along_x, mask=present)
        tl.store(shift_gradients + 2 * place + 1, slope * along_y, mask=present)
        of_width = (slope * squares - 2.0 * amplitude * plain) / width
        tl.store(width_gradients + place, of_width, mask=present)
