"""One folder for the sweeps of several users: what belongs to another user is replaced, or named in one line."""

import errno
import os

import pytest

from cifar_resnet.sweep.checks import make_way
from cifar_resnet.sweep.messages import user_errors


def test_another_users_record_of_a_sweep_makes_way_and_ones_own_stays(tmp_path):
    file = tmp_path / "multirun.yaml"
    for user, stays in ((os.getuid(), True), (os.getuid() + 1, False)):
        file.write_text("hydra: {}\n")
        try:
            os.chown(file, user, -1)
        except PermissionError:
            pytest.skip("only root can give a file to another user")
        make_way(str(tmp_path))
        assert file.exists() == stays


@pytest.mark.parametrize(("number", "code"), [(errno.EACCES, 2), (errno.EROFS, 2), (errno.ENOSPC, 2), (errno.EIO, 1)])
def test_a_file_that_cannot_be_written_is_one_line_and_any_other_fault_a_traceback(capsys, number, code):
    with pytest.raises(SystemExit) as end, user_errors():
        raise OSError(number, os.strerror(number), "outputs/multirun.yaml")
    errors = capsys.readouterr().err
    assert end.value.code == code
    assert ("Traceback" in errors) == (code == 1)
    if code == 2:
        assert errors.startswith(f"error: outputs/multirun.yaml can't be used ({os.strerror(number)})")
        assert errors.count("\n") == 1
