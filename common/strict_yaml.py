"""YAML without surprises: what a configuration never needs is refused, and named with its line.

Refused are keys given twice, tags, anchors that grow, depth, numbers that YAML 1.1 reads as something else
(010 is eight, 1:30 is ninety), and numbers that are none (.nan, .inf).
"""

import math
import re
from typing import Any

import yaml

MAX_DEPTH = 20
MAX_VALUES = 20_000
OCTAL = re.compile(r"[-+]?0[0-9_]+")
SECRET = re.compile(r"(password|secret_key|token)")
TEXT = "tag:yaml.org,2002:str"
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


class Surprise(yaml.constructor.ConstructorError):
    """A number that YAML reads in another way than people do."""


def load(text: str) -> Any:
    """The document. Raises yaml.YAMLError; ValueError, TypeError for dates and keys that are none."""
    return yaml.load(text, _Strict)  # noqa: S506 (a SafeLoader)


class _Strict(yaml.SafeLoader):
    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._depth = 0
        self._values: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """One value: counted with what its aliases stand for, so that no few lines become millions of values."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "tag", None) is not None:
            raise _refused("a tag" if _is_secret(index) else f"the tag {event.tag}", event)
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise _refused(f"a depth of more than {MAX_DEPTH}", event)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and not isinstance(event, yaml.AliasEvent):
            self._count(node)
        elif id(node) not in self._values:
            raise _refused("an anchor inside itself", event)
        return node

    def _count(self, node: yaml.Node) -> None:
        parts = node.value if isinstance(node, yaml.SequenceNode | yaml.MappingNode) else []
        flat = [each for part in parts for each in (part if isinstance(part, tuple) else (part,))]
        self._values[id(node)] = 1 + sum(self._values[id(each)] for each in flat)
        if self._values[id(node)] > MAX_VALUES:
            raise _refused(f"more than {MAX_VALUES:,} values", node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Keys given twice are an error instead of the last one winning."""
        seen: set[Any] = set()
        for key_node, value_node in node.value:
            if _is_secret(key_node) and isinstance(value_node, yaml.ScalarNode) and value_node.tag in NUMBERS:
                value_node.tag = TEXT  # a password of digits is text, as it is in the environment
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """A number as people read it."""
        text = str(self.construct_scalar(node))
        if OCTAL.fullmatch(text) or ":" in text:
            read = super().construct_yaml_int(node)
            raise Surprise(None, None, f"{text} would be read as {read}; write that, or '{text}'", node.start_mark)
        return int(super().construct_yaml_int(node))

    def construct_yaml_float(self, node: yaml.ScalarNode) -> float:
        """A number, and a finite one."""
        text, read = str(self.construct_scalar(node)), float(super().construct_yaml_float(node))
        if ":" in text or not math.isfinite(read):
            raise Surprise(None, None, f"{text} is no number that a setting can have", node.start_mark)
        return read


def explained(error: Exception) -> str:
    """What is wrong and where, in one line, without the text that stands there: it may be a secret."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem is None:
        return " ".join(str(error).split())
    problem = error.problem
    if isinstance(error, yaml.composer.ComposerError):  # an alias: perhaps a password that begins with an asterisk
        problem = re.sub(r" '.*'", "", problem)
    mark = error.problem_mark or error.context_mark
    place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    return f"{error.context}: {problem}{place}" if error.context else f"{problem}{place}"


def _is_secret(key: Any) -> bool:
    return isinstance(key, yaml.ScalarNode) and bool(SECRET.fullmatch(key.value))


def _refused(what: str, where: Any) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, f"{what} is refused in a configuration", where.start_mark)


_Strict.add_constructor("tag:yaml.org,2002:int", _Strict.construct_yaml_int)
_Strict.add_constructor("tag:yaml.org,2002:float", _Strict.construct_yaml_float)
