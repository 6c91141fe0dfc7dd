"""Files that are whole or not there."""

import os
import threading

import pytest

from tests.builders import Killed
from tests.damage import full_disk
from wrlso.storage.files import write_atomically, write_new, write_text


def test_a_kill_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    write_atomically(tmp_path / "file", b"old")
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(Killed))
    with pytest.raises(Killed):
        write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
    # Others may read it as they may read any other file.
    (tmp_path / "usual").touch()
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_any_name_that_a_file_may_have_is_written(tmp_path):
    for name in ("x" * 255, "\N{SNOWMAN}" * 85, os.fsdecode(b"\xff" * 255)):
        write_atomically(tmp_path / name, b"new")
        assert (tmp_path / name).read_bytes() == b"new"
    assert len(list(tmp_path.iterdir())) == 3


def test_links_stay_links_and_pipes_stay_pipes(tmp_path):
    (tmp_path / "file").write_bytes(b"old")
    (tmp_path / "link").symlink_to("file")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "file").read_bytes() == b"new"
    os.mkfifo(tmp_path / "pipe")
    found = []
    reader = threading.Thread(target=lambda: found.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_atomically(tmp_path / "pipe", b"through")
    reader.join(10)
    assert found == [b"through"]
    assert (tmp_path / "pipe").is_fifo()


def test_a_full_disk_names_the_file_and_leaves_the_old_one(tmp_path):
    write_atomically(tmp_path / "file", b"old")
    with full_disk(1000), pytest.raises(OSError, match=r"it cannot be written \(.*file'$"):
        write_atomically(tmp_path / "file", bytes(5000))
    assert (tmp_path / "file").read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1
    for write in (write_atomically, write_new):
        for name in ("below", "below/further"):
            with pytest.raises(NotADirectoryError, match=r"is a file, not a folder.*file/below"):
                write(tmp_path / "file" / name, b"")


def test_text_that_no_file_holds_is_escaped(tmp_path):
    write_text(tmp_path / "file", "a\udcffb \N{SNOWMAN}")
    assert (tmp_path / "file").read_text(encoding="utf-8") == "a\\udcffb \N{SNOWMAN}"
