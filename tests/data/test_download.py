"""Downloads are checked and complete or absent, archives stay inside their folder; the server runs on this machine."""

import dataclasses
import http.server
import io
import os
import threading
import zipfile
from urllib.parse import urlsplit

import pytest

from histolib.data.download import download, fetch
from histolib.data.sources import sources

BODY = bytes(range(256)) * 2000


@pytest.fixture
def server():
    """Serves `body`; `flaw` switches on an error of real servers."""
    state = {"body": BODY, "flaw": "", "requests": 0}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            state["requests"] += 1
            self.send_response(404 if state["flaw"] == "missing" else 200)
            self.send_header("Content-Length", str(len(state["body"])))
            self.end_headers()
            self.wfile.write(state["body"][: 100_000 if state["flaw"] == "truncated" else None])

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state["url"] = f"http://127.0.0.1:{running.server_port}/data.zip"
        yield state
        running.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sets" / "data.zip"


def test_every_source_has_an_address_a_licence_and_a_way_to_get_it(tmp_path):
    known = sources()
    assert list(known) == ["bci", "pannuke", "endonuke", "consep", "hovernet-pannuke"]
    for name, source in known.items():
        assert source.name == name
        assert all((source.what, source.licence, source.citation))
        assert all(urlsplit(url).scheme == "https" for url in (source.home, *source.urls))
        assert source.urls or source.manual_steps
        assert not any("{folder}" in step or "{archive}" in step for step in source.steps(tmp_path))
    assert "leaked" in known["hovernet-pannuke"].what
    assert str(tmp_path / "bci.zip") in " ".join(known["bci"].steps(tmp_path))
    assert "{0, 256, 512}" in " ".join(known["consep"].steps(tmp_path)), "other braces stay"
    assert known["endonuke"].steps(tmp_path) == []


@pytest.mark.parametrize("body", [BODY, b""])
def test_a_file_is_downloaded_once(server, path, body, capsys):
    server["body"] = body
    for _ in range(2):
        fetch(server["url"], path, progress=False)
    assert path.read_bytes() == body
    assert os.listdir(path.parent) == ["data.zip"]
    assert server["requests"] == 1
    assert capsys.readouterr() == ("", "")


def test_progress_goes_to_stderr_and_an_unreachable_server_is_one_clear_error(server, path, capsys):
    fetch(server["url"], path)
    out, err = capsys.readouterr()
    assert (out, "512k" in err) == ("", True)
    with pytest.raises(OSError, match=r"http://127\.0\.0\.1:1/x: expected a complete download, .*refused"):
        fetch("http://127.0.0.1:1/x", path.with_name("x"), progress=False)


@pytest.mark.parametrize(
    ("flaw", "error", "message"),
    [
        ("missing", OSError, "expected a complete download, found an error .*404"),
        ("truncated", OSError, r"expected a complete download, found an error .*100000 bytes read"),
        ("page", ValueError, "expected a file, found a web page"),
    ],
)
def test_server_errors_are_one_clear_line_and_leave_no_file(server, path, flaw, error, message):
    server["flaw"] = flaw
    if flaw == "page":
        server["body"] = b"<!DOCTYPE HTML>\n<HTML><form>who are you?</form></HTML>"
    with pytest.raises(error, match=message) as raised:
        fetch(server["url"], path, progress=False)
    assert str(raised.value).startswith(server["url"])
    assert "\n" not in str(raised.value)
    assert not list(path.parent.iterdir())
    server |= {"flaw": "", "body": BODY}
    fetch(server["url"], path, progress=False)
    assert path.read_bytes() == BODY


def zip_of(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_archives_are_unpacked_once_zips_kept_and_manual_steps_listed(server, tmp_path):
    server["body"] = zip_of({"dataset/images/1.png": b"1", "dataset/labels/": b""})
    archive = dataclasses.replace(sources()["endonuke"], urls=[server["url"]])
    zips = dataclasses.replace(sources()["pannuke"], urls=[server["url"], server["url"].replace("data", "more")])
    for _ in range(2):
        assert download(archive, tmp_path, progress=False) == tmp_path / "endonuke"
        assert sorted(os.listdir(download(zips, tmp_path, progress=False))) == ["data.zip", "more.zip"]
    assert (tmp_path / "endonuke/dataset/images/1.png").read_bytes() == b"1"
    assert (tmp_path / "endonuke/dataset/labels").is_dir()
    assert server["requests"] == 3
    source = sources()["bci"]
    with pytest.raises(ValueError, match=r"bci: .*\(1\) open https://drive\.google.*\(2\) .*/bci\.zip; \(3\)"):
        download(source, tmp_path)
    source.archive(tmp_path).write_bytes(zip_of({"a/b.txt": b"hello"}))
    source.folder(tmp_path).mkdir()
    assert (download(source, tmp_path) / "a/b.txt").read_bytes() == b"hello"
    (tmp_path / "bci/a/b.txt").write_bytes(b"mine")
    assert (download(source, tmp_path) / "a/b.txt").read_bytes() == b"mine", "files are never overwritten"


LINK = zipfile.ZipInfo("evil")
LINK.create_system, LINK.external_attr = 3, 0o120777 << 16


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "a\\..\\evil", "C:evil", LINK])
def test_a_member_of_a_zip_outside_the_folder_is_refused_and_leaves_nothing(tmp_path, name):
    home = tmp_path / "home"
    home.mkdir()
    (home / "bci.zip").write_bytes(zip_of({"good": b"1", name: b"/etc"}))
    with pytest.raises(ValueError, match=r"bci\.zip: expected files inside the folder, found '.*evil'"):
        download(sources()["bci"], home)
    assert (os.listdir(home), os.listdir(tmp_path)) == (["bci.zip"], ["home"])


def test_damaged_archives_are_errors_of_one_line_and_leave_nothing(tmp_path):
    whole = zip_of({"a": os.urandom(5000), "b": b"2"})
    broken = bytearray(whole)
    broken[2000:2010] = bytes(10)
    for content in (whole[:3000], broken, b"", b"no archive" * 100):
        (tmp_path / "bci.zip").write_bytes(content)
        with pytest.raises(ValueError, match=r"bci\.zip: expected a zip, found another or a damaged file") as error:
            download(sources()["bci"], tmp_path)
        assert "\n" not in str(error.value)
        assert os.listdir(tmp_path) == ["bci.zip"]
