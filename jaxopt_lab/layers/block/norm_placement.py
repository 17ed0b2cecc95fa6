"""The blocks of a stack whose norm stands behind the sum: pre, post, Mix-LN."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from jaxopt_lab.core.options import COUNT, UNIT, check_arguments

Placement = Literal["pre", "post"]
NormPlacement = Literal["pre", "post", "mix"]


def norm_placement(
    depth: Annotated[int, COUNT],
    *,
    kind: NormPlacement = "pre",
    post_fraction: Annotated[float, UNIT] = 0.25,
) -> tuple[Placement, ...]:
    r"""The placement of the norms of each block of a stack.

    A pre-norm module is :math:`x + f(\text{norm}(x))`, a post-norm module
    :math:`\text{norm}(x + f(x))`. Mix-LN makes the first :math:`\lfloor \alpha L
    \rfloor` blocks post-norm and the others pre-norm: gradients of the first layers
    shrink with depth in post-norm stacks, those of the last ones in pre-norm stacks.

    Args:
      depth: :math:`L`, number of blocks.
      kind: ``"pre"`` or ``"post"``, all of them; or ``"mix"``.
      post_fraction: :math:`\alpha`, part of the blocks that are post-norm in a mix, in
        ``[0, 1]``. The paper takes 0.25; its code takes the count.

    Returns:
      ``"pre"`` or ``"post"`` for each block, the first one first. The norms of a
      post-norm block have the names of the same norms of a pre-norm one; in the
      paper's code ``post_attention_layernorm`` is the norm before the perceptron in a
      pre-norm block and the one behind attention in a post-norm block.

    Raises:
      InputError: an argument is out of range.

    Source: Li et al., "Mix-LN: Unleashing the Power of Deeper Layers by Combining
    Pre-LN and Post-LN", 2024 (https://arxiv.org/abs/2412.13795) and its code.

    >>> norm_placement(4, kind="mix")
    ('post', 'pre', 'pre', 'pre')
    """
    check_arguments(norm_placement, locals())
    count = {"pre": 0, "post": depth}.get(kind)
    if count is None:
        # 0.3 * 10 is below 3 in binary.
        count = math.floor(post_fraction * depth + 1e-9)
    post: Placement = "post"
    pre: Placement = "pre"
    return (post,) * count + (pre,) * (depth - count)
