"""Choice of jobs of a sweep by an expression such as `model=vae and (seed>2 or status=failed)`.

    either      = both {"or" both}
    both        = one {"and" one}
    one         = "not" one | "(" either ")" | comparison
    comparison  = KEY ("=" | "==" | "!=") VALUE {"," VALUE} | KEY ("<" | "<=" | ">" | ">=") NUMBER

KEY is a config key, a config group, a metric, `status` or `job`; VALUE is a word, text in quotes, or a list in
brackets. Nothing of it is evaluated as code.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lsgen.cli.config.schema import did_you_mean
from lsgen.cli.errors import UsageError
from lsgen.runs import Job, Sweep, index
from lsgen.runs.sweep import STATES

__all__ = ["selected"]

_Condition = Callable[[Mapping[str, Any]], bool]
_TOKEN = re.compile(r"\s*(?:(<=|>=|==|!=|[=<>(),])|'([^']*)'|\"([^\"]*)\"|(\[[^]]*\]|[^\s<>=!(),'\"]+))")
_ORDERS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_DEEPEST = 50  # parentheses and negations within each other


@dataclass(frozen=True)
class _Token:
    """A mark of the grammar, a word, or text in quotes."""

    text: str
    kind: str

    def is_mark(self, *marks: str) -> bool:
        return self.kind == "mark" and self.text in marks

    def is_word(self, word: str) -> bool:
        return self.kind == "word" and self.text == word


@dataclass
class _Parser:
    """Recursive descent over the tokens of an expression."""

    text: str
    keys: set[str] = field(default_factory=set)
    states: set[str] = field(default_factory=set)
    ordered: set[str] = field(default_factory=set)
    place: int = 0
    depth: int = 0

    def __post_init__(self) -> None:
        self.tokens, end = [], 0
        while self.text[end:].strip():
            if (found := _TOKEN.match(self.text, end)) is None:
                raise self.refusal(f"cannot read {self.text[end:].strip()!r}")
            kind = ("mark", "text", "text", "word")[(found.lastindex or 1) - 1]
            self.tokens.append(_Token(found[found.lastindex or 1], kind))
            end = found.end()

    def refusal(self, said: str) -> UsageError:
        return UsageError(f"expected a choice of jobs such as 'model=vae and seed>2', got {self.text!r}: {said}")

    def peek(self) -> _Token:
        return self.tokens[self.place] if self.place < len(self.tokens) else _Token("", "end")

    def take(self) -> _Token:
        token = self.peek()
        self.place += 1
        return token

    def whole(self) -> _Condition:
        condition = self.either()
        if (left := self.peek()).kind != "end":
            raise self.refusal(f"expected and, or, or the end, got {left.text!r}")
        return condition

    def either(self) -> _Condition:
        parts = [self.both()]
        while self.peek().is_word("or"):
            self.take()
            parts.append(self.both())
        return lambda row: any(part(row) for part in parts)

    def both(self) -> _Condition:
        parts = [self.one()]
        while self.peek().is_word("and"):
            self.take()
            parts.append(self.one())
        return lambda row: all(part(row) for part in parts)

    def one(self) -> _Condition:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise self.refusal(f"it is nested more than {_DEEPEST} deep")
        token = self.take()
        if token.is_word("not"):
            negated = self.one()
            found: _Condition = lambda row: not negated(row)
        elif token.is_mark("("):
            found = self.either()
            if not self.take().is_mark(")"):
                raise self.refusal("a parenthesis is not closed")
        else:
            found = self.comparison(token)
        self.depth -= 1
        return found

    def comparison(self, key: _Token) -> _Condition:
        if key.kind not in ("word", "text"):
            raise self.refusal(f"expected a key, got {key.text or 'the end'!r}")
        sign = self.take()
        name = key.text
        self.keys.add(name)
        if sign.is_mark(*_ORDERS):
            bound, compare = self.number(name, sign.text), _ORDERS[sign.text]
            self.ordered.add(name)
            return lambda row: _is_number(row.get(name)) and bool(compare(row[name], bound))
        if not sign.is_mark("=", "==", "!="):
            raise self.refusal(f"expected =, !=, <, <=, > or >= after {name}, got {sign.text or 'the end'!r}")
        values = [self.operand()]
        while self.peek().is_mark(","):
            self.take()
            values.append(self.operand())
        if name == "status":
            self.states |= {value.text for value in values}
        wanted = sign.text != "!="
        return lambda row: any(_is(row.get(name), value) for value in values) == wanted

    def number(self, name: str, sign: str) -> float:
        value = _read(self.operand().text)
        if not (_is_number(value) and value == value):
            raise self.refusal(f"expected a number after {name}{sign}, got {value!r}")
        return float(value)

    def operand(self) -> _Token:
        token = self.take()
        if token.kind not in ("word", "text"):
            raise self.refusal(f"expected a value, got {token.text or 'the end'!r}")
        return token


def selected(sweep: Sweep, states: Sequence[str], text: str) -> list[Job]:
    """Return the jobs of a sweep that an expression chooses.

    Args:
        sweep: the sweep.
        states: of its jobs.
        text: the expression.

    Raises:
        UsageError: it is none, or names a key that no job has or a state that there is not, or orders what is no
            number.

    """
    parser = _Parser(text)
    condition = parser.whole()
    rows = [
        {**row, "status": state, "job": job.number}
        for row, state, job in zip(index([sweep.run(job) for job in sweep.jobs]), states, sweep.jobs, strict=True)
    ]
    known = {key for row in rows for key in row}
    for key in sorted(parser.keys):
        if key not in known:
            raise UsageError(f"no job of {sweep.path} has {key!r}{did_you_mean(key, known)}")
    for key in sorted(parser.ordered):
        found = [row[key] for row in rows if row.get(key) is not None]
        if found and not any(map(_is_number, found)):
            raise UsageError(f"expected numbers of {key!r} to compare with a number, got {found[0]!r}")
    for state in sorted(parser.states):
        if state not in STATES:
            raise UsageError(f"expected status={', '.join(STATES)}, got {state!r}{did_you_mean(state, STATES)}")
    return [job for job, row in zip(sweep.jobs, rows, strict=True) if condition(row)]


def _read(word: str) -> Any:
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is(found: Any, value: _Token) -> bool:
    """Return whether a run's value is what an expression names; text is what it looks like, in quotes or not."""
    read = _read(value.text)
    if isinstance(found, str) or (read is None and value.kind == "text"):
        return bool(found == value.text) and (read is not None or value.kind == "text")
    if isinstance(found, list | Mapping):
        return "".join(str(found).split()) == "".join(value.text.split())
    if _is_number(found) and _is_number(read):
        return bool(found == read or (found != found and read != read))  # NaN is NaN here
    return type(found) is type(read) and bool(found == read)
