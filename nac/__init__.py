"""nac: a neural audio codec.

>>> import nac
>>> codec = nac.Codec.load()
>>> codec.sample_rate
24000
"""

from typing import TYPE_CHECKING, Any

from nac.errors import AudioError, DamagedError, FormatError, NacError, OptionError, WeightsError

if TYPE_CHECKING:
    from nac.codec import Codec
    from nac.format.header import Metadata, read_header
    from nac.packets import PacketDecoder, PacketEncoder
    from nac.stream import StreamDecoder, StreamEncoder

__all__ = [
    "AudioError",
    "Codec",
    "DamagedError",
    "FormatError",
    "Metadata",
    "NacError",
    "OptionError",
    "PacketDecoder",
    "PacketEncoder",
    "StreamDecoder",
    "StreamEncoder",
    "WeightsError",
    "__version__",
    "read_header",
]
__version__ = "0.2.0"

# Loading torch takes seconds: only who asks for a model waits for it.
_LAZY = {
    "Codec": "nac.codec",
    "PacketDecoder": "nac.packets",
    "PacketEncoder": "nac.packets",
    "StreamDecoder": "nac.stream",
    "StreamEncoder": "nac.stream",
    "Metadata": "nac.format.header",
    "read_header": "nac.format.header",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'nac' has no attribute {name!r}")
