"""Output that can't fail: whatever happens to the terminal, a program does and returns the same."""

import importlib
import subprocess
import sys

import pytest

from cifar_resnet.run.defaults import REPO_ROOT

PRINTS = "from cifar_resnet.terminal import never_fail; never_fail(); import sys; "


def run(code: str, redirection: str = "", encoding: str = "utf-8") -> subprocess.CompletedProcess[bytes]:
    """Runs Python code under a shell, which redirects its output."""
    command = f'"$0" -c "$1" {redirection}'
    environment = {"PYTHONIOENCODING": encoding, "PYTHONPATH": str(REPO_ROOT)}
    return subprocess.run(["sh", "-c", command, sys.executable, PRINTS + code], env=environment, capture_output=True)


@pytest.mark.parametrize("redirection", [">/dev/full", "2>/dev/full", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_output_that_cannot_be_written_is_dropped(redirection):
    printing = "[print('x' * 10000, file=file, flush=True) for file in (sys.stdout, sys.stderr)]"
    done = run(f"{printing}; sys.exit(7)", redirection)
    assert done.returncode == 7
    assert {done.stdout.strip(b"\nx"), done.stderr.strip(b"\nx")} == {b""}


def test_a_closed_pipe_ends_nothing():
    command = '{ "$0" -c "$1"; echo $? >&2; } | head -n 1'
    code = f"{PRINTS}print('first', flush=True); [print('x' * 10000, flush=True) for _ in range(50)]"
    done = subprocess.run(
        ["sh", "-c", command, sys.executable, code], cwd=REPO_ROOT, env={"PYTHONPATH": "."}, capture_output=True
    )
    assert (done.stdout, done.stderr) == (b"first\n", b"0\n")


def test_no_file_and_no_child_process_takes_the_place_of_a_closed_stream():
    code = "import os, subprocess; assert os.open('/dev/zero', os.O_RDONLY) > 2; "
    code += "sys.exit(subprocess.call(['sh', '-c', 'echo text && echo text >&2 && cat']))"
    assert run(code, "<&- >&- 2>&-").returncode == 0


def test_output_in_ascii_has_plain_characters():
    done = run("print('8.2 ± 0.1 – größe 日'); print('±', file=sys.stderr)", encoding="ascii")
    assert done.stdout == rb"8.2 +/- 0.1 - gr\xf6\xdfe \u65e5" + b"\n"
    assert done.stderr == b"+/-\n"


def test_streams_that_were_replaced_stay_as_they_are(capsys):
    from cifar_resnet.terminal import never_fail

    before = sys.stdout, sys.stderr
    never_fail()
    assert (sys.stdout, sys.stderr) == before


class Called(Exception):
    pass


# These answer the process that started them, which has to know if they can't.
ANSWERS = {"training.measure", "training.kernel_choice"}
PACKAGE = REPO_ROOT / "cifar_resnet"
MODULES = {".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}
PROGRAMS = sorted(name for name, path in MODULES.items() if 'if __name__ == "__main__"' in path.read_text("utf-8"))


@pytest.mark.parametrize(
    "program", ["sweep.command", "report.command", *(name for name in PROGRAMS if name not in ANSWERS)]
)
def test_every_program_begins_with_it(monkeypatch, program):
    module = importlib.import_module(f"cifar_resnet.{program}")

    def call():
        raise Called

    monkeypatch.setattr(module, "never_fail", call)
    monkeypatch.setattr(sys, "argv", [program, "--help"])
    with pytest.raises(Called):
        module.main()
