"""The command `cifar-resnet`, the scripts that do the same in the project's folder, and the commands in messages."""

import importlib
import os
import re
import runpy
import subprocess
import sys
from importlib import metadata
from types import SimpleNamespace

import pytest

import cifar_resnet
from cifar_resnet import __main__ as console
from cifar_resnet import programs
from cifar_resnet.programs import PROGRAMS
from cifar_resnet.run.defaults import REPO_ROOT
from tests.conftest import called


@pytest.fixture
def type_command(monkeypatch):
    """Runs `cifar-resnet` with these arguments in this process."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["/somewhere/bin/cifar-resnet", *arguments])
        return called(lambda: sys.exit(console.main()))

    return run


@pytest.mark.parametrize("program", ["train.py", "aggregate.py", "cifar_resnet/__main__.py"])
def test_the_version_is_the_projects_and_torchs(program, monkeypatch):
    monkeypatch.setattr(sys, "argv", [program, "--version"])
    done = called(lambda: runpy.run_path(str(REPO_ROOT / program), run_name="__main__"))
    torch = metadata.version("torch")
    assert done.returncode == 0
    assert done.stdout.startswith(f"cifar-resnet {cifar_resnet.__version__} (PyTorch {torch}, Python 3.")
    assert done.stdout.count("\n") == 1


@pytest.mark.parametrize("script", ["train.py", "aggregate.py"])
@pytest.mark.parametrize(("missing", "code"), [("hydra", 2), ("cifar_resnet.gone", None)])
def test_a_python_without_the_dependencies_is_one_line_and_our_own_missing_module_a_bug(
    monkeypatch, script, missing, code
):
    def load(name):
        raise ModuleNotFoundError(f"No module named '{missing}'", name=missing)

    monkeypatch.setattr(sys, "argv", [script])
    monkeypatch.setattr(console.importlib, "import_module", load)
    run = lambda: runpy.run_path(str(REPO_ROOT / script), run_name="__main__")  # noqa: E731
    if code is None:
        with pytest.raises(ModuleNotFoundError):
            called(run)
        return
    done = called(run)
    assert done.returncode == code
    assert done.stderr.endswith("has no module hydra: `. .venv/bin/activate`, or `make setup` if there is no .venv\n")


def test_the_version_can_be_asked_for_without_torch(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(programs.metadata, "version", missing)
    assert "PyTorch not installed" in programs.version()


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_the_command_answers_before_anything_large_is_imported(option):
    code = (
        "import sys; from cifar_resnet.__main__ import main; main(); "
        "print(sorted({'torch', 'numpy', 'hydra', 'pandas', 'rich'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPO_ROOT)}
    done = subprocess.run([sys.executable, "-c", code, option], env=environment, capture_output=True, text=True)
    assert done.stdout.endswith("\n[]\n"), done.stdout + done.stderr


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]], ids=["alone", "--help", "-h"])
def test_the_help_lists_the_programs(type_command, arguments):
    done = type_command(*arguments)
    assert done.returncode == 0
    for name, program in PROGRAMS.items():
        assert re.search(rf"^  {name} +{re.escape(program.summary)}$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("word", ["trian", "", "--verbose", "train.py"])
def test_an_unknown_program_is_refused_in_one_line(type_command, word):
    done = type_command(word, "depth=20")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: cifar-resnet {word}: expected one of {', '.join(PROGRAMS)}\n"


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("code", [0, 1, 2, 3])
def test_a_program_gets_its_arguments_and_its_exit_code_is_returned(type_command, monkeypatch, name, code):
    started = []

    def start(module):
        return SimpleNamespace(main=lambda: started.append((module, sys.argv[1:])) or code)

    monkeypatch.setattr(console.importlib, "import_module", start)
    assert type_command(name, "-m", "a b=c,d", "--help", "").returncode == code
    assert started == [(PROGRAMS[name].module, ["-m", "a b=c,d", "--help", ""])]


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_program_has_a_script_and_a_module(name):
    program = PROGRAMS[name]
    python, *script = program.script.split()
    assert python == "python"
    if script[0] == "-m":
        assert importlib.util.find_spec(script[1])
    else:
        assert (REPO_ROOT / script[0]).is_file()
    assert callable(importlib.import_module(program.module).main)


def test_hydras_completion_reaches_train(type_command, monkeypatch):
    monkeypatch.setenv("COMP_LINE", "cifar-resnet train model=pl")
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")  # restored after the test; the program sets it
    done = type_command("-sc", "query=bash")
    assert (done.returncode, done.stdout.split()) == (0, ["model=plain"])
    monkeypatch.setenv("COMP_LINE", "cifar-resnet status outp")
    assert type_command("-sc", "query=bash").stdout == ""


@pytest.mark.parametrize(
    ("started_as", "installed", "expected"),
    [
        ("train.py", False, "python train.py"),
        ("/home/me/.venv/bin/cifar-resnet", False, "cifar-resnet train"),
        ("", True, "cifar-resnet train"),
        ("/site-packages/cifar_resnet/status/__main__.py", True, "cifar-resnet train"),
    ],
)
def test_messages_name_the_command_that_the_user_can_type(monkeypatch, started_as, installed, expected):
    monkeypatch.setattr(sys, "argv", [started_as])
    monkeypatch.setattr(programs, "IS_INSTALLED", installed)
    assert programs.command("train") == expected
    assert programs.install("fast") == ("pip install 'cifar-resnet[fast]'" if installed else "pip install -e '.[fast]'")


def test_only_one_module_knows_the_commands():
    fixed = re.compile(r"python (?:train|aggregate)\.py|pip install -e")
    sources = [path for path in (REPO_ROOT / "cifar_resnet").rglob("*") if path.suffix in (".py", ".j2", ".js")]
    found = {path.name for path in sources if fixed.search(path.read_text(encoding="utf-8"))}
    assert found == {"programs.py"}


def test_trains_help_lists_every_sweep_and_launcher(train_py):
    words = train_py("--help").stdout.replace(",", " ").split()
    for folder in ("sweeps", "conf/hydra/launcher"):
        names = {path.stem for path in (REPO_ROOT / folder).glob("*.yaml")}
        assert names and names <= set(words)
