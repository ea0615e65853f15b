"""Downloads resume and are checked, archives stay inside their folder: against a server on this machine."""

import dataclasses
import functools
import hashlib
import http.server
import io
import os
import tarfile
import threading
import zipfile
from pathlib import Path

import pytest

from histolib.data import download, sources, unpack
from histolib.data.download import fetch

BODY = bytes(range(256)) * 2000


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `body`; `flaws` switches on what real servers do wrong."""

    def __init__(self, *args, state, **kwargs):
        self.state = state
        super().__init__(*args, **kwargs)

    def do_GET(self):
        body, flaws = self.state["body"], self.state["flaws"]
        asked = self.headers.get("Range")
        self.state["ranges"].append(asked)
        if "missing" in flaws:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked and "no ranges" not in flaws else 0
        if start and start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        if start:
            first = start + ("wrong range" in flaws)
            self.send_header("Content-Range", f"bytes {first}-{len(body) - 1}/{len(body)}")
        if "no length" not in flaws:
            self.send_header("Content-Length", str(len(body) - start))
        self.send_header("Content-Type", "text/html" if "page" in flaws else "application/zip")
        self.end_headers()
        self.wfile.write(body[start : start + 100_000] if "truncated" in flaws else body[start:])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    state = {"body": BODY, "flaws": set(), "ranges": []}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Server, state=state)) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state["url"] = f"http://127.0.0.1:{running.server_port}/data.zip"
        yield state
        running.shutdown()
        thread.join()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sets" / "data.zip"


def part(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_bytes(content)
    return unfinished


def test_a_file_arrives_whole_and_is_not_fetched_twice(server, path):
    good = f"sha256:{hashlib.sha256(BODY).hexdigest()}"
    for _ in range(2):
        assert fetch(server["url"], path, len(BODY), good, progress=False) == path
    assert path.read_bytes() == BODY
    assert os.listdir(path.parent) == ["data.zip"]
    assert server["ranges"] == [None]


def test_an_empty_file_arrives(server, path):
    server["body"] = b""
    assert fetch(server["url"], path, progress=False).read_bytes() == b""


def test_a_transfer_goes_on_where_it_stopped(server, path):
    part(path, BODY[:1000])
    fetch(server["url"], path, checksum=f"md5:{hashlib.md5(BODY).hexdigest()}", progress=False)
    assert path.read_bytes() == BODY
    assert server["ranges"] == ["bytes=1000-"]


def test_a_transfer_that_had_all_the_bytes_is_finished(server, path):
    part(path, BODY)
    assert fetch(server["url"], path, progress=False).read_bytes() == BODY


def test_a_server_without_ranges_sends_everything_again(server, path):
    server["flaws"].add("no ranges")
    part(path, b"x" * 1000)
    assert fetch(server["url"], path, progress=False).read_bytes() == BODY


def test_a_server_that_tells_no_length_is_believed(server, path):
    server["flaws"].add("no length")
    assert fetch(server["url"], path, progress=False).read_bytes() == BODY


def test_a_truncated_transfer_is_an_error_and_goes_on_the_next_time(server, path):
    server["flaws"].add("truncated")
    with pytest.raises(OSError, match=rf"expected {len(BODY)} bytes, found 100000; run again to go on from .*\.part"):
        fetch(server["url"], path, progress=False)
    assert not path.exists()
    server["flaws"].clear()
    assert fetch(server["url"], path, progress=False).read_bytes() == BODY
    assert server["ranges"] == [None, "bytes=100000-"]


def test_a_wrong_checksum_is_an_error_and_the_file_is_kept_apart(server, path):
    with pytest.raises(ValueError, match=r"data\.zip\.part: expected sha256:00 of http.*, found [0-9a-f]{64}; delete"):
        fetch(server["url"], path, checksum="sha256:00", progress=False)
    assert os.listdir(path.parent) == ["data.zip.part"]


def test_a_wrong_size_is_an_error_also_of_a_file_that_is_there(server, path):
    with pytest.raises(ValueError, match=rf"\.part: expected 7 bytes of http.*, found {len(BODY)}"):
        fetch(server["url"], path, size=7, progress=False)
    path.write_bytes(b"six by")
    with pytest.raises(ValueError, match=r"data\.zip: expected 7 bytes of http.*, found 6; delete it"):
        fetch(server["url"], path, size=7, progress=False)


def test_more_bytes_than_the_server_has_are_an_error(server, path):
    part(path, BODY + b"tail")
    with pytest.raises(ValueError, match=rf"expected {len(BODY)} bytes of http.*, found {len(BODY) + 4}; delete it"):
        fetch(server["url"], path, progress=False)


@pytest.mark.parametrize(
    ("flaw", "error", "message"),
    [
        ("missing", OSError, "expected the file, the server answered 404 Not Found"),
        ("page", ValueError, "expected a file, found a web page"),
        ("wrong range", OSError, r"the transfer failed \(expected bytes from 10, found bytes 11-"),
    ],
)
def test_what_servers_do_wrong_is_one_clear_error_and_keeps_the_part(server, path, flaw, error, message):
    server["flaws"].add(flaw)
    unfinished = part(path, BODY[:10])
    with pytest.raises(error, match=message) as raised:
        fetch(server["url"], path, progress=False)
    assert str(raised.value).startswith(server["url"])
    assert unfinished.read_bytes() == BODY[:10]


def test_no_server_is_one_clear_error(path):
    with pytest.raises(OSError, match=r"http://127\.0\.0\.1:1/x: the transfer failed \(.*refused.*\); run again"):
        fetch("http://127.0.0.1:1/x", path, progress=False)


def test_progress_goes_to_stderr_and_only_if_wanted(server, path, capsys):
    fetch(server["url"], path)
    out, err = capsys.readouterr()
    assert (out, "data.zip" in err, "512k" in err) == ("", True, True)
    fetch(server["url"], path.with_name("other.zip"), progress=False)
    assert capsys.readouterr() == ("", "")


def zip_of(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def test_a_source_with_an_archive_is_fetched_and_unpacked_once(server, tmp_path):
    server["body"] = zip_of({"dataset/images/1.png": b"1", "dataset/labels/": b""})
    source = dataclasses.replace(sources()["endonuke"], urls=(server["url"],))
    for _ in range(2):
        assert download(source, tmp_path, progress=False) == tmp_path / "endonuke"
    assert (tmp_path / "endonuke/dataset/images/1.png").read_bytes() == b"1"
    assert (tmp_path / "endonuke/dataset/labels").is_dir()
    assert len(server["ranges"]) == 1


def test_a_source_that_is_read_as_zips_keeps_them(server, tmp_path):
    source = dataclasses.replace(sources()["pannuke"], urls=(server["url"], server["url"].replace("data", "more")))
    folder = download(source, tmp_path, progress=False)
    assert sorted(os.listdir(folder)) == ["data.zip", "more.zip"]


def test_weights_arrive_under_the_name_of_their_file(server, tmp_path):
    source = dataclasses.replace(
        sources()["resnetv2-50"], urls=(server["url"].replace("data.zip", "model.safetensors"),)
    )
    for _ in range(2):
        download(source, tmp_path, progress=False)
    assert (tmp_path / "resnetv2-50/model.safetensors").read_bytes() == BODY
    assert len(server["ranges"]) == 1


def test_a_source_that_only_a_person_can_get_says_how_and_unpacks_what_they_bring(tmp_path):
    source = sources()["bci"]
    with pytest.raises(ValueError, match=r"bci: .*\(1\) open https://drive\.google.*\(2\) .*/bci\.zip; \(3\)"):
        download(source, tmp_path)
    source.archive(tmp_path).write_bytes(zip_of({"BCI_dataset/HE/train/x.png": b""}))
    assert (download(source, tmp_path) / "BCI_dataset/HE/train/x.png").is_file()


def tar_with(path: Path, name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> Path:
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, target
        archive.addfile(member)
    return path


def test_zip_and_tar_unpack_alike_into_a_new_or_empty_folder(tmp_path):
    content = tmp_path / "content" / "a"
    content.mkdir(parents=True)
    (content / "b.txt").write_bytes(b"hello")
    with tarfile.open(tmp_path / "x.tar.xz", "w:xz") as archive:
        archive.add(content, "a")
    (tmp_path / "x.zip").write_bytes(zip_of({"a/b.txt": b"hello"}))
    (tmp_path / "x.zip-out").mkdir()
    for name in ("x.tar.xz", "x.zip"):
        assert (unpack(tmp_path / name, tmp_path / f"{name}-out") / "a/b.txt").read_bytes() == b"hello"


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/tmp/evil", "a\\..\\evil", "C:evil"])
def test_a_member_outside_the_folder_is_refused_and_nothing_is_left(tmp_path, name):
    home = tmp_path / "home"
    home.mkdir()
    (home / "x.zip").write_bytes(zip_of({"good": b"1", name: b"2"}))
    tar_with(home / "x.tar.gz", name)
    for archive in ("x.zip", "x.tar.gz"):
        with pytest.raises(ValueError, match=rf"{archive}: expected members inside the folder, found '.*evil'"):
            unpack(home / archive, home / "out")
    assert sorted(os.listdir(home)) == ["x.tar.gz", "x.zip"]
    assert os.listdir(tmp_path) == ["home"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind):
    archive = tar_with(tmp_path / "x.tar.gz", "link", kind, "/etc")
    with pytest.raises(ValueError, match="expected files and folders, found 'link'"):
        unpack(archive, tmp_path / "out")
    assert os.listdir(tmp_path) == ["x.tar.gz"]


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(ValueError, match="expected files and folders, found 'link'"):
        unpack(tmp_path / "x.zip", tmp_path / "out")


def test_damaged_archives_are_errors_of_one_line_and_leave_nothing(tmp_path):
    whole = zip_of({"a": os.urandom(5000), "b": b"2"})
    broken = bytearray(whole)
    broken[2000:2010] = bytes(10)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        member = tarfile.TarInfo("a")
        member.size = 5000
        archive.addfile(member, io.BytesIO(os.urandom(5000)))
    tarred = stream.getvalue()
    for content in (whole[:3000], broken, b"", b"no archive" * 100, tarred[:3000], tarred[:30]):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(ValueError, match="x: expected a whole archive, found a damaged one") as error:
            unpack(tmp_path / "x", tmp_path / "out")
        assert "\n" not in str(error.value)
        assert os.listdir(tmp_path) == ["x"]


def test_a_folder_with_files_is_never_overwritten_and_a_missing_archive_is_named(tmp_path):
    (tmp_path / "x.zip").write_bytes(zip_of({"a": b"new"}))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_bytes(b"old")
    with pytest.raises(FileExistsError, match="out: expected nothing there yet"):
        unpack(tmp_path / "x.zip", tmp_path / "out")
    assert (tmp_path / "out" / "a").read_bytes() == b"old"
    with pytest.raises(FileNotFoundError, match=r"y\.zip: expected an archive, found nothing"):
        unpack(tmp_path / "y.zip", tmp_path / "new")
