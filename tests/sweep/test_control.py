"""How the processes of a sweep communicate: which one is main, when to stop, and what was left undone."""

import os
import signal
import subprocess
import sys
from multiprocessing import resource_tracker

import psutil
import pytest
from joblib.externals.loky.backend import resource_tracker as loky_tracker

from cifar_resnet.run.folder import RunDir
from cifar_resnet.sweep.control import LEAVING, STOPPING, Control, SingleRun
from tests.conftest import wait_for


@pytest.fixture(params=[False, True], ids=["lines", "live"])
def control(request):
    begun = Control.begin(9, live=request.param)
    yield begun
    begun.end()


@pytest.fixture
def handlers():
    """Restores the handlers of Ctrl-C and SIGTERM."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_process_of_a_sweep_knows_the_sweep(control):
    assert Control.current() == control
    assert (control.main, control.size, control.on_stop) == (os.getpid(), 9, STOPPING)


def test_every_process_knows_the_message_for_ctrl_c():
    control = Control.begin(9, live=False, on_stop=LEAVING)
    assert Control.current().on_stop == LEAVING
    control.end()


def test_a_sweep_that_has_ended_leaves_nothing(control):
    control.end()
    assert Control.current() == SingleRun()
    assert not control.folder.exists()
    control.stop()  # as on a signal that arrives late
    assert not control.folder.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_no_signal_kills_a_process_that_has_not_joined_the_sweep_yet(control, handlers, number):
    control.listen()
    resource_tracker.ensure_running()  # as joblib does
    loky_tracker.ensure_running()
    code = f"import os; os.kill(os.getpid(), {number:d})"
    assert subprocess.run([sys.executable, "-S", "-c", code]).returncode == 0
    control.end()
    assert subprocess.run([sys.executable, "-S", "-c", code], stderr=subprocess.DEVNULL).returncode != 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_the_sweep_and_a_second_one_stops_it_at_once(control, handlers, capfd, number):
    control.listen()
    assert (control.is_stopping(), control.is_stopping_now()) == (False, False)
    os.kill(os.getpid(), number)
    wait_for(control.is_stopping)
    assert not control.is_stopping_now()
    assert control.why_stopping() == {signal.SIGINT: "stopped by Ctrl-C", signal.SIGTERM: "stopped by SIGTERM"}[number]
    # A live table shows the message itself, and a line in between would break it.
    assert capfd.readouterr().err == ("" if control.live else f"\n{STOPPING}\n")
    os.kill(os.getpid(), number)
    wait_for(control.is_stopping_now)
    assert capfd.readouterr().err == ""


def test_notes_are_read_in_the_order_in_which_they_were_written(control, tmp_path):
    assert control.notes("depth") == {}
    one, other = RunDir(tmp_path / "größe"), RunDir(tmp_path / "b")
    control.note(one, depth=20)
    control.note(other, depth=56)
    control.note(other, reason="disk full")
    control.note(one, depth=20)  # a search may choose a run twice
    assert list(control.notes("depth").items()) == [(one, 20), (other, 56)]
    assert control.notes("reason") == {other: "disk full"}


def test_a_note_that_is_still_being_written_is_not_read(control, tmp_path):
    control.note(RunDir(tmp_path), depth=20)
    with (control.folder / "notes").open("a") as file:
        file.write('{"run": "half')
    assert control.notes("depth") == {RunDir(tmp_path): 20}


def test_the_main_process_is_alive_until_it_ends_even_as_a_zombie(control):
    assert control.main_is_alive()
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    other = Control(control.folder, child.pid, control.size, control.live)
    assert other.main_is_alive()
    child.stdin.close()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE
    assert not other.main_is_alive()
    child.wait()
    assert not other.main_is_alive()
