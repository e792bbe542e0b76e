"""Checks taken out of the running program, one at a time: the text of a function is changed and its code swapped where it lives, then put back."""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType, ModuleType


@dataclass(frozen=True)
class Edit:
    """module: below maisale. where: a function, Class.method, outer.inner, or a constant of text."""

    module: str
    where: str
    old: str
    new: str

    @property
    def name(self) -> str:
        return f"{self.module}.{self.where}"


@contextlib.contextmanager
def applied(*edits: Edit) -> Iterator[None]:
    """The program with these edits. Raises LookupError when a text is not there once: then the table is to be brought up to date."""
    with contextlib.ExitStack() as undo:
        for module, where in dict.fromkeys((edit.module, edit.where) for edit in edits):
            _apply(undo, importlib.import_module(f"maisale.{module}"), where, [edit for edit in edits if (edit.module, edit.where) == (module, where)])
        yield


def _apply(undo: contextlib.ExitStack, module: ModuleType, where: str, edits: list[Edit]) -> None:
    source = inspect.getsource(module)
    node = _node(ast.parse(source), where.split("."))
    if isinstance(node, ast.Assign):
        before = getattr(module, where)
        undo.callback(setattr, module, where, before)
        setattr(module, where, _edited(before, edits))
        return
    lines = source.splitlines(keepends=True)
    first, last = node.lineno - 1, node.end_lineno
    changed = "".join([*lines[:first], _edited("".join(lines[first:last]), edits), *lines[last:]])
    code = _code(compile(changed, module.__file__, "exec"), node)
    gc.unfreeze()  # what an app froze at its start is not listed
    living = [one for one in gc.get_objects() if isinstance(one, FunctionType) and _same(one.__code__, code)]
    if not living:
        raise LookupError(f"{module.__name__} has no living function {where}")
    for function in living:
        undo.callback(setattr, function, "__code__", function.__code__)
        function.__code__ = _fitting(code, function)


def _edited(text: str, edits: list[Edit]) -> str:
    for edit in edits:
        if text.count(edit.old) != 1:
            raise LookupError(f"{edit.name} holds {edit.old!r} {text.count(edit.old)} times, not once")
        text = text.replace(edit.old, edit.new)
    return text


def _node(tree: ast.AST, path: list[str]) -> ast.AST:
    for name in path:
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
        named = [one for one in ast.walk(tree) if isinstance(one, kinds) and one.name == name]
        assigned = [one for one in ast.walk(tree) if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == name]
        tree = (named or assigned)[0]
    return tree


def _code(whole: CodeType, node: ast.AST) -> CodeType:
    first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
    waiting = [whole]
    while waiting:
        code = waiting.pop()
        if (code.co_name, code.co_firstlineno) == (node.name, first):
            return code
        waiting.extend(one for one in code.co_consts if isinstance(one, CodeType))
    raise LookupError(node.name)


def _same(one: CodeType, other: CodeType) -> bool:
    return (one.co_filename, one.co_name, one.co_firstlineno) == (other.co_filename, other.co_name, other.co_firstlineno)


def _fitting(code: CodeType, function: FunctionType) -> CodeType:
    """A closure keeps the cells that it has, so an edit has to name the same ones."""
    if code.co_freevars != function.__code__.co_freevars:
        raise LookupError(f"{function.__qualname__}: the edit changes the names that it closes over, {function.__code__.co_freevars}")
    return code
