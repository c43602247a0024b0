"""The colourisation network of Zhang et al. 2017, written from its paper with the published checkpoint's names.

Source: Real-Time User-Guided Image Colorization with Learned Deep Priors (arXiv:1705.02999), figure 2 and section 3.3,
used without hints.
"""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

L_CENTRE, L_SCALE, AB_SCALE = 50.0, 100.0, 110.0


def _block(*channels: int, dilation: int = 1, first_activation: bool = False) -> nn.Sequential:
    """Convolutions with ReLU between them and batch normalisation at the end."""
    layers: list[nn.Module] = [nn.ReLU()] if first_activation else []
    for narrow, wide in pairwise(channels):
        layers += [nn.Conv2d(narrow, wide, 3, padding=dilation, dilation=dilation), nn.ReLU()]
    return nn.Sequential(*layers, nn.BatchNorm2d(channels[-1]))


def _up(narrow: int, wide: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(narrow, wide, 4, stride=2, padding=1))


def _across(narrow: int, wide: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(narrow, wide, 3, padding=1))


class Siggraph17(nn.Module):
    """Lightness (batch, 1, height, width) in [0, 100] -> a and b of CIE Lab (batch, 2, height, width); sides are
    multiples of 8."""

    def __init__(self, *, scale: int = 1) -> None:
        """`scale` divides all widths: for tests."""
        super().__init__()
        c64, c128, c256, c512 = (width // scale for width in (64, 128, 256, 512))
        self.model1 = _block(4, c64, c64)
        self.model2 = _block(c64, c128, c128)
        self.model3 = _block(c128, c256, c256, c256)
        self.model4 = _block(c256, c512, c512, c512)
        self.model5 = _block(c512, c512, c512, c512, dilation=2)
        self.model6 = _block(c512, c512, c512, c512, dilation=2)
        self.model7 = _block(c512, c512, c512, c512)
        self.model8up, self.model3short8 = _up(c512, c256), _across(c256, c256)
        self.model8 = _block(c256, c256, c256, first_activation=True)
        self.model9up, self.model2short9 = _up(c256, c128), _across(c128, c128)
        self.model9 = _block(c128, c128, first_activation=True)
        self.model10up, self.model1short10 = _up(c128, c128), _across(c64, c128)
        self.model10 = nn.Sequential(nn.ReLU(), nn.Conv2d(c128, c128, 3, padding=1), nn.LeakyReLU(0.2))
        # Trained beside the output that is used; the checkpoint has its weights.
        self.model_class = nn.Sequential(nn.Conv2d(c256, 529, 1))
        self.model_out = nn.Sequential(nn.Conv2d(c128, 2, 1), nn.Tanh())

    def forward(self, lightness: Tensor) -> Tensor:
        """Without hints: their three channels are zero."""
        hints = torch.zeros_like(lightness).expand(-1, 3, -1, -1)
        first = self.model1(torch.cat([(lightness - L_CENTRE) / L_SCALE, hints], dim=1))
        second = self.model2(first[..., ::2, ::2])
        third = self.model3(second[..., ::2, ::2])
        deepest = self.model7(self.model6(self.model5(self.model4(third[..., ::2, ::2]))))
        up = self.model8(self.model8up(deepest) + self.model3short8(third))
        up = self.model9(self.model9up(up) + self.model2short9(second))
        up = self.model10(self.model10up(up) + self.model1short10(first))
        colours: Tensor = self.model_out(up) * AB_SCALE
        return colours


def load(path: Any, *, scale: int = 1) -> Siggraph17:
    """The network with the published checkpoint's weights."""
    network = Siggraph17(scale=scale)
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return network.eval()
