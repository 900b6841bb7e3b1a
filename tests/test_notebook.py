"""The demonstration notebook runs from start to end, and is stored without what running it gives."""

import json
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "scripts" / "demo.ipynb"


def test_no_outputs_are_stored():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert code and not any(cell["outputs"] or cell["execution_count"] for cell in code)


def test_runs():
    pytest.importorskip("matplotlib", reason="the notebook draws with matplotlib")
    pytest.importorskip("ipykernel", reason="notebooks run in ipykernel: pip install '.[test]'")
    nbformat = pytest.importorskip("nbformat", reason="nbformat reads notebooks: pip install '.[test]'")
    nbclient = pytest.importorskip("nbclient", reason="nbclient runs notebooks: pip install '.[test]'")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    kinds = [
        kind
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        for kind in output.get("data", {})
    ]
    assert kinds.count("image/png") == 3  # two rows of spectrograms, and the codes
    assert (
        sum(
            "<audio" in output["data"].get("text/html", "")
            for cell in notebook.cells
            if cell.cell_type == "code"
            for output in cell.outputs
            if "data" in output
        )
        == 8
    )
