"""Numbers of parameters of the models, by hand and from their papers."""

import jax
import pytest

from jaxopt_lab.core import trees
from jaxopt_lab.lab.models import MODELS, configs
from jaxopt_lab.training.adapters import from_nnx

KEY = jax.random.key(0)


def size(name: str, config, shape, classes: int) -> int:
    model = from_nnx(MODELS[name].build(config, shape, classes))
    return trees.count(jax.eval_shape(model.init, KEY)[0])


def conv_size(size, c_in, c_out, norm=True):
    """A convolution without bias, and the scale and bias of its normalisation."""
    return size * size * c_in * c_out + (2 * c_out if norm else 0)


def resnet_size(blocks, width, bottleneck, image_channels, classes, stem):
    """Stem + blocks (with 1x1 shortcuts where the shape changes) + dense head.

    A basic block from a to c channels: 9ac + 9cc + 4c; a bottleneck with c inner
    channels: ac + 9cc + 4cc + 2(c + c + 4c); a shortcut to d channels: ad + 2d.
    """
    total, last = conv_size(stem, image_channels, width), width
    for stage, count in enumerate(blocks):
        c = width * 2**stage
        for index in range(count):
            if bottleneck:
                out = 4 * c
                total += conv_size(1, last, c) + conv_size(3, c, c)
                total += conv_size(1, c, out)
            else:
                out = c
                total += conv_size(3, last, c) + conv_size(3, c, c)
            if last != out or (stage > 0 and index == 0):
                total += conv_size(1, last, out)
            last = out
    return total + last * classes + classes


@pytest.mark.full(plain=["resnet18-shape2-10-3-11173962"])
@pytest.mark.parametrize(
    ("name", "shape", "classes", "stem", "published"),
    [
        ("resnet18", (224, 224, 3), 1000, 7, 11_689_512),
        ("resnet50", (224, 224, 3), 1000, 7, 25_557_032),
        ("resnet18", (32, 32, 3), 10, 3, 11_173_962),
        ("resnet20", (32, 32, 3), 10, 3, None),
    ],
)
def test_residual_networks_have_the_known_sizes(name, shape, classes, stem, published):
    config = MODELS[name].config()
    expected = resnet_size(
        config.blocks, config.width, config.bottleneck, 3, classes, stem
    )
    assert size(name, config, shape, classes) == expected
    if published:
        assert expected == published


@pytest.mark.full
def test_wide_resnet_16_4_has_the_known_size():
    # 2.7 M in the paper, without the 1x1 shortcuts' normalisation.
    widths, total, last = (64, 128, 256), conv_size(3, 3, 16, norm=False), 16
    for width in widths:
        for _ in range(2):
            total += 2 * last + conv_size(3, last, width)
            total += conv_size(3, width, width, norm=False)
            total += last * width if last != width else 0
            last = width
    total += 2 * last + last * 10 + 10
    assert size("wide_resnet", configs.WideResNetConfig(), (32, 32, 3), 10) == total
    assert 2.7e6 < total < 2.8e6


@pytest.mark.full
def test_language_models_have_the_known_sizes():
    d, v, depth, context = 128, 65, 4, 256
    block = 12 * d * d + 13 * d  # qkv, out, 4x in and out, biases, two norms
    expected = v * d + context * d + depth * block + 2 * d + d * v + v
    assert size("transformer", configs.TransformerConfig(), (256,), v) == expected
    expected = v * d + 8 * d * d + 4 * d + d * v + v
    assert size("lstm", configs.LSTMConfig(), (256,), v) == expected
