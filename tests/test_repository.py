"""What must agree between the files of the repository: versions, lock, notebooks, book, README."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import zipfile
from fnmatch import fnmatch
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from pdegcnn_lib import models
from pdegcnn_lib.companion import segment

tomllib = pytest.importorskip("tomllib", reason="part of Python since 3.11, the version of the lock")
ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
SOURCES = sorted((ROOT / "notebooks").glob("*.md"))


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


@cache
def tracked() -> list[Path]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    names = run("git", "ls-files", "-z").stdout.split("\0")
    return [p for name in names if name and (p := ROOT / name).is_file() and not p.is_symlink()]


def locked() -> dict[str, Requirement]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonical(r.name): r for r in pins}


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# ---- one set of packages ---------------------------------------------------------------------------------------


def test_the_lock_pins_every_package_once_and_names_no_index():
    lines = [x for x in (ROOT / "requirements.lock").read_text().splitlines() if not x.startswith("#")]
    for line in lines:
        assert re.fullmatch(r"[\w.-]+==[\w.]+(; sys_platform == \"linux\")?", line), line
    assert len(locked()) == len(lines)


@pytest.mark.parametrize("extra", [None, *PROJECT["optional-dependencies"]])
def test_the_lock_satisfies_pyproject(extra):
    if extra == "cuda13":
        pytest.skip("the alternative to cuda12, which the lock holds: one of the two can be installed")
    asked = PROJECT["dependencies"] if extra is None else PROJECT["optional-dependencies"][extra]
    pins = locked()
    for requirement in map(Requirement, asked):
        assert canonical(requirement.name) in pins, f"{requirement} is not in requirements.lock"
        pin = next(iter(pins[canonical(requirement.name)].specifier)).version
        assert requirement.specifier.contains(pin), f"{requirement} excludes the locked {pin}"


def test_the_environment_is_the_locked_one():
    different = {
        name: (version(name), str(pin.specifier))
        for name, pin in locked().items()
        if (pin.marker is None or pin.marker.evaluate())
        and not pin.specifier.contains(Version(version(name)).public)
    }
    assert not different


def test_make_and_conda_install_from_the_lock():
    assert "--requirement requirements.lock" in (ROOT / "tools/make-venv").read_text()
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(d["pip"] for d in environment["dependencies"] if isinstance(d, dict))
    assert pip == ["-r requirements.lock", "-e ."]
    python = next(d for d in environment["dependencies"] if str(d).startswith("python="))
    assert Requirement(f"python{PROJECT['requires-python']}").specifier.contains(python.split("=")[1] + ".0")


def test_versions_agree():
    import pdegcnn_lib

    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == pdegcnn_lib.__version__ == str(citation["version"])
    assert citation["preferred-citation"]["doi"] == "10.1007/s10851-022-01114-x"


def test_the_library_needs_torch_and_numpy_only():
    modules = ["geometry", "kernels", "ops", "nn", "models"]
    heavy = ["cupy", "IPython", "matplotlib", "papermill", "plotly", "scipy", "sklearn"]
    code = f"import sys; {'; '.join(f'import pdegcnn_lib.{m}' for m in modules)}; "
    code += f"print([m for m in {heavy} if m in sys.modules])"
    result = run(sys.executable, "-c", code)
    assert result.stdout.strip() == "[]", result.stdout + result.stderr


def test_the_wheel_carries_the_kernel_sources_the_types_and_a_trained_network(tmp_path):
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*-py3-none-any.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    sources = {p.name for p in (ROOT / "kernels_cu").iterdir() if p.suffix in {".cu", ".cuh"}}
    assert sources
    assert {f"pdegcnn_lib/kernels_cu/{name}" for name in sources} | {"pdegcnn_lib/py.typed"} <= names
    for network in (segment.DEFAULT_MODEL.split("/")[1], *models.trained_names()):
        assert {f"pdegcnn_lib/trained/{network}{kind}" for kind in (".json", ".safetensors")} <= names


# ---- tracked files ---------------------------------------------------------------------------------------------

# Assembled here so that this file does not hold what it looks for.
FOREIGN = re.compile(
    "|".join(
        [
            r"(?<![\w.)}])/(?:" + "|".join(["root", "home", "Users", "work"]) + r")/\w",
            "/opt/" + "(?:wheels|pypi)",
            r"(?:pypi|pythonhosted|npmjs)" + r"\.(?:org|com)",
            r"deb\." + r"debian\.org",
        ]
    )
)


def test_no_machine_paths_or_registry_hosts():
    found = []
    for path in tracked():
        if path.suffix in {".png", ".npz", ".pt", ".safetensors"}:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if FOREIGN.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}")
    assert not found, "\n".join(found)


def test_no_large_files():
    large = {str(p.relative_to(ROOT)): p.stat().st_size for p in tracked() if p.stat().st_size > 1_000_000}
    assert not large


def test_modules_stay_short():
    suffixes = {".py", ".cu", ".cuh"}
    folders = [ROOT / "pdegcnn_lib", ROOT / "kernels_cu", ROOT / "tools"]
    modules = [p for f in folders for p in f.rglob("*") if p.suffix in suffixes]
    assert modules
    lines = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in modules}
    assert not {name: n for name, n in lines.items() if n > 350}


# ---- notebooks and book ----------------------------------------------------------------------------------------


def test_notebook_twins_agree_with_their_sources():
    assert SOURCES
    result = run(sys.executable, "tools/notebooks.py", "check", *map(str, SOURCES))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("source", SOURCES, ids=lambda p: p.stem)
def test_notebooks_survive_the_round_trip_and_take_the_profile_where_they_read_it(source):
    import jupytext

    twin = source.with_suffix(".ipynb")
    result = run(sys.executable, "-m", "jupytext", "--to", "md:myst", "--test", str(twin))
    assert result.returncode == 0, result.stdout + result.stderr
    cells = jupytext.read(source, fmt="md:myst").cells
    asked = ["parameters" in c.metadata.get("tags", []) for c in cells]
    code = "\n".join(c.source for c in cells if c.cell_type == "code" and c.source != 'profile = "fast"')
    assert sum(asked) == bool(re.search(r"\bprofile\b", code))
    lengths = [sum(map(bool, map(str.strip, c.source.splitlines()))) for c in cells if c.cell_type == "code"]
    assert min(lengths) > 0 and max(lengths) <= 20, lengths
    assert any("nbval-check-output" in c.metadata.get("tags", []) for c in cells), "no number is guarded"


def test_every_notebook_has_its_place_in_the_book():
    entries = re.findall(r"(?:file|glob): notebooks/(\S+)", (ROOT / "book/_toc.yml").read_text())
    places = [[p.stem for p in SOURCES if fnmatch(p.stem, entry)] for entry in entries]
    assert sorted(sum(places, [])) == [p.stem for p in SOURCES]
    assert all(places), "an entry of _toc.yml leads to no notebook"


WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def steps(workflow: Path) -> list[dict]:
    jobs = yaml.safe_load(workflow.read_text())["jobs"].values()
    assert all("runs-on" in job for job in jobs)
    return [step for job in jobs for step in job["steps"]]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda p: p.stem)
def test_workflows_use_pinned_actions_and_existing_scripts(workflow):
    for step in steps(workflow):
        assert ("run" in step) != ("uses" in step), step
        assert re.search(r"@v\d+$", step.get("uses", "@v0")), f"{step['uses']} has no version"
        for script in re.findall(r"bash (\S+)", step.get("run", "")):
            assert (ROOT / script).is_file(), script


def test_every_verb_that_a_workflow_calls_exists():
    texts = [step.get("run", "") for workflow in WORKFLOWS for step in steps(workflow)]
    texts += [(ROOT / ".ci/run").read_text(), (ROOT / "CONTRIBUTING.md").read_text()]
    called = {
        verb
        for text in texts
        for line in re.findall(r"^\s*make ([\w -]+)", text, re.MULTILINE)
        for verb in line.split("  ")[0].split()
    }
    phony = re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1].split()
    assert {"lint", "reproduce", "check-book", "test", "pdf"} <= called <= set(phony), called - set(phony)


def test_the_citation_names_the_repository_that_the_book_is_opened_from():
    home = PROJECT.get("urls", {}).get("Repository")
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text()).get("repository-code") == home


# ---- README and make -------------------------------------------------------------------------------------------


def test_the_code_in_the_readme_runs(capsys):
    [block] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    exec(compile(block, "README.md", "exec"), {})
    assert "torch.Size([2, 1, 64, 64])" in capsys.readouterr().out


def test_the_names_and_files_in_the_readme_exist():
    text = (ROOT / "README.md").read_text()
    for package, name in re.findall(r"`(nn|ops)\.(\w+)`", text):
        assert hasattr(importlib.import_module(f"pdegcnn_lib.{package}"), name), f"{package}.{name}"
    for path in re.findall(r"`((?:pdegcnn_lib|kernels_cu|notebooks|book|tests|tools)/[\w/.]*)`", text):
        assert (ROOT / path).exists() or (ROOT / f"{path}.md").exists(), path
    for path in re.findall(r"\]\(([\w./]+)\)", text):
        assert (ROOT / path).exists(), path


def test_make_lists_its_verbs():
    listed = re.findall(r"^  make ([\w-]+) ", run("make", "help").stdout, re.MULTILINE)
    asked = {
        "help",
        "setup",
        "test",
        "reproduce",
        "notebooks",
        "nbval",
        "book",
        "pdf",
        "serve",
        "lint",
        "clean",
    }
    assert asked | {"bench", "gpu"} <= set(listed)
    wrong = run("make", "help", "PROFILE=quick")
    assert wrong.returncode == 2
    assert "fast or full, got 'quick'" in wrong.stderr


def test_no_file_is_empty_but_the_mark_of_a_typed_package():
    """What a command left behind, say."""
    assert [p.name for p in tracked() if not p.stat().st_size] == ["py.typed"]
