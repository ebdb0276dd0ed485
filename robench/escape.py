"""Text from strangers, made harmless for where it is shown.

Names of methods, models, data sets and suites, reasons of failures and tracebacks come from
plug-ins, from weights files and from the records of others. A terminal obeys escape sequences in
them; a spreadsheet takes a field that begins with ``=`` for a formula; and the library that draws
SVG files aborts the whole process over a character that XML does not know.
"""

from __future__ import annotations

import re

__all__ = ["for_csv", "for_terminal", "for_xml"]

_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)")


def for_terminal(text: str, *, lines: bool = False) -> str:
    r"""The text with everything that a terminal might obey written out: ``\u001b[2J``.

    These are control characters, those that reorder or hide text (Unicode's categories Cc, Cf, Zl
    and Zp), and whatever else is not printable. They are written as JSON writes them, so that JSON
    stays the same data. Tabs become spaces.

    Args:
        text: of any origin.
        lines: whether line breaks stay; without it the text is on one line.

    >>> for_terminal("halo\x1b[2J")
    'halo\\u001b[2J'
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or (lines and letter == "\n") else _written(letter)
        for letter in text
    )


def _written(letter: str) -> str:
    if letter == "\t":
        return " "
    # Unicode has spaces of other widths, which are not "printable" and do no harm.
    if letter.isspace() and ord(letter) >= 0xA0 and letter not in "\u2028\u2029":
        return letter
    code = ord(letter)
    if code <= 0xFFFF:
        return f"\\u{code:04x}"
    high, low = divmod(code - 0x10000, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"


def for_csv(text: str) -> str:
    """The text as a field of a CSV file that no spreadsheet takes for a formula.

    Text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a line break gets an apostrophe
    before it, as spreadsheets mark text; numbers stay numbers.

    >>> for_csv("=cmd"), for_csv("-0.5"), for_csv("halo")
    ("'=cmd", '-0.5', 'halo')
    """
    if _FORMULA.match(text) is None or _NUMBER.fullmatch(text):
        return text
    return f"'{text}"


def for_xml(text: str) -> str:
    r"""The text with U+FFFD for each character that XML, and so SVG, has no place for.

    >>> for_xml("halo\x1b") == "halo\ufffd"
    True
    """
    return _NOT_XML.sub("\ufffd", text)
