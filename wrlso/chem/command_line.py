"""The line that names a program, such as ``python dock.py``; no shell reads it."""

import re
import shlex
from collections.abc import Iterator

_OPERATORS = "|&;<>\n"
_EXPANSION = re.compile(r"\$[A-Za-z_{(?@*#]|`")


def split_command(line: str) -> list[str]:
    """The program and its arguments.

    Raises:
      ValueError: if the line is empty, its quotes are not closed, or it has something that only a
        shell understands.
    """
    for position, quote in _quoting(line):
        _refuse_shell_syntax(line, position, quote)
    try:
        argv = shlex.split(line)
    except ValueError as error:
        raise ValueError(f"command = {line!r} cannot be read: {error}") from error
    if not argv:
        raise ValueError(f"command = {line!r} names no program")
    if re.match(r"[A-Za-z_]\w*=", argv[0]):
        raise ValueError(
            f"command = {line!r} sets a variable, which takes a shell: begin it with env, as "
            f"in 'env {line}'"
        )
    return argv


def _quoting(line: str) -> Iterator[tuple[int, str]]:
    """Positions of the characters that stand for themselves, and the quote around each, or ''."""
    quote, position = "", 0
    while position < len(line):
        character = line[position]
        if character == "\\" and quote != "'":
            position += 2
            continue
        if quote == "" and character in "'\"":
            quote = character
        elif character == quote:
            quote = ""
        else:
            yield position, quote
        position += 1


def _refuse_shell_syntax(line: str, position: int, quote: str) -> None:
    found = _EXPANSION.match(line, position) if quote != "'" else None
    if found is not None:
        shown = line[position:].split()[0]
    elif quote == "" and line[position] in _OPERATORS:
        shown = line[position]
    elif quote == "" and line[position] == "~" and (position == 0 or line[position - 1] == " "):
        shown = line[position:].split()[0]
    else:
        return
    raise ValueError(
        f"command = {line!r} has {shown!r}, but no shell reads the command: write what you mean "
        "into a script and give that, or put single quotes around it if the program itself is to "
        "get it"
    )
