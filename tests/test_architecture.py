"""The shape of the code: imports point inward, and importing is cheap and free of side effects."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PIPELINE = sorted(p for p in (ROOT / "pipeline").rglob("*.py") if "migrations" not in p.parts)


def imported(source: str) -> set[str]:
    """The top-level names of everything that a module imports, at any depth of its code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", PIPELINE, ids=lambda p: str(p.relative_to(ROOT)))
def test_pipeline_knows_neither_gradio_nor_the_app(path: Path) -> None:
    assert not imported(path.read_text()) & {"gradio", "app", "spaces"}


@pytest.mark.parametrize("path", PIPELINE, ids=lambda p: str(p.relative_to(ROOT)))
def test_pipeline_can_be_imported_on_windows(path: Path) -> None:
    at_import = [
        node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    names = imported("\n".join(map(ast.unparse, at_import)))
    assert not names & {"fcntl", "resource", "pwd", "grp", "termios", "tty", "pty", "readline", "syslog"}


def test_types_need_no_libraries() -> None:
    assert imported((ROOT / "pipeline/types.py").read_text()) <= {
        "__future__",
        "dataclasses",
        "datetime",
        "enum",
        "pathlib",
    }


def test_listing_the_library_loads_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pipeline.__main__ import main\n"
        f"main(['--library', {str(tmp_path / 'library')!r}, 'list'])\n"
        "heavy = {'torch', 'transformers', 'gradio', 'whisper', 'yt_dlp'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_module_says_what_it_is() -> None:
    silent = [
        str(p) for p in PIPELINE if p.stat().st_size and not ast.get_docstring(ast.parse(p.read_text()))
    ]
    assert not silent
