import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

import nac
from nac.cli import main
from nac.cli.lazy import LazyCommand

VERBS = [name for name, command in main.commands.items() if isinstance(command, LazyCommand)]


def test_the_list_of_verbs_imports_none_of_their_modules() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from nac.cli import main; "
        "assert CliRunner().invoke(main, ['--help']).exit_code == 0; "
        "assert not {'torch', 'numpy', 'nac.training', 'nac.evaluation', 'nac.cli.train'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(nac.__file__).parents[1])


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    shown = CliRunner().invoke(main, [verb, "--help"])
    assert shown.exit_code == 0 and shown.output.startswith(f"Usage: main {verb}")
    assert CliRunner().invoke(main, [verb, "--no-such-option"]).exit_code == 2


@pytest.mark.parametrize(("package", "arguments"), [
    ("matplotlib", ["evaluate", "."]),
    ("matplotlib", ["benchmark", "--chart", "x.png"]),
    ("matplotlib", ["plot-training", "."]),
])  # fmt: skip
def test_a_missing_package_is_named_with_its_extra(
    package: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    for module in [name for name in sys.modules if name.startswith(f"{package}.")]:
        monkeypatch.setitem(sys.modules, module, None)
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 2 and f"{package}: pip install 'nac[" in done.output, done.output
