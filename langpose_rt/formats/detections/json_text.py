"""JSON bytes as other programs write them: byte order marks, NaN, and other encodings.

Shared by the readers of files and of messages. What the JSON means is not decided here.
"""

import codecs
import re
from typing import TypeVar

import msgspec

ValueT = TypeVar("ValueT")

_STRING_OR_NOT_A_NUMBER = re.compile(
    rb'"(?:[^"\\]|\\.)*"|-?\b(?:NaN|nan|Infinity|inf)\b', re.DOTALL
)
_WIDE_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

FIRST_BYTES = b"{[ \t\r\n" + codecs.BOM_UTF8[:1] + codecs.BOM_UTF16_LE
"""JSON, or text that is meant to be JSON, begins with one of these; a msgpack map never does."""


def json_from_bytes(raw: bytes, decoder: "msgspec.json.Decoder[ValueT]") -> ValueT:
    """Decode JSON, with what Python, .NET and Windows editors add to it.

    A UTF-8 byte order mark is passed over. `NaN` and `Infinity`, which Python's json module writes,
    are read as null: a missing number.

    Raises:
        msgspec.MsgspecError, ValueError or RecursionError: If it is no JSON, or another JSON than
            expected.
    """
    raw = raw.removeprefix(codecs.BOM_UTF8)
    if raw.startswith(_WIDE_MARKS) or raw[1:2] == b"\0":
        raise ValueError("it is UTF-16 text; save it as UTF-8")
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        plain = _STRING_OR_NOT_A_NUMBER.sub(_null, raw)
        if plain == raw:
            raise
    return decoder.decode(plain)


def _null(found: "re.Match[bytes]") -> bytes:
    text = found.group()
    return text if text.startswith(b'"') else b"null"
