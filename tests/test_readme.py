"""The README is true: its files exist, its commands parse, its Python runs, its front matter is valid."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^python -m pipeline (.+?)(?:\s+#.*)?$", README, re.MULTILINE)


def test_front_matter_is_what_spaces_read() -> None:
    _, front, _ = README.split("---\n", 2)
    facts = yaml.safe_load(front)
    assert facts["sdk"] == "gradio"
    assert (ROOT / facts["app_file"]).is_file()
    assert len(facts["short_description"]) <= 60
    assert facts["license"] == "apache-2.0"
    assert re.fullmatch(r"\d+\.\d+\.\d+", facts["sdk_version"])


def test_links_to_files_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", README)
    assert len(targets) > 10
    assert [t for t in targets if not (ROOT / t).exists()] == []


def test_the_gate_runs_the_test_command_of_the_readme() -> None:
    command = "pip install -r requirements-dev.txt && pytest"
    assert f"\n{command}\n" in README
    assert command in (ROOT / ".ci/run").read_text().replace("pip install -q", "pip install")
    assert "\npip install -r requirements.txt && python app.py\n" in README


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_readme_parse(command: str) -> None:
    from pipeline.cli import build_parser

    build_parser(with_learning=True).parse_args(shlex.split(command))


def test_every_subcommand_is_in_the_readme() -> None:
    from pipeline.cli import build_parser

    subparsers = next(a for a in build_parser()._actions if a.choices and a.dest != "help")
    documented = {command.split()[0] for command in COMMANDS}
    assert set(subparsers.choices) <= documented


def test_the_python_of_the_readme_runs(tmp_path: Path) -> None:
    code = re.search(r"```python\n(.+?)```", README, re.DOTALL)
    assert code
    done = subprocess.run(
        [sys.executable, "-c", code[1]],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("False")


def test_every_setting_is_in_the_readme_with_its_meaning() -> None:
    from pipeline.settings import Settings

    for name, field in Settings.model_fields.items():
        variable = "LIBRARY_DIR" if name == "library_dir" else f"ANSWERCLIP_{name.upper()}"
        row = next((line for line in README.splitlines() if line.startswith(f"| `{variable}` |")), "")
        assert row.endswith(f"| {field.description} |"), variable


def test_every_dependency_has_its_reason() -> None:
    reasons = (ROOT / "docs/decisions/0001-dependencies.md").read_text(encoding="utf-8").casefold()
    lines = (ROOT / "requirements.txt").read_text().split()
    lines += (ROOT / "requirements-train.txt").read_text().split()[2:]
    names = [re.split(r"[\[<>=]", line)[0].casefold() for line in lines]
    assert [name for name in names if name not in reasons] == []
