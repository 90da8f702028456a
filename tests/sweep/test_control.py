"""What the processes of a sweep tell each other: who is main, when to stop, what was left."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from cifar_resnet.run.folder import RunDir
from cifar_resnet.sweep.control import LEAVING, STOPPING, Control


@pytest.fixture(params=[False, True], ids=["lines", "live"])
def control(request):
    begun = Control.begin(9, live=request.param)
    yield begun
    begun.end()


@pytest.fixture
def handlers():
    """Restores what this process does on Ctrl-C and SIGTERM."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_process_that_a_sweep_starts_knows_the_sweep(control):
    assert Control.current() == control
    assert (control.main, control.size, control.on_stop) == (os.getpid(), 9, STOPPING)


def test_what_the_user_is_told_on_ctrl_c_reaches_every_process():
    control = Control.begin(9, live=False, on_stop=LEAVING)
    assert Control.current().on_stop == LEAVING
    control.end()


def test_a_sweep_that_has_ended_leaves_nothing(control):
    control.end()
    assert Control.current() is None
    assert not control.folder.exists()
    control.stop()  # a signal that comes late
    assert not control.folder.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_the_sweep_and_a_second_one_at_once(control, handlers, capfd, number):
    control.listen()
    assert (control.stops(), control.stops_now()) == (False, False)
    os.kill(os.getpid(), number)
    assert (control.stops(), control.stops_now()) == (True, False)
    # A live table says so itself, and would be torn by a line in between.
    assert capfd.readouterr().err == ("" if control.live else f"\n{STOPPING}\n")
    os.kill(os.getpid(), number)
    assert (control.stops(), control.stops_now()) == (True, True)
    assert capfd.readouterr().err == ""


def test_notes_are_read_in_the_order_in_which_they_were_written(control, tmp_path):
    assert list(control.notes()) == []
    one, other = RunDir(tmp_path / "größe"), RunDir(tmp_path / "b")
    control.note(one, reason="disk full")
    control.note(other, busy={"depth": 20})
    assert list(control.notes()) == [(one, {"reason": "disk full"}), (other, {"busy": {"depth": 20}})]


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
