"""Names on a terminal: no name acts on the terminal, and a shell reads each name back."""

from __future__ import annotations

import os
import shlex


def shown(name: str | bytes) -> str:
    r"""A name or message for a person, with escapes for characters that are not printable.

    A byte that is not UTF-8 becomes `\xff`, a control character `\u001b`.
    """
    return "".join(_escaped(letter) for letter in os.fsdecode(name))


def quoted(path: str | bytes) -> str:
    """A path as a word of a command that an operator can paste into a shell."""
    text = os.fsdecode(path)
    if text.startswith("-"):
        text = f"./{text}"
    if text.isprintable():
        return shlex.quote(text)
    escaped = (
        chr(byte) if 0x20 <= byte < 0x7F and byte not in b"'\\" else f"\\x{byte:02x}"
        for byte in os.fsencode(text)
    )
    return f"$'{''.join(escaped)}'"


def _escaped(letter: str) -> str:
    # safeguard: printable-names
    if letter.isprintable():
        return letter
    # os.fsdecode makes these of bytes that are not UTF-8.
    if "\udc80" <= letter <= "\udcff":
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return f"\\u{ord(letter):04x}"
