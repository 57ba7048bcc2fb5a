"""What the project promises about itself: layout, names, lengths and its front page."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

import tectum

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tectum"
MODULES = sorted(PACKAGE.rglob("*.py"))
TEXTS = {".py", ".md", ".toml", ".txt", ".yaml", ".yml", ".json", ".cfg", ""}


@cache
def project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def tracked_files() -> list[Path]:
    """Files that git knows or would take; everything but caches where there is no git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this is no git checkout")
    return [path for name in listed if (path := ROOT / name).is_file()]


def test_the_readme_opens_with_two_commands_that_the_makefile_has() -> None:
    readme = (ROOT / "README.md").read_text()
    assert re.findall(r"^make [\w-]+", readme, re.MULTILINE)[:2] == ["make demo", "make test"]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {name for name in re.findall(r"`?make ([a-z-]+)", readme) if name != "it"} <= set(targets)


def test_the_readme_shows_commands_and_options_that_exist() -> None:
    from tectum.cli.main import app

    group = get_command(app)
    commands = group.commands  # type: ignore[attr-defined]
    readme = (ROOT / "README.md").read_text()
    shown = re.findall(r"^tectum (\w+)((?:[^\n]*\\\n)*[^\n]*)", readme, re.MULTILINE)
    assert {name for name, _ in shown} == set(commands)
    for name, line in shown:
        # `tectum data check` and the like are commands of a group.
        inner = getattr(commands[name], "commands", {}).get(line.split()[0] if line.split() else "")
        known = {option for parameter in (inner or commands[name]).params for option in parameter.opts}
        assert set(re.findall(r"(?<= )--[\w-]+", line)) <= known, name


def test_the_readme_names_every_preset() -> None:
    from tectum.systems.catalogue import SYSTEMS

    readme = (ROOT / "README.md").read_text()
    assert [name for system in SYSTEMS for name in system.presets() if f"`{name}`" not in readme] == []


def test_constraints_pin_every_dependency_once() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [re.split("==", line) for line in lines if line and not line.startswith("#")]
    assert all(len(pin) == 2 for pin in pins)
    names = [plain_name(name) for name, _ in pins]
    assert len(names) == len(set(names))
    assert ["torch", "2.13.0"] in pins
    table = project()["project"]
    assert isinstance(table, dict)
    extras = table["optional-dependencies"]
    wanted = [*table["dependencies"], *extras["train"], *extras["dev"]]
    assert {plain_name(re.split(r"[<>=!~\[]", need)[0]) for need in wanted} <= set(names)


def plain_name(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_room_has_a_contract() -> None:
    rooms = {
        f"tectum.{path.stem}" for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()
    }
    contracts = project()["tool"]["importlinter"]["contracts"]  # type: ignore[index]
    held = {room for contract in contracts for room in contract.get("source_modules", contract.get("modules"))}
    assert rooms - held == {"tectum.__init__", "tectum.face", "tectum.cli"}
    open_to_all = {"tectum.face", "tectum.cli"}
    last_word = [
        set(contract["forbidden_modules"])
        for contract in contracts
        if "tectum.cli" in contract.get("forbidden_modules", ())
    ]
    assert all(open_to_all <= forbidden for forbidden in last_word)


def test_the_package_has_a_version_and_lists_its_public_names() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", tectum.__version__)
    for name in tectum.__all__:
        assert getattr(tectum, name) is not None


@pytest.mark.parametrize("preset", ["nano", "ostrack-tiny"])
def test_the_bundled_weights_are_small_and_load(preset: str) -> None:
    from tectum.weights import bundled, load

    assert bundled(preset).stat().st_size < 8_000_000
    assert not load(preset).training


def test_no_file_names_a_place_on_somebodys_machine() -> None:
    places = re.compile(r"(?<![\w.])/(?:work|home|root|Users|tmp)/\w")
    for path in tracked_files():
        if path.suffix in TEXTS and path != Path(__file__):
            assert not places.search(path.read_text(errors="replace")), path


def test_modules_and_functions_are_short_and_well_named() -> None:
    for path in MODULES:
        assert not {"utils", "helpers", "misc", "common"} & {part.strip("_") for part in path.with_suffix("").parts}
        text = path.read_text()
        assert len(text.splitlines()) < 400, path
        for function in functions(ast.parse(text)):
            assert code_lines(function, text) <= 60, f"{path}: {function.name}"


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef, text: str) -> int:
    """Lines of the body without docstring, blanks and comments."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    if not body:
        return 0
    lines = text.splitlines()[body[0].lineno - 1 : function.end_lineno]
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in lines)
