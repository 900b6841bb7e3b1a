"""What is installed: every package but the research bench, with the files that its pages are made from."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_package_is_installed_but_the_research_bench() -> None:
    listed = re.findall(r'"(nac[\w.]*)"', PROJECT[PROJECT.index("packages = [") : PROJECT.index("package-dir")])
    there = {".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "nac").rglob("__init__.py")}
    assert set(listed) == {name for name in there if name.split(".")[:2] != ["nac", "study"]} | {"nac.weights"}


def test_every_template_is_installed() -> None:
    data = PROJECT[PROJECT.index("[tool.setuptools.package-data]") :].split("\n\n")[0]
    patterns = {name: re.findall(r'"([^"]+)"', globs) for name, globs in re.findall(r'"?([\w.]+)"? = \[(.*)\]', data)}
    found = {
        path
        for name, globs in patterns.items()
        for each in globs
        for path in (ROOT / name.replace(".", "/")).glob(each)
    }
    templates = {path for path in (ROOT / "nac").rglob("templates/*") if path.is_file() and path.suffix != ".pyc"}
    assert templates and templates <= found
