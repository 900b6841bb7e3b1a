"""Which module may import which."""

import ast
from pathlib import Path

import nac

ROOT = Path(nac.__file__).parent


def imports(path: Path) -> set[str]:
    """Modules of nac's command line that a file imports anywhere in it, inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("nac.cli"):
            found |= {f"{node.module}.{name.name}" for name in node.names} | {str(node.module)}
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return {name for name in found if (ROOT / "cli" / f"{name.removeprefix('nac.cli.')}.py").exists()}


def test_no_module_of_the_command_line_leads_back_to_itself():
    graph = {f"nac.cli.{path.stem}": imports(path) for path in (ROOT / "cli").glob("*.py")}
    assert len(graph) > 10
    for start in graph:
        seen: set[str] = set()
        ahead = [*graph[start]]
        while ahead:
            if (module := ahead.pop()) not in seen:
                seen.add(module)
                ahead += graph.get(module, ())
        assert start not in seen, f"{start} imports itself by way of others"
