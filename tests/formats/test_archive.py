"""Archives: typed arrays, or one error that names the file."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from langpose_rt.errors import ConfigError
from langpose_rt.formats.archive import Archive, arrays_to_npz

ARRAYS = {
    "poses": np.arange(24, dtype=np.float32).reshape(2, 4, 3),
    "count": np.array([3, 4], np.int32),
    "flags": np.array([0, 1, 1]),
    "name": np.array("coco17"),
    "bytes": np.array(b"coco17"),
    "rate": np.array([25], np.uint8),
    "words": np.array(["a", "b"]),
    "nothing": np.array(np.nan),
    "huge": np.array([2**64 - 1], np.uint64),
}


@pytest.fixture
def archive(tmp_path: Path):  # type: ignore[no-untyped-def]
    arrays_to_npz(tmp_path / "a.npz", ARRAYS)
    with Archive(tmp_path / "a.npz") as opened:
        yield opened


def test_arrays_come_out_as_what_they_were_asked_for(archive: Archive) -> None:
    poses = archive.numbers("poses", "F,17,3", "F,J,3")
    assert poses.dtype == np.float64
    np.testing.assert_array_equal(poses, ARRAYS["poses"])
    assert archive.integers("count", "n").tolist() == [3, 4]
    assert archive.flags("flags", "3").tolist() == [False, True, True]
    assert archive.text("name") == archive.text("bytes") == "coco17"
    assert archive.number("rate") == 25.0
    assert "rate" in archive
    assert "other" not in archive


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda a: a.numbers("gone", "F,3"), r'found no "gone"; expected "gone" of shape \(F,3\)'),
        (lambda a: a.numbers("poses", "F,3", "3,4,3"), r"\(2, 4, 3\); .* \(F,3\) or \(3,4,3\)"),
        (lambda a: a.numbers("words", "n"), '"words" of type <U1; expected numbers'),
        (lambda a: a.numbers("flags", ""), r'"flags" of shape \(3,\); expected shape \(\)'),
        (lambda a: a.integers("nothing", ""), '"nothing" with fractions; expected whole numbers'),
        (lambda a: a.integers("huge", "1"), '"huge" of type uint64; expected integers of at most'),
        (lambda a: a.flags("count", "n"), '"count" of type int32; expected true and false'),
        (lambda a: a.text("rate"), '"rate" of type uint8; expected text'),
        (lambda a: a.text("words"), r'"words" of shape \(2,\); expected shape'),
        (lambda a: a.number("nothing"), '"nothing" is nan; expected a finite number'),
    ],
)
def test_what_is_not_as_asked_for_is_one_sentence(archive: Archive, ask, sentence: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=sentence) as caught:
        ask(archive)
    assert str(caught.value).startswith(f"{archive.path}: found ")


def test_files_that_are_no_archives_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no.npz cannot be read: No such file"):
        Archive(tmp_path / "no.npz")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        Archive(tmp_path)
    for content in (b"", b"hello", b"PK\x03\x04", b"\x80\x04K\x01.", b"\x93NUMPY\x01"):
        (tmp_path / "b.npz").write_bytes(content)
        with pytest.raises(ConfigError, match=r"b.npz is damaged or no npz file; write it with"):
            Archive(tmp_path / "b.npz")
    np.save(tmp_path / "c.npy", ARRAYS["poses"])
    with pytest.raises(ConfigError, match=r"c.npy is a single array; expected named arrays"):
        Archive(tmp_path / "c.npy")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return pytest.fail, ("a file was unpickled",)

    np.savez(tmp_path / "a.npz", poses=np.array([Trap()], dtype=object))
    with (
        Archive(tmp_path / "a.npz") as archive,
        pytest.raises(ConfigError, match=r'a.npz is damaged: "poses" cannot be read'),
    ):
        archive.numbers("poses", "n")


@given(data=st.data())
def test_a_damaged_archive_is_refused_or_read_and_nothing_else_happens(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "a.npz"
    arrays_to_npz(path, ARRAYS)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    whole = data.draw(st.booleans())
    path.write_bytes(content if whole else content[: data.draw(st.integers(0, len(content)))])
    sentence = str(path)
    try:
        with Archive(path) as archive:
            for key in ARRAYS:
                archive.numbers(key, "", "n", "F,J,3")
    except ConfigError as error:
        sentence = str(error)
    assert str(path) in sentence


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    arrays_to_npz(path, {"x": np.zeros(3)})
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=r"gone/a.npz cannot be written: No such file"):
        arrays_to_npz(tmp_path / "gone" / "a.npz", {"x": np.zeros(3)})
    arrays_to_npz(path, {"x": np.ones(3)})
    assert path.read_bytes() != before
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]


def test_the_same_arrays_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.npz", "b.npz"):
        arrays_to_npz(tmp_path / name, ARRAYS)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_words_are_a_row_of_text(tmp_path: Path) -> None:
    arrays_to_npz(tmp_path / "a.npz", {"words": np.array(["one", "two"]), "n": np.arange(2)})
    with Archive(tmp_path / "a.npz") as archive:
        assert archive.words("words") == ("one", "two")
        with pytest.raises(ConfigError, match="text"):
            archive.words("n")


def test_an_array_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked(
    tmp_path: Path,
) -> None:
    header = io.BytesIO()
    shape = {"descr": "<f8", "fortran_order": False, "shape": (1 << 28,)}
    np.lib.format.write_array_header_1_0(header, shape)
    blank = bytes(1 << 20)
    bomb = tmp_path / "bomb.npz"
    with (
        zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file,
        file.open("kp2d.npy", "w", force_zip64=True) as member,
    ):
        member.write(header.getvalue())
        for _ in range(1100):
            member.write(blank)
    sentence = 'found "kp2d" of 1100 MB unpacked; expected at most 1024 MB'
    with Archive(bomb) as archive, pytest.raises(ConfigError, match=sentence):
        archive.numbers("kp2d", "n")


def test_a_direction_has_length_1_and_something_else_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", down=np.array([0, 6.0, 8.0]), nowhere=np.zeros(3), flat=np.ones(2))
    with Archive(tmp_path / "a.npz") as archive:
        np.testing.assert_allclose(archive.direction("down"), [0, 0.6, 0.8])
        with pytest.raises(ConfigError, match='"nowhere" of length 0; expected a direction'):
            archive.direction("nowhere")
        with pytest.raises(ConfigError, match=r'"flat" of shape \(2,\)'):
            archive.direction("flat")
