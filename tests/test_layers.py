"""Which part of nac may import which, imports within functions and for type checking among them."""

from collections import defaultdict
from graphlib import CycleError, TopologicalSorter

import grimp
import pytest

#: From the bottom up: a part may import its own layer's parts, unless these are independent, and all layers below.
LAYERS = (
    ("arrays", "config", "errors", "extensions", "files", "folders", "settings", "synthetic", "times"),
    ("audio", "format", "models", "packaged"),
    ("block_decoder", "codec", "packets", "stream", "verify", "writing"),
    ("evaluation",),
    ("training",),
    ("cli",),
    ("study",),
)
#: Bytes know no model, the model knows no files, and neither knows audio.
INDEPENDENT = ("audio", "format", "models")
ROOT = ("nac", "nac.__main__")  # what users see of all layers


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("nac", cache_dir=None)


def imports(graph: grimp.ImportGraph) -> list[tuple[str, str]]:
    """Pairs of a module and one that it imports."""
    found = [(name, other) for name in graph.modules for other in graph.find_modules_directly_imported_by(name)]
    return sorted((name, other) for name, other in found if name not in ROOT and other not in ROOT)


def test_every_part_has_its_layer(graph: grimp.ImportGraph) -> None:
    parts = {name.split(".")[1] for name in graph.modules if name not in ROOT}
    assert parts == {part for layer in LAYERS for part in layer}


def test_nothing_imports_a_layer_above_it(graph: grimp.ImportGraph) -> None:
    level = {part: index for index, layer in enumerate(LAYERS) for part in layer}
    wrong = [
        f"{name} imports {other}"
        for name, other in imports(graph)
        if level[name.split(".")[1]] < level[other.split(".")[1]]
    ]
    assert not wrong


def test_format_models_and_audio_do_not_know_each_other(graph: grimp.ImportGraph) -> None:
    wrong = []
    for name, other in imports(graph):
        parts = name.split(".")[1], other.split(".")[1]
        if parts[0] != parts[1] and set(parts) <= set(INDEPENDENT):
            wrong.append(f"{name} imports {other}")
    assert not wrong


@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_no_import_leads_back_to_where_it_came_from(graph: grimp.ImportGraph, depth: int) -> None:
    """Neither module by module nor, at smaller depths, package by package."""
    edges = defaultdict(set)
    for name, other in imports(graph):
        start, end = (".".join(path.split(".")[:depth]) for path in (name, other))
        # A package's __init__ that gathers what its modules have is not a way back.
        if start != end and not start.startswith(f"{end}.") and not end.startswith(f"{start}."):
            edges[start].add(end)
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))
