"""Causal layers that stream: the same call serves a whole signal and a piece of one.

Tensors are `[batch, time, channels]`. In this layout a convolution is a matrix product over the channels of the
current and the past steps laid side by side, the fastest form on a CPU; a strided one folds `stride` steps into the
channels first, a transposed one unfolds them last.

Streaming is one idea: a layer that looks back takes a `State` and keeps in it the last steps it has seen. Without a
state (`None`) the past is silence and nothing is kept.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

State = dict[nn.Module, Tensor]


def with_past(layer: nn.Module, x: Tensor, steps: int, state: State | None) -> Tensor:
    """Prepend the last `steps` steps that `layer` has seen.

    Args:
        layer: whose past it is: the key in `state`.
        x: `[batch, time, channels]`.
        steps: how many steps the layer looks back.
        state: where the last steps are kept; None: the past is silence.

    Returns:
        `[batch, steps + time, channels]`.
    """
    past = None if state is None else state.get(layer)
    if past is None:
        past = x.new_zeros(x.shape[0], steps, x.shape[2])
    x = torch.cat([past, x], 1)
    if state is not None:
        state[layer] = x[:, x.shape[1] - steps :].clone()
    return x


class Delay(nn.Module):
    """Hands on what it is given some steps later; silence comes first."""

    def __init__(self, steps: int) -> None:
        """`steps` is at least 1."""
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        """`[batch, time, channels]` to the same shape."""
        return with_past(self, x, self.steps, state)[:, : x.shape[1]]


class OverlapAdd(nn.Module):
    """Sum of frames that begin `hop` samples apart.

    Each sample is the sum of the same terms in the same order however the frames are cut into calls.
    """

    def __init__(self, size: int, hop: int) -> None:
        """`size` is a frame's length in samples."""
        super().__init__()
        self.size, self.hop = size, hop

    def forward(self, frames: Tensor, state: State | None = None) -> Tensor:
        """`[batch, frames, channels, size]` to `[batch, frames · hop, channels]`.

        A frame's first samples come with it, the last ones, which later frames add to, with these.
        """
        batch, count, channels, _ = frames.shape
        parts = -(-self.size // self.hop)
        padded = F.pad(frames, (0, parts * self.hop - self.size))
        both = with_past(self, padded.flatten(2), parts - 1, state)
        both = both.view(batch, parts - 1 + count, channels, parts, self.hop)
        out = both[:, parts - 1 :, :, 0]
        for part in range(1, parts):
            first = parts - 1 - part
            out = out + both[:, first : first + count, :, part]
        return out.transpose(2, 3).reshape(batch, count * self.hop, channels)


def activation(name: str, channels: int) -> nn.Module:
    """Make an activation.

    Args:
        name: silu, gelu, elu or snake.
        channels: size of the last dimension; snake has a parameter for each.
    """
    if name == "snake":
        return Snake(channels)
    kinds: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "gelu": nn.GELU, "elu": nn.ELU}
    return kinds[name]()


class Snake(nn.Module):
    """x + sin²(αx)/α with one learned α per channel (Ziyin et al. 2020, arXiv 2006.08195)."""

    def __init__(self, channels: int) -> None:
        """`channels` is the size of the last dimension."""
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """`[..., channels]` to the same shape."""
        return x + torch.sin(self.alpha * x).square() / (self.alpha + 1e-9)


class CausalConv(nn.Module):
    """Causal convolution over `kernel` steps, `dilation` apart, the newest last; keeps the number of steps."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1) -> None:
        """`inputs` and `outputs` are channels; `kernel` and `dilation` are in steps."""
        super().__init__()
        self.kernel, self.dilation = kernel, dilation
        self.linear = nn.Linear(kernel * inputs, outputs)

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        """`[batch, time, inputs]` to `[batch, time, outputs]`."""
        steps, time = (self.kernel - 1) * self.dilation, x.shape[1]
        x = with_past(self, x, steps, state)
        taps = [x[:, i * self.dilation : i * self.dilation + time] for i in range(self.kernel)]
        return self.linear(torch.cat(taps, 2))  # type: ignore[no-any-return]


class DepthwiseConv(nn.Module):
    """Convolution of each channel by itself over `kernel` steps; starts as the identity."""

    def __init__(self, channels: int, kernel: int) -> None:
        """`kernel` is in steps."""
        super().__init__()
        self.kernel = kernel
        weight = torch.randn(kernel, channels) * 0.1
        weight[-1] += 1.0
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        """`[batch, time, channels]` to the same shape."""
        time = x.shape[1]
        x = with_past(self, x, self.kernel - 1, state)
        out = torch.addcmul(self.bias, x[:, :time], self.weight[0])
        for i in range(1, self.kernel):
            out = torch.addcmul(out, x[:, i : i + time], self.weight[i])
        return out


class DownConv(nn.Module):
    """Strided convolution, kernel 2 × stride: `[batch, time, inputs]` to `[batch, time / stride, outputs]`."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """`inputs` and `outputs` are channels; `stride` is in steps."""
        super().__init__()
        self.stride = stride
        self.linear = nn.Linear(2 * stride * inputs, outputs)

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        """`[batch, time, inputs]` to `[batch, time / stride, outputs]`; `time` is a multiple of the stride."""
        folded = x.reshape(x.shape[0], x.shape[1] // self.stride, self.stride * x.shape[2])
        both = with_past(self, folded, 1, state)
        return self.linear(torch.cat([both[:, :-1], both[:, 1:]], 2))  # type: ignore[no-any-return]


class UpConv(nn.Module):
    """Transposed convolution, kernel 2 × stride: `[batch, time, inputs]` to `[batch, time · stride, outputs]`."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        """`inputs` and `outputs` are channels; `stride` is in steps."""
        super().__init__()
        self.stride = stride
        self.linear = nn.Linear(2 * inputs, stride * outputs)

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        """`[batch, time, inputs]` to `[batch, time · stride, outputs]`."""
        both = with_past(self, x, 1, state)
        out: Tensor = self.linear(torch.cat([both[:, :-1], both[:, 1:]], 2))
        return out.reshape(x.shape[0], x.shape[1] * self.stride, -1)


class ResidualUnit(nn.Module):
    """SEANet residual unit at a waveform rate; starts as the identity.

    Works on the signal divided by its own level and multiplies it back, so that it does the same to quiet and loud
    sound.
    """

    def __init__(self, channels: int, dilation: int, act: str) -> None:
        """`act` is the name of an activation; see `activation`."""
        super().__init__()
        self.conv = CausalConv(channels, channels, 3, dilation)
        self.act = activation(act, channels)
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        """`[batch, time, channels]` to the same shape."""
        level = (x.square().mean(-1, keepdim=True) + 1e-8).sqrt()
        y: Tensor = self.out(self.act(self.conv(x / level, state)))
        return x + level * y


class FrameBlock(nn.Module):
    """ConvNeXt block at the frame rate (arXiv 2201.03545); starts as the identity.

    Depthwise convolution, normalisation, two pointwise layers, and the residual connection around them.
    """

    def __init__(self, width: int, kernel: int, expansion: int, act: str) -> None:
        """`width` channels, `expansion` times as many between the pointwise layers; `kernel` is in frames."""
        super().__init__()
        self.conv = DepthwiseConv(width, kernel)
        self.norm = nn.LayerNorm(width)
        self.inner = nn.Linear(width, expansion * width)
        self.act = activation(act, expansion * width)
        self.out = nn.Linear(expansion * width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, state: State | None = None) -> Tensor:
        """`[batch, frames, width]` to the same shape."""
        y = F.layer_norm(self.conv(x, state), self.norm.normalized_shape, self.norm.weight, self.norm.bias)
        out: Tensor = x + self.out(self.act(self.inner(y)))
        return out
