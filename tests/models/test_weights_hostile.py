"""Weights files that are damaged, or made to do harm: each ends in one clear WeightsError, in little memory."""

import dataclasses
import json
import random
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from nac.errors import WeightsError
from nac.models.config import ModelConfig
from nac.models.model import NacModel
from nac.models.weights import estimated_parameters, load_model
from tests.conftest import SMALL

Change = Callable[[dict[str, Tensor], dict[str, str]], None]


@pytest.fixture(scope="module")
def content(small_weights: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors and metadata of a good file."""
    with safe_open(small_weights, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118


def refuses(path: Path, *words: str) -> None:
    with pytest.raises(WeightsError) as caught:
        load_model(path)
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and len(message) < 600, message
    assert all(word in message for word in words), message


def changed(content: tuple[dict[str, Tensor], dict[str, str]], path: Path, change: Change) -> Path:
    tensors, metadata = dict(content[0]), dict(content[1])
    change(tensors, metadata)
    save_file(tensors, path, metadata=metadata)
    return path


def raw(path: Path, header: Any, data: bytes = b"") -> Path:
    """A file with this header, right or wrong."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def test_a_file_that_was_not_changed_loads(content: tuple[dict[str, Tensor], dict[str, str]], tmp_path: Path) -> None:
    load_model(changed(content, tmp_path / "a.safetensors", lambda tensors, metadata: None))


def test_truncated_anywhere(small_weights: Path, tmp_path: Path) -> None:
    data = small_weights.read_bytes()
    header = 8 + struct.unpack("<Q", data[:8])[0]
    rng = random.Random(0)
    cuts = [
        *range(10),
        header - 1,
        header,
        header + 1,
        len(data) - 1,
        *(rng.randrange(header) for _ in range(20)),
        *(rng.randrange(header, len(data)) for _ in range(20)),
    ]
    for cut in cuts:
        (tmp_path / "cut.safetensors").write_bytes(data[:cut])
        refuses(tmp_path / "cut.safetensors", "cut.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(data + b"\0")
    refuses(tmp_path / "cut.safetensors", "cut.safetensors")


@pytest.mark.parametrize("length", [0, 1, 1 << 20, 99_999_999, 1 << 31, 1 << 40, (1 << 63) - 1, (1 << 64) - 1])
def test_header_lengths_that_lie(small_weights: Path, tmp_path: Path, length: int) -> None:
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", length) + small_weights.read_bytes()[8:])
    refuses(tmp_path / "a.safetensors", "a.safetensors")


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff\xfe",
        b'{"a": 1}',
        b"[" * 100_000,
        b'{"__metadata__": {"format": 1}}',
        b'{"__metadata__": {"format": "nac-weights-1"}}',
        b'{"a":{"dtype":"F16","shape":[18446744073709551615,4],"data_offsets":[0,8]}}',
        b'{"a":{"dtype":"F16","shape":[4],"data_offsets":[0,4000000000000]}}',
        b'{"a":{"dtype":"F16","shape":[4],"data_offsets":[8,0]}}',
        b'{"a":{"dtype":"F17","shape":[4],"data_offsets":[0,8]}}',
    ],
)
def test_headers_of_nonsense(tmp_path: Path, header: bytes) -> None:
    refuses(raw(tmp_path / "a.safetensors", header, b"\0" * 8), "a.safetensors")


@pytest.mark.slow
def test_bits_of_the_header_flipped(small_weights: Path, tmp_path: Path) -> None:
    """An error that is clear, or a model: some bits only name the model."""
    data = small_weights.read_bytes()
    rng = random.Random(1)
    refused = 0
    for _ in range(60):
        bad = bytearray(data)
        bad[rng.randrange(8 + struct.unpack("<Q", data[:8])[0])] ^= 1 << rng.randrange(8)
        (tmp_path / "a.safetensors").write_bytes(bad)
        try:
            load_model(tmp_path / "a.safetensors")
        except WeightsError as error:
            assert len(str(error).splitlines()) == 1
            refused += 1
    assert refused > 40


@pytest.mark.slow
def test_every_missing_tensor(content: tuple[dict[str, Tensor], dict[str, str]], tmp_path: Path) -> None:
    for name in content[0]:
        path = changed(content, tmp_path / "a.safetensors", lambda tensors, metadata, name=name: tensors.pop(name))
        refuses(path, "a.safetensors", "damaged" if name.startswith("quantizer.") else name)


@pytest.mark.slow
def test_every_tensor_of_another_shape(content: tuple[dict[str, Tensor], dict[str, str]], tmp_path: Path) -> None:
    for name, value in content[0].items():
        for other in (value.flatten()[:-1].clone(), value[None].clone(), value.flatten()[:0].clone()):
            path = changed(
                content,
                tmp_path / "a.safetensors",
                lambda tensors, metadata, name=name, other=other: tensors.update({name: other}),
            )
            refuses(path, "a.safetensors", "damaged" if name.startswith("quantizer.") else name)


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64])
def test_every_tensor_of_another_kind(
    content: tuple[dict[str, Tensor], dict[str, str]], tmp_path: Path, dtype: torch.dtype
) -> None:
    for name in ("quantizer.codes", "quantizer.steps", "spectrum.deviation", "encoder.out.weight"):
        path = changed(
            content,
            tmp_path / "a.safetensors",
            lambda tensors, metadata, name=name: tensors.update({name: tensors[name].to(dtype)}),
        )
        refuses(path, "a.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_no_numbers(
    content: tuple[dict[str, Tensor], dict[str, str]], tmp_path: Path, value: float
) -> None:
    for name in ("quantizer.steps", "spectrum.deviation", "encoder.out.weight", "decoder.last.linear.bias"):

        def spoil(tensors: dict[str, Tensor], metadata: dict[str, str], name: str = name) -> None:
            tensors[name] = tensors[name].clone()
            tensors[name].view(-1)[-1] = value

        refuses(changed(content, tmp_path / "a.safetensors", spoil), "a.safetensors")


def test_infinities_that_cancel(content: tuple[dict[str, Tensor], dict[str, str]], tmp_path: Path) -> None:
    def spoil(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        tensors["encoder.out.weight"] = tensors["encoder.out.weight"].clone()
        tensors["encoder.out.weight"].view(-1)[:2] = torch.tensor([float("inf"), -float("inf")])

    refuses(changed(content, tmp_path / "a.safetensors", spoil), "finite")


def test_codebooks_that_are_not_those_of_the_fingerprint(
    content: tuple[dict[str, Tensor], dict[str, str]], tmp_path: Path
) -> None:
    def code(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        tensors["quantizer.codes"] = tensors["quantizer.codes"].clone()
        tensors["quantizer.codes"][3, 2, 1] ^= 1

    def step(tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        tensors["quantizer.steps"] = tensors["quantizer.steps"] * 1.001

    for change in (
        code,
        step,
        lambda tensors, metadata: metadata.update(fingerprint="00000000"),
        lambda tensors, metadata: metadata.update(fingerprint="nonsense"),
        lambda tensors, metadata: metadata.pop("fingerprint"),
    ):
        refuses(changed(content, tmp_path / "a.safetensors", change), "fingerprint")


@pytest.mark.parametrize("generation", ["", "new", "1.5", "9" * 5000])
def test_a_generation_that_is_no_number(
    content: tuple[dict[str, Tensor], dict[str, str]], tmp_path: Path, generation: str
) -> None:
    path = changed(
        content, tmp_path / "a.safetensors", lambda tensors, metadata: metadata.update(generation=generation)
    )
    refuses(path, "generation")


@pytest.mark.parametrize(
    "config",
    [
        "",
        "null",
        "7",
        "[]",
        "{}x",
        '"a"',
        '{"name": 5, "x": 1}',
        "[" * 100_000,
        '{"codebooks": 1e999}',
        '{"codebooks": NaN}',
        '{"hop": 480}',
    ],
)
def test_configs_of_nonsense(content: tuple[dict[str, Tensor], dict[str, str]], tmp_path: Path, config: str) -> None:
    refuses(changed(content, tmp_path / "a.safetensors", lambda tensors, metadata: metadata.update(config=config)))


WRONG_KINDS = [None, "8", -1, 0, 1.5, True, [], [1], {}, [[1]], 10**30, float("nan")]


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(ModelConfig)])
def test_fields_of_the_config_of_a_wrong_kind_or_size(
    content: tuple[dict[str, Tensor], dict[str, str]], tmp_path: Path, field: str
) -> None:
    good = json.loads(content[1]["config"])
    for value in WRONG_KINDS:
        fine: dict[str, list[Any]] = {"correction": [0, 1.5], "name": ["8"], "voice": [None]}
        if any(type(value) is type(other) and value == other for other in fine.get(field, [])):
            continue
        config = json.dumps({**good, field: value})
        path = changed(
            content, tmp_path / "a.safetensors", lambda tensors, metadata, config=config: metadata.update(config=config)
        )
        refuses(path)


#: Loads the file given, and tells the peak of memory beyond that after the imports, in MB.
MEASURE = """
import resource, sys
from pathlib import Path
from nac.errors import WeightsError
from nac.models.weights import load_model
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
for path in sys.argv[1:]:
    try:
        load_model(Path(path))
    except WeightsError as error:
        print(len(str(error).splitlines()), end=" ")
    else:
        print("loaded", end=" ")
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""

HUGE: list[dict[str, Any]] = [
    {"codebook_size": 65_536, "codebooks": 65_536},
    {"encoder_width": 65_536, "encoder_blocks": 65_536},
    {"decoder_width": 65_536, "decoder_blocks": 10_000, "expansion": 65_536},
    {"decoder_blocks": 65_536},
    {"block_kernel": 65_536, "decoder_width": 65_536},
    {"encoder_channels": [65_536] * 3},
    {"decoder_channels": [65_536] * 3},
    {"encoder_units": [[1] * 1_000_000, [], []]},
    {"encoder_units": [[1] * 10_000, [], []]},
    {"encoder_blocks": 65_536, "encoder_width": 1},
    {"decoder_units": [[], [], [10**12]]},
    {"strides": [65_536] * 5000},
    {"decoder_units": [[], [], list(range(1, 20_000))]},
    {"sample_rate": 24_000 * 65_536, "strides": [65_536, 6000, 4, 1]},
]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="limits are those of POSIX")
def test_models_too_large_are_refused_before_memory_is_taken(
    content: tuple[dict[str, Tensor], dict[str, str]], tmp_path: Path
) -> None:
    """Each would take from gigabytes to petabytes, or hours; the files themselves are small."""
    good = json.loads(content[1]["config"])
    paths = []
    for number, change in enumerate(HUGE):
        config = json.dumps({**good, **change})
        paths.append(
            changed(
                content,
                tmp_path / f"{number}.safetensors",
                lambda tensors, metadata, config=config: metadata.update(config=config),
            )
        )
    paths.append(
        changed(
            content,
            tmp_path / "strides.safetensors",
            lambda tensors, metadata: metadata.update(
                config=json.dumps(
                    {
                        **good,
                        "strides": [1] * 65_536,
                        "encoder_channels": [1] * 65_535,
                        "decoder_channels": [1] * 65_535,
                        "encoder_units": [[]] * 65_535,
                        "decoder_units": [[]] * 65_535,
                    }
                )
            ),
        )
    )
    done = subprocess.run([sys.executable, "-c", MEASURE, *map(str, paths)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *lines, megabytes = done.stdout.split()
    assert lines == ["1"] * len(paths)
    assert int(megabytes) < 200


@pytest.mark.parametrize("config", [SMALL, ModelConfig(), dataclasses.replace(SMALL, decoder_blocks=9, expansion=7)])
def test_sizes_are_known_without_making_the_model(config: ModelConfig) -> None:
    counted = sum(value.numel() for value in NacModel(config).state_dict().values())
    assert counted * 0.95 < estimated_parameters(config) < counted * 1.05
