"""Options of each model.

The configurations are apart from the modules so that a command line can list every
model and its options without importing flax, which takes longer than all the rest.
The strings below the fields are the help texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxopt_lab.layers.block.norm_placement import NormPlacement
from jaxopt_lab.layers.block.residual_scale import ResidualScale

DTypeName = Literal["float32", "bfloat16", "float64"]
MemoryName = Literal["all", "mesa", "wta_crs", "checkpoint"]


@dataclass(frozen=True)
class ModelConfig:
    """Options of all models."""

    dtype: DTypeName = "float32"
    """type of the computation; parameters are float32 (float64 for float64, which
    needs jax_enable_x64)"""


@dataclass(frozen=True)
class MLPConfig(ModelConfig):
    """A multi-layer perceptron on the flattened image."""

    width: int = 100
    """units in each hidden layer"""
    depth: int = 2
    """number of hidden layers; 0 is logistic regression"""
    activation: str = "relu"
    """activation: relu, gelu, silu, tanh, or a layer of the catalog"""


@dataclass(frozen=True)
class ConvNetConfig(ModelConfig):
    """3x3 convolutions, each followed by a 2x2 max-pool, then one dense layer."""

    channels: tuple[int, ...] = (32, 64)
    """channels of the convolutions, one entry for each"""
    dense: int = 64
    """units of the dense layer between the convolutions and the output"""
    norm: str = "none"
    """normalization after each convolution: none, or a layer of the catalog"""
    activation: str = "relu"
    """activation: relu, gelu, silu, tanh, or a layer of the catalog"""


@dataclass(frozen=True)
class ResNetConfig(ModelConfig):
    """Options of the residual networks."""

    norm: str = "batch"
    """normalisation: batch (statistics of the batch, averages kept for evaluation),
    group (of each example alone, no state), or a layer of the catalog"""
    groups: int = 8
    """groups of the group normalisation; divides every channel count"""
    width: int = 64
    """channels of the first stage, doubled at each further stage"""
    activation: str = "relu"
    """activation: relu, gelu, silu, tanh, or a layer of the catalog"""
    residual_scale: ResidualScale = "1"
    """factor of the output of every residual block, n of them in all: 1, 1/n,
    1/sqrt_n, 1/sqrt_2n; skipinit, a learned one that starts at 0; or fixup, the last
    weights of a module 0, the others scaled, a learned factor and additions"""

    blocks: ClassVar[tuple[int, ...]] = ()
    bottleneck: ClassVar[bool] = False


@dataclass(frozen=True)
class ResNet18Config(ResNetConfig):
    """ResNet-18: four stages of two basic blocks."""

    blocks: ClassVar[tuple[int, ...]] = (2, 2, 2, 2)


@dataclass(frozen=True)
class ResNet20Config(ResNetConfig):
    """ResNet-20, the CIFAR style: three stages of three basic blocks."""

    width: int = 16
    """channels of the first stage, doubled at each further stage"""

    blocks: ClassVar[tuple[int, ...]] = (3, 3, 3)


@dataclass(frozen=True)
class ResNet50Config(ResNetConfig):
    """ResNet-50: four stages of 3, 4, 6 and 3 bottleneck blocks."""

    blocks: ClassVar[tuple[int, ...]] = (3, 4, 6, 3)
    bottleneck: ClassVar[bool] = True


@dataclass(frozen=True)
class WideResNetConfig(ModelConfig):
    """A wide residual network with pre-activation blocks."""

    depth: int = 16
    """number of layers, 6n + 4: 10, 16, 22, 28, 40"""
    widen: int = 4
    """factor on the 16, 32 and 64 channels of the three stages"""
    dropout: float = 0.0
    """dropout rate between the two convolutions of a block, in [0, 1)"""
    norm: str = "batch"
    """normalisation: batch, group, or a layer of the catalog"""
    groups: int = 8
    """groups of the group normalisation; divides every channel count"""
    activation: str = "relu"
    """activation: relu, gelu, silu, tanh, or a layer of the catalog"""
    residual_scale: ResidualScale = "1"
    """factor of the output of every residual block, n of them in all: 1, 1/n,
    1/sqrt_n, 1/sqrt_2n; skipinit, a learned one that starts at 0; or fixup, the last
    weights of a module 0, the others scaled, a learned factor and additions"""


@dataclass(frozen=True)
class PoincareResNetConfig(ModelConfig):
    """A residual network in the Poincare ball."""

    channels: tuple[int, ...] = (8, 16, 32)
    """channels of the stages, one entry for each"""
    depth: int = 20
    """number of layers, 6n + 2 for three stages"""
    curvature: float = 0.1
    """the ball has the curvature -c; above 0"""
    start: Literal["reference", "normal"] = "reference"
    """kernels at the start: reference, the identity, or normal numbers"""


@dataclass(frozen=True)
class TransformerConfig(ModelConfig):
    """A decoder-only transformer with learned positions."""

    width: int = 128
    """size of the residual stream, a multiple of heads"""
    depth: int = 4
    """number of blocks"""
    heads: int = 4
    """attention heads in each block"""
    context: int = 256
    """largest number of tokens in an input"""
    dropout: float = 0.0
    """dropout rate on the embedding and on each branch, in [0, 1)"""
    norm: str = "layer"
    """normalization: layer, or a layer of the catalog. With one that depends on the
    depth of its block, the initial weights do not: the output of a branch is not scaled
    twice"""
    activation: str = "gelu"
    """activation: gelu, relu, silu, tanh, or a layer of the catalog"""
    attention: str = "softmax"
    """attention: softmax, or a layer of the catalog that mixes the positions"""
    block: str = "mlp"
    """behind the attention: mlp, a perceptron, or a layer of the catalog"""
    linear: str = "dense"
    """dense layers of the perceptron: dense, or a layer of the catalog"""
    norm_placement: NormPlacement = "pre"
    """norms of the blocks: pre, before attention and perceptron; post, behind the sums;
    mix, post in the first blocks and pre in the others (Mix-LN)"""
    post_fraction: float = 0.25
    """part of the blocks that are post in norm_placement=mix, in [0, 1]"""
    residual_scale: ResidualScale = "1"
    """factor of the output of every residual module, n of them in all, two a block: 1,
    1/n, 1/sqrt_n, 1/sqrt_2n; skipinit, a learned one that starts at 0; or fixup, the
    last weights of a module 0, the others scaled, a learned factor and additions. But
    for 1 the initial weights of its output do not depend on the depth"""
    memory: MemoryName = "all"
    """kept of a block for the backward pass: all; mesa, 8-bit codes (of the models own
    norm too); wta_crs, sampled rows of the inputs of its dense layers; checkpoint, the
    input of the block, of which the rest is computed again"""
    memory_ratio: float = 0.3
    """part of the rows that memory=wta_crs keeps, in (0, 1]"""
    max_layers: int = 0
    """layers that run at the first position of the context, falling to min_layers at
    the last (SkipDecode): the first warmup_layers and the last others; 0: all layers
    run at every position"""
    min_layers: int = 0
    """layers that run at the last position of the context; 0: max_layers"""
    warmup_layers: int = 1
    """first layers that run at every position, where max_layers is given"""


@dataclass(frozen=True)
class MaskedTransformerConfig(TransformerConfig):
    """A transformer in which tokens see all others, to fill in masked ones."""


@dataclass(frozen=True)
class LSTMConfig(ModelConfig):
    """An LSTM language model."""

    width: int = 128
    """size of the embedding and of each layer's state"""
    depth: int = 1
    """number of layers"""
    dropout: float = 0.0
    """dropout rate on the input of each layer and of the output, in [0, 1)"""
