"""Text of users' files: unpacked, decoded, or refused by the name of what they are."""

import bz2
import codecs
import gzip
import io
import lzma
import re
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

_FOREIGN = (
    (b"PAR1", "a Parquet table"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file: save its table as CSV"),
    (b"%PDF", "a PDF: export its table as CSV"),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd: unpack it, or compress it by gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!", "a RAR archive: unpack it"),
    (b"\x89HDF", "an HDF5 file: export its table as CSV"),
    (b"\x93NUMPY", "a NumPy array: write its content as text"),
    (b"SQLite format 3\0", "an SQLite database: export its table as CSV"),
    (b"ARROW1", "an Arrow table: save it as CSV or Parquet"),
    (b"FEA1", "a Feather table: save it as CSV or Parquet"),
    (b"\x89PNG", "a picture: give a file of text"),
    (b"\xff\xd8\xff", "a picture: give a file of text"),
    (b"VjCD", "a ChemDraw file: save it as SDF or SMILES"),
    (b"\x7fELF", "a program: give a file of text"),
)
_PICKLE = re.compile(rb"\x80[\x02-\x05]")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CONTROL = re.compile("[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_LAYERS = 3
"""Maximum number of compressions on top of each other."""

_SAMPLE = 100_000
"""Number of characters that are searched for what no text has."""


class UnusableArchive(ValueError):
    """An archive that is whole and does not hold one file of text."""


class Unpacked(NamedTuple):
    """A file's content.

    Attributes:
      name: the file's name in lower case, without the endings of its compressions; the name of the
        file inside, for a zip archive.
      content: the uncompressed bytes.
      notes: how it was unpacked, for people.
    """

    name: str
    content: bytes
    notes: list[str]


class Text(NamedTuple):
    """A file's text.

    Attributes:
      name: see :class:`Unpacked`.
      text: the decoded text, without a byte order mark.
      notes: how it was unpacked and decoded, for people; empty for plain text in UTF-8.
    """

    name: str
    text: str
    notes: list[str]


def read_text(path: Path | str) -> Text:
    """The text of a file: plain or compressed by gzip, bzip2, xz or zip; in UTF-8, UTF-16, UTF-32
    or Windows-1252 (Latin-1).

    Raises:
      ValueError: naming the file, its kind and the remedy, if it holds no text.
      OSError: if it cannot be read.
    """
    unpacked = unpack(path)
    text, note = decode(path, unpacked.content)
    return Text(unpacked.name, text, unpacked.notes + [note] * bool(note))


def read_lines(text: str) -> list[str]:
    """The lines of a text, whatever ends them (LF, CR LF or CR); text after the last end is one."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def unpack(path: Path | str) -> Unpacked:
    """The uncompressed content of a file.

    Raises:
      ValueError: naming the file, if a compressed file is damaged, or an archive does not hold one
        file of text.
      OSError: if it cannot be read.
    """
    path = Path(path)
    name, content, notes = path.name.lower(), path.read_bytes(), list[str]()
    for _ in range(_LAYERS):
        try:
            layer = _unpack_once(path, name, content)
        except UnusableArchive:
            raise
        except (ValueError, OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile,
                NotImplementedError, RuntimeError) as error:  # fmt: skip
            raise ValueError(
                f"{path} is damaged: it begins as a compressed file, and then: {error}; get it "
                "again, or unpack it by hand"
            ) from error
        if layer is None:
            return Unpacked(name, content, notes)
        name, content, note = layer
        notes.append(note)
    return Unpacked(name, content, notes)


def _unpack_once(path: Path, name: str, content: bytes) -> tuple[str, bytes, str] | None:
    if content[:2] == b"\x1f\x8b":
        return name.removesuffix(".gz"), gzip.decompress(content), "unpacked by gzip"
    if content[:3] == b"BZh":
        return name.removesuffix(".bz2"), bz2.decompress(content), "unpacked by bzip2"
    if content[:6] == b"\xfd7zXZ\0":
        return name.removesuffix(".xz"), lzma.decompress(content), "unpacked by xz"
    if content[:4] in (b"PK\x03\x04", b"PK\x05\x06"):
        return _unzip(path, content)
    return None


def _unzip(path: Path, content: bytes) -> tuple[str, bytes, str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        inside = [
            one.filename
            for one in archive.infolist()
            if not one.is_dir() and not re.search(r"(^|/)(__MACOSX/|\.)", one.filename)
        ]
        if "xl/workbook.xml" in inside:
            raise UnusableArchive(f"{path} is an Excel workbook: save its table as CSV")
        if {"word/document.xml", "content.xml"} & set(inside):
            raise UnusableArchive(
                f"{path} is a document of a word processor or a spreadsheet: save its table as CSV"
            )
        if len(inside) != 1:
            shown = ", ".join(inside[:5]) or "none"
            raise UnusableArchive(
                f"{path} holds {len(inside)} files ({shown}): unpack it and give one of them"
            )
        return inside[0].split("/")[-1].lower(), archive.read(inside[0]), f"{inside[0]} in the zip"


def decode(path: Path | str, content: bytes) -> tuple[str, str]:
    """The text that bytes spell, and a note on its encoding; empty for UTF-8.

    Raises:
      ValueError: naming the file and what it is, if it holds no text.
    """
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            note = "" if encoding == "utf-8-sig" else f"decoded as {encoding.upper()}"
            return _decoded(path, content, encoding), note
    if kind := _foreign(content):
        raise ValueError(f"{path} is {kind}")
    if wide := _wide(content):
        return _decoded(path, content, wide), f"decoded as {wide.upper()}"
    try:
        text, note = content.decode("utf-8"), ""
    except UnicodeDecodeError:
        try:
            text, name = content.decode("cp1252"), "Windows-1252"
        except UnicodeDecodeError:
            text, name = content.decode("latin-1"), "Latin-1"
        note = f"decoded as {name}, as it is not UTF-8"
    controls = len(_CONTROL.findall(text, 0, _SAMPLE))
    if controls > 0.01 * min(len(text), _SAMPLE):
        raise ValueError(f"{path} holds no text: {_begin(content)}")
    return text, note


def _decoded(path: Path | str, content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is damaged: it begins as text in {encoding.upper()}, and then: {error}"
        ) from error


def _foreign(content: bytes) -> str | None:
    for magic, kind in _FOREIGN:
        if content.startswith(magic):
            return kind
    if _PICKLE.match(content):
        return "a pickle: write its content as text"
    if content[257:262] == b"ustar":
        return "a tar archive: unpack it and give one of its files"
    if content.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS: fetch the file that it stands for, by 'git lfs pull'"
    return None


def _wide(content: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of text in it is mostly 0."""
    sample = content[:_SAMPLE]
    half = len(sample) // 2
    if half and len(content) % 2 == 0:
        for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            zeros = sample[first::2].count(0), sample[1 - first :: 2].count(0)
            if zeros[0] > 0.7 * half and zeros[1] < 0.05 * half:
                return encoding
    return None


def _begin(content: bytes) -> str:
    return f"it begins with {content[:8].hex(' ')}; give a file of text"
