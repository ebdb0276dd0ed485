"""The corruption errors (CE, mCE) of Hendrycks and Dietterich 2019 (arXiv 1903.12261).

The error rate of a network for each kind of corruption is divided by that of a reference, so that
harder kinds do not count more. The mean is an mCE only if the reference is AlexNet on the fifteen
common corruptions of ImageNet-C; with another reference, the reference must be named.

AlexNet misclassifies hundreds of images of each kind. A dense network on small images may
misclassify a single one, so that a mean of ratios is dominated by chance. With such a reference,
errors are summed before the division (`robench.stats.error_ratio`).
"""

from __future__ import annotations

from collections.abc import Mapping

from robench.errors import InputError

__all__ = [
    "mean_corruption_error",
]


def mean_corruption_error(
    errors: Mapping[str, float],
    reference: Mapping[str, float],
    *,
    clean_error: float | None = None,
    reference_clean_error: float | None = None,
) -> float | None:
    """The mean over kinds of the error divided by the reference's.

    It is meant for a reference such as AlexNet, which errs on many images of each kind; see
    `robench.stats.error_ratio` for others. With both clean errors it is the relative one: by how
    much more the network errs on corrupted images than on clean ones, divided by the same of the
    reference.

    Args:
        errors: kind → error in [0, 1], the mean over severities.
        reference: the same of the reference, for the same kinds.
        clean_error: the network's error on clean images.
        reference_clean_error: the reference's.

    Returns:
        1 for a network as good as the reference, less for a better one; `None` where the reference
        errs on no image of a kind, or does not err more on it than on clean images.

    Raises:
        InputError: no kinds, other kinds, or one clean error alone.
    """
    if not errors or errors.keys() != reference.keys():
        raise InputError(
            f"errors on {', '.join(errors) or 'nothing'} against errors on "
            f"{', '.join(reference) or 'nothing'}",
            allowed="the same kinds for both, at least one",
        )
    if (clean_error is None) != (reference_clean_error is None):
        raise InputError("one clean error alone", allowed="both clean errors, or none")
    own_zero, zero = clean_error or 0.0, reference_clean_error or 0.0
    if any(error <= zero for error in reference.values()):
        return None
    ratios = [(errors[kind] - own_zero) / (reference[kind] - zero) for kind in errors]
    return sum(ratios) / len(ratios)
