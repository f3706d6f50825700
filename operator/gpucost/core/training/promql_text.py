"""Whether a query of a user can stand inside a larger one without changing what the rest of that means.

Many runs' queries go to the engine as one, each in parentheses of its own. A query that closed these parentheses, or
left a string or a comment open, could speak for another run.
"""

from __future__ import annotations

_QUOTES = "\"'`"
_PAIRS = {")": "(", "]": "[", "}": "{"}


def problem_of(query: str) -> str:
    """Why a query cannot be put between parentheses; empty for one that can."""
    stack: list[str] = []
    place, end = 0, len(query)
    while place < end:
        char = query[place]
        if char in _QUOTES:
            place = _after_string(query, place)
            if place < 0:
                return f"a string that begins with {char} has no end"
        elif char == "#":
            line_end = query.find("\n", place)
            place = end if line_end < 0 else line_end + 1
        else:
            if char in "([{":
                stack.append(char)
            elif char in _PAIRS and (not stack or stack.pop() != _PAIRS[char]):
                return f"{char!r} at position {place} closes nothing"
            place += 1
    if stack:
        return f"{stack[-1]!r} is never closed"
    return "" if query.strip() else "is empty"


def _after_string(query: str, start: int) -> int:
    """The place behind a string; -1 when it has no end. Only between backquotes a backslash means itself."""
    quote, place = query[start], start + 1
    while place < len(query):
        char = query[place]
        if char == "\\" and quote != "`":
            place += 2
            continue
        if char == quote:
            return place + 1
        if char == "\n" and quote != "`":
            return -1
        place += 1
    return -1
