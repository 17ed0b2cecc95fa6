"""Models that a plan can be made for."""

from __future__ import annotations

from jaxopt_lab.lab.models.configs import ResNet50Config
from jaxopt_lab.lab.plan.decoder import Decoder
from jaxopt_lab.lab.plan.planned_model import PlannedModel
from jaxopt_lab.lab.plan.residual_network import ResidualNetwork
from jaxopt_lab.lab.plan.vision_transformer import VisionTransformer

# The sizes of the llama-60m and -1b of the low-memory literature (GaLore and after).
MODELS: dict[str, PlannedModel] = {
    "gpt2-124m": Decoder(50257, 768, 12, 12, 12, 3072, 1024, gated=False),
    "llama-60m": Decoder(32000, 512, 8, 8, 8, 1376, 1024),
    "llama-1b": Decoder(32000, 2048, 24, 32, 32, 5461, 2048),
    "llama-7b": Decoder(32000, 4096, 32, 32, 32, 11008, 2048),
    "llama-70b": Decoder(32000, 8192, 80, 64, 8, 28672, 2048),
    "resnet50": ResidualNetwork("resnet50", ResNet50Config(), 224, 1000),
    "vit-l": VisionTransformer(1024, 24, 16, 4096, 16, 224, 1000),
}
