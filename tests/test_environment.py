"""The reader's environment: where a checkout lies, how texts are encoded and end, what shows in the book."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
TEXTS = sorted(
    p for folder in ("pdegcnn_lib", "tools", "book/_ext", "examples") for p in (ROOT / folder).rglob("*.py")
)

NOTEBOOK = """\
---
kernelspec: {display_name: Python 3, language: python, name: python3}
---

```{code-cell} ipython3
:tags: [parameters]

profile = "fast"
```

```{code-cell} ipython3
import matplotlib.pyplot as plt

plt.plot([0, 1])
print("line width", plt.rcParams["lines.linewidth"])
```
"""


def run(*command: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    given = {**os.environ, **environment}
    return subprocess.run(
        command, cwd=cwd, env=given, capture_output=True, encoding="utf-8", errors="replace"
    )


def unnamed(path: Path) -> list[int]:
    """The lines on which a text is read or written in whatever encoding the locale has."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            keywords = {keyword.arg for keyword in node.keywords}
            name = getattr(node.func, "attr", None)
            text = name in ("read_text", "write_text") or bool(keywords & {"text", "universal_newlines"})
            found += [node.lineno] if text and "encoding" not in keywords else []
    return found


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_text_names_its_encoding(path):
    assert not unnamed(path)


def test_the_scripts_run_in_a_locale_that_is_not_utf8(tmp_path):
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    what = ["setup", "notebooks", "book"]
    done = run(sys.executable, "tools/fingerprint.py", *what, "--out", str(tmp_path), **plain)
    assert done.returncode == 0, done.stderr


def test_scripts_keep_their_line_ends():
    scripts = [p for p in (ROOT / "tools").iterdir() if p.is_file()] + [ROOT / "Makefile", ROOT / ".ci/run"]
    done = run("git", "check-attr", "eol", *(str(p.relative_to(ROOT)) for p in scripts))
    if done.returncode:
        pytest.skip("not a git checkout")
    assert len(done.stdout.splitlines()) == len(scripts)
    assert all(line.endswith("eol: lf") for line in done.stdout.splitlines())


def test_what_readers_set_for_themselves_does_not_show_in_a_notebook(tmp_path):
    (tmp_path / "one.md").write_text(NOTEBOOK, encoding="utf-8")
    startup = tmp_path / "profile/profile_default/startup"
    startup.mkdir(parents=True)
    (startup / "mine.py").write_text("print('my profile')\n", encoding="utf-8")
    (tmp_path / "style").mkdir()
    (tmp_path / "style/matplotlibrc").write_text("lines.linewidth: 9\n", encoding="utf-8")
    (tmp_path / "modules").mkdir()
    mine = "import os\nos.environ['MPLBACKEND'] = 'Agg'\n"
    (tmp_path / "modules/sitecustomize.py").write_text(mine, encoding="utf-8")
    kernel = tmp_path / "jupyter/kernels/python3/kernel.json"
    kernel.parent.mkdir(parents=True)
    kernel.write_text('{"argv": ["false"], "display_name": "mine", "language": "python"}', encoding="utf-8")
    tool = str(ROOT / "tools/notebooks.py")
    done = run(
        *[sys.executable, tool, "run", "one.md", "--out", "executed.ipynb"],
        cwd=tmp_path,
        MPLBACKEND="Agg",
        IPYTHONDIR=str(tmp_path / "profile"),
        MATPLOTLIBRC=str(tmp_path / "style"),
        PYTHONWARNINGS="error",
        PYTHONPATH=str(tmp_path / "modules"),
        JUPYTER_PATH=str(tmp_path / "jupyter"),
        HOME=str(tmp_path / "one.md" / "no folder"),
    )
    assert done.returncode == 0, done.stderr
    outputs = nbformat.read(tmp_path / "executed.ipynb", as_version=4).cells[-2].outputs
    assert any("image/png" in o.get("data", {}) for o in outputs), "MPLBACKEND keeps the figure away"
    [printed] = [o.text for o in outputs if o.output_type == "stream"]
    assert printed == "line width 1.5\n"


@pytest.fixture
def checkout(tmp_path) -> Path:
    """The Makefile and its scripts, with an environment that pretends to be installed into."""
    place = tmp_path / "a reader's checkout"
    (place / "notebooks").mkdir(parents=True)
    shutil.copytree(ROOT / "tools", place / "tools")
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, place / name)
    script = place / "tools/make-venv"
    text = script.read_text(encoding="utf-8")
    pip = [line for line in text.splitlines() if "-m pip install" in line]
    assert len(pip) == 2
    for line in pip:
        text = text.replace(
            line, 'printf "#!%s/bin/python\\n" "$(pwd -P)/$venv" >"$venv/bin/pytest"; echo made >>log'
        )
    script.write_text(text, encoding="utf-8")
    return place


def make(place: Path, *arguments: str) -> str:
    """With a shell of the reader's that would end every recipe, and a home of Python that is none."""
    (place / "mine.sh").write_text("exit 3\n", encoding="utf-8")
    own = {"BASH_ENV": str(place / "mine.sh"), "PYTHONHOME": str(place), "CDPATH": "/"}
    done = run("make", "setup", f"PYTHON={sys.executable}", *arguments, cwd=place, **own)
    assert done.returncode == 0 and done.stderr == "", done.stdout + done.stderr
    return done.stdout


def test_an_environment_is_made_once_and_again_where_the_checkout_was_copied(checkout):
    assert "environment" in make(checkout)
    assert make(checkout) == ""
    copy = checkout.with_name("copy")
    shutil.copytree(checkout, copy, symlinks=True)
    assert "environment" in make(copy)
    assert str(copy) in (copy / ".venv/bin/pip").read_text(encoding="utf-8"), "not that of the original"
    assert make(copy) == "" and make(checkout) == ""


def test_half_an_environment_is_made_whole(checkout):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(checkout / ".venv")], check=True)
    make(checkout)
    assert (checkout / ".venv/bin/pip").is_file()


@pytest.mark.parametrize("name", ["", "no-such-python", "false"])
def test_a_python_that_is_none_is_quoted(name):
    done = run("make", "setup", f"PYTHON={name}")
    assert done.returncode == 2 and f"PYTHON must name a Python 3.11 or later, got '{name}'" in done.stderr


def test_tests_import_the_library_beside_them():
    import pdegcnn_lib

    assert Path(pdegcnn_lib.__file__).resolve().parents[1] == ROOT
