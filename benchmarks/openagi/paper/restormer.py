"""The network Restormer, written from its paper with the published checkpoints' parameter names.

Source: Zamir et al., Restormer (arXiv:2111.09881), figure 2 and section 3. Widths and depths as in the checkpoints for
real denoising and for defocus deblurring from one image.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

MULTIPLE = 8
"""Heights and widths must be multiples of this: three halvings."""


class _Norm(nn.Module):
    """Over channels, of (batch, channels, height, width). Without bias the mean is left in, as published."""

    def __init__(self, channels: int, *, bias: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, unbiased=False)
        centred = x if self.bias is None else x - mean
        scaled = centred / torch.sqrt(variance + 1e-5) * self.weight[:, None, None]
        return scaled if self.bias is None else scaled + self.bias[:, None, None]


class _Named(nn.Module):
    """A module under the name `body`, as the checkpoints have it."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)  # type: ignore[no-any-return]


class _Attention(nn.Module):
    """Attention between channels instead of pixels (MDTA, equation 1)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.temperature = nn.Parameter(torch.ones(heads, 1, 1))
        self.qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        self.qkv_dwconv = nn.Conv2d(3 * channels, 3 * channels, 3, padding=1, groups=3 * channels, bias=False)
        self.project_out = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape
        shape = (batch, self.heads, channels // self.heads, height * width)
        query, key, value = (part.reshape(shape) for part in self.qkv_dwconv(self.qkv(x)).chunk(3, dim=1))
        query, key = functional.normalize(query, dim=-1), functional.normalize(key, dim=-1)
        weights = (query @ key.transpose(-2, -1) * self.temperature).softmax(dim=-1)
        mixed: Tensor = self.project_out((weights @ value).reshape(batch, channels, height, width))
        return mixed


class _FeedForward(nn.Module):
    """Gated, with depth-wise convolutions (GDFN, equation 2)."""

    def __init__(self, channels: int, expansion: float) -> None:
        super().__init__()
        hidden = int(channels * expansion)
        self.project_in = nn.Conv2d(channels, 2 * hidden, 1, bias=False)
        self.dwconv = nn.Conv2d(2 * hidden, 2 * hidden, 3, padding=1, groups=2 * hidden, bias=False)
        self.project_out = nn.Conv2d(hidden, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        gate, passed = self.dwconv(self.project_in(x)).chunk(2, dim=1)
        made: Tensor = self.project_out(functional.gelu(gate) * passed)
        return made


class _Block(nn.Module):
    def __init__(self, channels: int, heads: int, expansion: float, *, bias: bool) -> None:
        super().__init__()
        self.norm1 = _Named(_Norm(channels, bias=bias))
        self.attn = _Attention(channels, heads)
        self.norm2 = _Named(_Norm(channels, bias=bias))
        self.ffn = _FeedForward(channels, expansion)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.ffn(self.norm2(x))  # type: ignore[no-any-return]


def _halved(channels: int) -> nn.Module:
    """Half the size, twice the channels."""
    return _Named(nn.Sequential(nn.Conv2d(channels, channels // 2, 3, padding=1, bias=False), nn.PixelUnshuffle(2)))


def _doubled(channels: int) -> nn.Module:
    """Twice the size, half the channels."""
    return _Named(nn.Sequential(nn.Conv2d(channels, channels * 2, 3, padding=1, bias=False), nn.PixelShuffle(2)))


class Restormer(nn.Module):
    """Pictures (batch, 3, height, width) in [0, 1] -> the same, restored; sides are multiples of `MULTIPLE`."""

    def __init__(
        self,
        *,
        norm_bias: bool,
        width: int = 48,
        depths: Sequence[int] = (4, 6, 6, 8),
        refinement: int = 4,
        heads: Sequence[int] = (1, 2, 4, 8),
        expansion: float = 2.66,
    ) -> None:
        super().__init__()

        def blocks(level: int, channels: int, depth: int) -> nn.Sequential:
            return nn.Sequential(*(_Block(channels, heads[level], expansion, bias=norm_bias) for _ in range(depth)))

        one, two, three, four = (width * 2**level for level in range(4))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, one, 3, padding=1, bias=False)
        self.encoder_level1 = blocks(0, one, depths[0])
        self.down1_2 = _halved(one)
        self.encoder_level2 = blocks(1, two, depths[1])
        self.down2_3 = _halved(two)
        self.encoder_level3 = blocks(2, three, depths[2])
        self.down3_4 = _halved(three)
        self.latent = blocks(3, four, depths[3])
        self.up4_3 = _doubled(four)
        self.reduce_chan_level3 = nn.Conv2d(four, three, 1, bias=False)
        self.decoder_level3 = blocks(2, three, depths[2])
        self.up3_2 = _doubled(three)
        self.reduce_chan_level2 = nn.Conv2d(three, two, 1, bias=False)
        self.decoder_level2 = blocks(1, two, depths[1])
        self.up2_1 = _doubled(two)
        # At the last level the joined channels stay: there is no convolution that would reduce them.
        self.decoder_level1 = blocks(0, two, depths[0])
        self.refinement = blocks(0, two, refinement)
        self.output = nn.Conv2d(two, 3, 3, padding=1, bias=False)

    def forward(self, picture: Tensor) -> Tensor:
        """Add what is to be changed to the picture."""
        first = self.encoder_level1(self.patch_embed.proj(picture))  # type: ignore[operator]
        second = self.encoder_level2(self.down1_2(first))
        third = self.encoder_level3(self.down2_3(second))
        deepest = self.latent(self.down3_4(third))
        third = self.decoder_level3(self.reduce_chan_level3(torch.cat([self.up4_3(deepest), third], 1)))
        second = self.decoder_level2(self.reduce_chan_level2(torch.cat([self.up3_2(third), second], 1)))
        first = self.decoder_level1(torch.cat([self.up2_1(second), first], 1))
        restored: Tensor = self.output(self.refinement(first)) + picture
        return restored


def load(path: Any, *, norm_bias: bool, **sizes: Any) -> Restormer:
    """The network with a published checkpoint's weights."""
    network = Restormer(norm_bias=norm_bias, **sizes)
    stored = torch.load(path, map_location="cpu", weights_only=True)
    network.load_state_dict(stored["params"])
    return network.eval()


def restore(network: Restormer, pictures: Tensor) -> Tensor:
    """Restore pictures of any size: mirrored at the right and bottom up to a multiple, and cut back."""
    height, width = pictures.shape[-2:]
    padded = functional.pad(pictures, (0, -width % MULTIPLE, 0, -height % MULTIPLE), "reflect")
    with torch.inference_mode():
        restored: Tensor = network(padded)[..., :height, :width].clamp(0, 1)
    return restored
