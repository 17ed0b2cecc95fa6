"""Images as bytes by a circuit, and back; sizes of all that is needed."""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.codecs.circuit import Circuit, check_symbols
from experiments.codecs.conditionals import Conditionals, linear
from experiments.codecs.pmf_tables import integer_tables
from experiments.codecs.range_coder import HEAD_BYTES, Decoder, encode
from jaxopt_lab.core.errors import InputError

_MAGIC = b"PCrA"
_HEADER = struct.Struct("<4sBIHII")
_MODEL = struct.Struct("<4sHHH")
_MODEL_MAGIC = b"PCmo"


class Sizes(NamedTuple):
    """Bits of a stream and of all that its reader needs.

    Attributes:
      ideal: minus the logarithms of the probabilities of the symbols, to base 2;
        infinite for impossible ones, which are coded all the same.
      coded: words of the coder.
      head: the coder's head.
      header: of the stream: counts, a checksum.
      model: the circuit, packed.
    """

    ideal: float
    coded: int
    head: int
    header: int
    model: int


def compress(
    circuit: Circuit, data: NDArray[np.integer], *, precision: int = 24
) -> bytes:
    """Code images one variable after another.

    Args:
      circuit: the circuit; its packed form is what ``decompress`` needs.
      data: ``(N, D)``, symbols from 0 to C - 1; any, likely or not.
      precision: bits of the integer frequencies.

    Returns:
      The stream.

    Raises:
      InputError: the data are no such symbols.

    >>> halves = np.log(np.full((1, 1, 2), 0.5))
    >>> circuit = Circuit(np.array([-1]), np.zeros((1, 1, 1)), halves)
    >>> data = np.array([[0], [1], [1]])
    >>> decompress(circuit, compress(circuit, data)).ravel().tolist()
    [0, 1, 1]
    """
    edges, leaves = linear(circuit)
    check_symbols(data, leaves.shape[2])
    _check_width(data.shape[1], leaves.shape[0])
    known = Conditionals(edges, leaves, circuit.parents, len(data))
    starts, widths = [], []
    for variable in known.order:
        ends = integer_tables(known.pmf(variable), precision)
        symbols = data[:, variable].astype(np.int64)
        rows = np.arange(len(data))
        first, last = ends[rows, symbols], ends[rows, symbols + 1]
        starts += first.tolist()
        widths += (last - first).tolist()
        known.give(variable, symbols)
    code = encode(starts, widths, precision)
    crc = zlib.crc32(code)
    shape = len(data), data.shape[1]
    return _HEADER.pack(_MAGIC, precision, *shape, len(code), crc) + code


def decompress(circuit: Circuit, stream: bytes) -> NDArray[np.int64]:
    """The images of a stream.

    Args:
      circuit: that of ``compress``.
      stream: the whole of it.

    Returns:
      ``(N, D)``.

    Raises:
      InputError: the stream is cut, damaged, or of another circuit.
    """
    if len(stream) < _HEADER.size:
        raise InputError(
            f"the stream is cut: it has {len(stream)} bytes, its header {_HEADER.size}"
        )
    magic, precision, count, width, size, crc = _HEADER.unpack_from(stream)
    code = stream[_HEADER.size :]
    if magic != _MAGIC:
        raise InputError(f"this is no stream of a circuit: it begins with {magic!r}")
    if len(code) != size:
        word = "cut" if len(code) < size else "too long"
        raise InputError(f"the stream is {word}: {len(code)} of {size} bytes of code")
    if zlib.crc32(code) != crc:
        raise InputError("the stream is damaged: its checksum is another")
    edges, leaves = linear(circuit)
    _check_width(width, leaves.shape[0])
    known = Conditionals(edges, leaves, circuit.parents, count)
    decoder, data = Decoder(code, precision), np.zeros((count, width), np.int64)
    for variable in known.order:
        ends = integer_tables(known.pmf(variable), precision)
        data[:, variable] = [decoder.symbol(row) for row in ends]
        known.give(variable, data[:, variable])
    decoder.finish()
    return data


def pack_circuit(circuit: Circuit) -> bytes:
    """A circuit as bytes: parents in 16 bits, probabilities in 32.

    Args:
      circuit: the circuit.

    Returns:
      The bytes.
    """
    d, k, c = circuit.leaves.shape
    parents = np.asarray(circuit.parents, "<i2")
    parts = (parents, *(x.astype("<f4") for x in linear(circuit)))
    return _MODEL.pack(_MODEL_MAGIC, d, k, c) + b"".join(p.tobytes() for p in parts)


def unpack_circuit(packed: bytes) -> Circuit:
    """The circuit of ``pack_circuit``, of the same ``linear`` probabilities.

    Args:
      packed: its bytes.

    Returns:
      The circuit.

    Raises:
      InputError: they are cut or something else.
    """
    begins = len(packed) >= _MODEL.size and packed[:4] == _MODEL_MAGIC
    _, d, k, c = _MODEL.unpack_from(packed) if begins else (b"", 0, 0, 0)
    sizes = [2 * d, 4 * d * k * k, 4 * d * k * c]
    if not begins or len(packed) != _MODEL.size + sum(sizes):
        raise InputError(f"these {len(packed)} bytes are no packed circuit, or cut")
    at = np.cumsum([_MODEL.size, *sizes])
    parents, edges, leaves = (
        np.frombuffer(packed[a:b], kind)
        for a, b, kind in zip(at[:-1], at[1:], ("<i2", "<f4", "<f4"), strict=True)
    )
    with np.errstate(divide="ignore"):  # the logarithm of 0
        edges, leaves = (np.log(x.astype(np.float64)) for x in (edges, leaves))
    return Circuit(
        parents.astype(np.int64), edges.reshape(d, k, k), leaves.reshape(d, k, c)
    )


def sizes(circuit: Circuit, data: NDArray[np.integer], stream: bytes) -> Sizes:
    """Bits of a stream and of its parts.

    Args:
      circuit: the circuit.
      data: the images.
      stream: of ``compress``.

    Returns:
      The sizes.
    """
    edges, leaves = linear(circuit)
    known = Conditionals(edges, leaves, circuit.parents, len(data))
    ideal, rows = 0.0, np.arange(len(data))
    for variable in known.order:
        pmf = known.pmf(variable)
        own, every = pmf[rows, data[:, variable]], pmf.sum(axis=1)
        # Past what is impossible, all symbols are alike.
        share = np.where(every > 0, own, 1.0) / np.where(every > 0, every, pmf.shape[1])
        with np.errstate(divide="ignore"):
            ideal -= float(np.sum(np.log2(share)))
        known.give(variable, data[:, variable])
    coded = len(stream) - _HEADER.size - HEAD_BYTES
    parts = coded, HEAD_BYTES, _HEADER.size, len(pack_circuit(circuit))
    return Sizes(ideal, *(8 * part for part in parts))


def _check_width(found: int, wanted: int) -> None:
    if found != wanted:
        raise InputError(f"the circuit is of {wanted} variables, the data of {found}")
