"""A row of a quantizer on a tiny matrix, and the values that its checks compare."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from battery.parts.subject import Form, Subject, Tree, in_turn
from jaxopt_lab.catalog import of_kind
from jaxopt_lab.catalog.part import loaded
from jaxopt_lab.core.trees import accumulation_dtype
from jaxopt_lab.quantize import calibration_error

ORDER = np.array([3, 0, 5, 1, 4, 2])


class QuantizerSubject(Subject):
    """A quantizer as a function of a weight and the gram matrix of its inputs.

    The example says ``weight``, ``(outputs, inputs)``, ``gram`` and options.
    """

    kind = "quantizer"
    first = "nearest_linear"
    varied = ("weight",)
    examples = ("weight",)
    differentiable = False

    def quantize(self, weight: Any, gram: Any, **options: Any) -> Any:
        """Codes and report with the example's options and others."""
        options = self.row.checked({**self.options, **options})
        return self.row.load()(weight, gram, **options)

    def call(self, inputs: Mapping[str, Any], key: Any) -> Tree:
        return {
            "values": self.quantize(inputs["weight"], inputs["gram"])[0].dequantize()
        }

    def result_dtype(self, dtype: Any) -> Any:
        return accumulation_dtype(dtype)

    def neutral(self) -> Form:
        setting = self.row.reduces_to
        simpler = loaded(setting.equals)

        def both(inputs: Any) -> Any:
            weight, gram = inputs["weight"], inputs["gram"]
            grid = self._on_grid(weight, gram, **setting.options).dequantize()
            part = self.quantize(grid, gram, **setting.options)[0].dequantize()
            return part, simpler(grid, **setting.given)

        return both, (self.inputs,)

    def forms(self) -> dict[str, Callable[[], Form]]:
        return {"cases": lambda: (self._cases, (self.inputs,))}

    def _cases(self, inputs: Any) -> Any:
        """What several matrices of one shape are quantized to, by check."""
        weight, gram = jnp.asarray(inputs["weight"]), jnp.asarray(inputs["gram"])
        once = self._on_grid(weight, gram)
        flat = weight.at[0].set(0).at[1].set(0.7)
        (coded, told), (permuted, _), (rows, report), (zeros, _), (again, _) = in_turn(
            lambda case: self.quantize(*case),
            (weight, gram),
            (weight[:, ORDER], gram[ORDER][:, ORDER]),
            (flat, gram),
            (jnp.zeros_like(weight), gram),
            (once.dequantize(), gram),
        )
        nearest = self._nearest(weight).dequantize()
        return {
            "codes": coded.qvalue,
            "once": once.qvalue,
            "again": again.qvalue,
            "claimed": (told.error, told.nearest_error),
            "measured": (
                calibration_error(weight, coded.dequantize(), gram),
                calibration_error(weight, nearest, gram),
            ),
            "permuted": (permuted.qvalue, coded.qvalue[:, ORDER]),
            "rows": (rows.dequantize()[:2], zeros.dequantize(), report),
            "product": self._product(coded),
        }

    def _on_grid(self, weight: Any, gram: Any, **options: Any) -> Any:
        """Codes that stand for a grid fitted to their own values.

        A calibrated quantizer may leave the ends of a row's range, so that the grid
        fitted to its values is another one; rounding to the nearest does not.
        """
        if self.row.calibration:
            return self._nearest(weight, **options)
        return self.quantize(weight, gram, **options)[0]

    def _nearest(self, weight: Any, **options: Any) -> Any:
        """The weight, rounded to the nearest code of the same grid."""
        if self.row.nearest:
            return self.quantize(weight, None, **{**self.row.nearest, **options})[0]
        rows = of_kind("quantizer")
        same = self.options.get("codec", self.row.defaults().get("codec", "linear"))
        name = "nearest_gptq" if same == "gptq" else "nearest_linear"
        chosen = {"codec": same, "bits": self.bits, **options}
        return rows[name].load()(weight, None, **chosen)[0]

    def _product(self, coded: Any) -> Any:
        """A product of whole numbers, rescaled, and that of the values."""
        count = coded.qvalue.shape[1]
        x = jnp.arange(3 * count, dtype=jnp.int32).reshape(3, count) % 7 - 3
        if self.row.nearest:
            words = coded.words()
            code = jnp.arange(words.shape[1], dtype=coded.qvalue.dtype)[None, None]
            taken = (coded.qvalue[..., None] == code).astype(jnp.int32)
            # Sums of the inputs of each codeword, then one product for each of them.
            sums = jnp.einsum("bi,oik->bok", x, taken).astype(words.dtype)
            rescaled = jnp.sum(sums * words[None], axis=-1)
            return rescaled, x.astype(words.dtype) @ coded.dequantize().T
        codes = coded.qvalue.astype(jnp.int32)
        if coded.zero_point is not None:
            codes = codes - coded.zero_point.astype(jnp.int32)
        whole = jax.lax.dot(x, codes.T, preferred_element_type=jnp.int32)
        scale = jnp.broadcast_to(coded.scale, codes.shape)[:, :1]
        simulated = x.astype(scale.dtype) @ coded.dequantize().T
        return whole.astype(scale.dtype) * scale.T, simulated

    # Without a program

    @property
    def bits(self) -> int:
        """Bits of a code, by the row's formula."""
        names = {**self.row.defaults(), **self.options}
        return int(eval(self.row.bits, {"__builtins__": {}}, names))

    def nbytes(self) -> tuple[float, float]:
        """Bytes per weight of a large matrix, by the report and by the row."""
        weight = jax.ShapeDtypeStruct((64, 4096), np.float32)
        gram = jax.ShapeDtypeStruct((4096, 4096), np.float32)
        found = []

        def bytes_of(weight: Any, gram: Any) -> Any:
            coded, report = self.quantize(weight, gram)
            found.append(report.nbytes)
            return coded

        jax.eval_shape(bytes_of, weight, gram)
        names = {**self.row.defaults(), **self.options}
        return found[0] / (64 * 4096), float(
            eval(self.row.bytes, {"__builtins__": {}}, names)
        )
