"""`aggregate.py --watch` builds the report again when runs progress, and leaves an ordinary page behind."""

import re

import pytest

from cifar_resnet.errors import RunError
from cifar_resnet.report import command, watch


class Report:
    """Pretends to build reports: writes a page with each stamp, or raises what it was told to."""

    def __init__(self, folder):
        self.folder, self.stamps, self.fault = folder, [], None
        folder.mkdir()

    def __call__(self, stamp):
        if self.fault:
            raise self.fault
        self.stamps.append(stamp)
        (self.folder / watch.PAGE).write_text(f'<body data-stamp="{stamp}">')
        return [self.folder]


def pauses(*happenings):
    """A pause for each of what happens meanwhile; then Ctrl-C."""
    left = list(happenings)

    def pause(seconds):
        assert seconds >= watch.SECONDS
        if not left:
            raise KeyboardInterrupt
        left.pop(0)()

    return pause


def test_the_report_is_built_again_only_after_progress(make_run, tmp_path):
    run, report = make_run("a", [60.0, 6.0], state="running"), Report(tmp_path / "report")

    def one_more_epoch():
        run.metrics.write_text(run.metrics.read_text() + "3,3,0.1,1,5,1,5,1,1,100\n")
        assert (tmp_path / "report" / watch.STAMP).read_text() == f'reportStamp("{report.stamps[-1]}");\n'

    def finish():
        run.update_status(state="failed")

    watch.watch([tmp_path / "runs"], report, pauses(lambda: None, one_more_epoch, lambda: None, finish, lambda: None))
    assert len(report.stamps) == len(set(report.stamps)) == 3


def test_afterwards_the_page_watches_nothing(make_run, tmp_path):
    make_run("a", [6.0])
    report = Report(tmp_path / "report")
    watch.watch([tmp_path / "runs"], report, pauses())
    assert (tmp_path / "report" / watch.PAGE).read_text() == "<body>"
    assert not (tmp_path / "report" / watch.STAMP).exists()


def test_an_error_in_a_later_report_is_printed_and_one_in_the_first_raised(make_run, tmp_path, capsys):
    run, report = make_run("a", [6.0]), Report(tmp_path / "report")

    def spoil():
        report.fault = RunError("no run could be read")
        run.update_status(state="running")

    def mend():
        report.fault = None
        run.update_status(state="failed")

    watch.watch([tmp_path / "runs"], report, pauses(spoil, mend))
    assert capsys.readouterr().err == "the report was not built again: no run could be read\n"
    assert len(report.stamps) == 2
    report.fault = RunError("no run could be read")
    with pytest.raises(RunError):
        watch.watch([tmp_path / "runs"], report, pauses())


def test_building_takes_a_fifth_of_the_time_at_most(make_run, tmp_path):
    make_run("a", [6.0])
    times, waited = iter([0.0, 100.0]), []

    def pause(seconds):
        waited.append(seconds)
        raise KeyboardInterrupt

    watch.watch([tmp_path / "runs"], Report(tmp_path / "report"), pause, lambda: next(times))
    assert waited == [400.0]


def test_the_command_writes_a_page_that_follows(make_run, tmp_path, monkeypatch):
    make_run("a", [60.0, 6.0])
    seen = []

    def pause(seconds):
        seen.append((tmp_path / "r/report.html").read_text())
        raise KeyboardInterrupt

    monkeypatch.setattr(watch.watch, "__defaults__", (pause, watch.time.monotonic))
    arguments = [str(tmp_path / "runs"), "--out", str(tmp_path / "r"), "--format", "html", "--watch"]
    assert command.main(arguments) == 0
    assert re.search(r'<body data-stamp="\w{16}">', seen[0])
    assert "<body>" in (tmp_path / "r/report.html").read_text()
