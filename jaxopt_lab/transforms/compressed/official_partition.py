"""The partition of Adam-mini by names of parameters, as its official code has it."""

from __future__ import annotations

from typing import Any

from jaxopt_lab.core.errors import InputError

# The names of version 1.1.1, and those of Flax for the same layers.
_EMBEDDINGS = ("embed", "embd", "wte")
_HEADWISE = ("k_proj", "q_proj", "wq", "wk", "query", "key")
_OUTPUTS = (
    *("lm_head", "output", "final_layer"),
    *("v_proj", "wv", "value"),
    *("o_proj", "wo", "attn.proj", "attn/proj", "attn/out", "attention/out"),
    *("feed_forward", "linear", "mlp"),
)


def official_blocks(path: str, leaf: Any) -> Any:
    """The blocks of one parameter by its name.

    Args:
      path: path of the parameter, such as ``"layer_0/attention/query/kernel"``.
      leaf: the parameter, or its shape.

    Returns:
      Blocks, as ``partition`` of ``scale_by_adam_mini`` takes them.

    Raises:
      InputError: a query or key has two axes, which do not tell the number of heads.

    >>> import jax
    >>> shape = jax.ShapeDtypeStruct((8, 16), "float32")
    >>> [official_blocks(name, shape) for name in ("wte", "mlp/kernel", "norm/scale")]
    ['row', 'output', 'tensor']
    """
    name = path.lower()

    def among(names: tuple[str, ...]) -> bool:
        return any(part in name for part in names)

    if "bias" in name:
        return "element"
    if among(_EMBEDDINGS):
        return "row"
    if among(_HEADWISE):
        if len(leaf.shape) == 3:
            return (1,)
        raise InputError(
            f"partition='official' has a block for each head of {path}, whose shape "
            f"{tuple(leaf.shape)} does not tell them: pass partition=[({path!r}, "
            "number of heads), ...] or a kernel (width, heads, head width)"
        )
    return "output" if among(_OUTPUTS) and len(leaf.shape) >= 2 else "tensor"
