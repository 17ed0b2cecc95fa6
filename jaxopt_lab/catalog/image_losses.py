"""The rows of losses of images."""

from __future__ import annotations

from jaxopt_lab.catalog.schema import Loss, Neutral

_EXAMPLES = "jaxopt_lab.catalog.examples.images"
_ROOM = "jaxopt_lab.losses"

ROWS: tuple[Loss, ...] = (
    Loss(
        name="ssim_loss",
        summary="structural similarity of windows of an image to a reference (SSIM)",
        build=f"{_ROOM}.structural_similarity:ssim_loss",
        reduces_to=Neutral(
            {"window": 1}, f"{_ROOM}.structural_similarity:luminance_loss"
        ),
        topic="restoration",
        options=("window", "sd", "data_range"),
        example=f"{_EXAMPLES}:compared_images",
        aligned=("reference",),
        lower_bound=0.0,
        perfect=0.0,
        paper="Wang et al. 2004",
        full="dear; its loops over windows are plain",
    ),
    Loss(
        name="blind_spot_loss",
        summary="denoising without clean images by blind and seeing networks (C-BSN)",
        build=f"{_ROOM}.blind_spot:blind_spot_loss",
        reduces_to=Neutral({"strength": 0.0}, f"{_ROOM}.blind_spot:absolute_error"),
        topic="restoration",
        options=("strength", "invariance"),
        example=f"{_EXAMPLES}:denoised_images",
        aligned=("noisy", "unmasked", "masked_of_sub", "choices"),
        lower_bound=0.0,
        paper="Jang et al. 2023, arXiv:2304.09507",
        code="jyicu/CBSN",
        full="absolute differences; tested against NumPy in its file",
    ),
)
