# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks and modules compile is kept for the next ones.

Modules arrive as an archive, and what is imported from an archive is compiled in every process: the code is kept, by its source.
So is what data classes compile, and what Ansible reads of its 9,700 lines on where its plugins went.
"""

from __future__ import annotations

import _imp
import atexit
import dataclasses
import gc
import importlib.util
import marshal
import os
import sys
import types
import typing as t
import zipimport

FOLDER = os.environ.get("TESTS_KEPT", "")
Found = tuple[types.CodeType, bool, str]
_compile = zipimport._compile_source  # type: ignore[attr-defined]  # private to CPython
_find = zipimport._get_module_code  # type: ignore[attr-defined]  # private to CPython
_found: dict[tuple[str, str], Found] = {}


def kept(source: bytes, make: t.Callable[[], t.Any]) -> t.Any:
    """Return what ``make`` makes of ``source``, from the folder if it is there."""
    key = _imp.source_hash(importlib.util._RAW_MAGIC_NUMBER, source).hex()  # type: ignore[attr-defined]  # private to CPython
    path = os.path.join(FOLDER, f"{key}-{len(source)}")  # noqa: PTH118  pathlib is not loaded for this
    try:
        with open(path, "rb") as file:  # noqa: PTH123  the same
            return marshal.loads(file.read())  # noqa: S302  written below
    except OSError:
        made = make()
        _keep(path, made)
        return made


def _keep(path: str, made: t.Any) -> None:
    own = f"{path}.{os.getpid()}"
    try:
        with open(own, "wb") as file:  # noqa: PTH123  the same
            file.write(marshal.dumps(made))
        os.replace(own, path)  # noqa: PTH105  the same
    except OSError:  # some tests take a module the right to write
        return


def compiled(pathname: str, source: bytes) -> types.CodeType:
    """Return the code of ``source``; tracebacks name the file that it was read from this time."""
    code: types.CodeType = kept(source, lambda: _compile(pathname, source))
    _imp._fix_co_filename(code, pathname)  # type: ignore[attr-defined]  # private to CPython
    return code


def found(importer: zipimport.zipimporter, name: str) -> Found:
    """Return the code of a module, for which an archive is asked twice: where it is, and then what it is."""
    key = (importer.archive, name)
    if key in _found:
        return _found.pop(key)
    _found[key] = _find(importer, name)
    return _found[key]


def execute(text: str, names: dict[str, t.Any], own: dict[str, t.Any]) -> None:
    """What a data class does with the text of its methods."""
    exec(kept(text.encode(), lambda: compile(text, "<string>", "exec")), names, own)  # noqa: S102  the text of dataclasses itself


def keep_routes() -> None:
    """Have Ansible keep what it reads of a collection's meta/runtime.yml: dictionaries of texts."""
    from ansible.utils.collection_loader import _collection_finder as finder

    read = finder._meta_yml_to_dict

    def routes(text: bytes | str, content_id: t.Any) -> dict[str, t.Any]:
        source = text if isinstance(text, bytes) else text.encode()
        told: dict[str, t.Any] = kept(source, lambda: read(text, content_id))
        return told

    finder._meta_yml_to_dict = routes


def keep_templates() -> None:
    """Have Jinja keep what it compiles: each process of a task compiles the variables that the task reads, and theirs."""
    import jinja2
    from jinja2.environment import Environment, TemplateExpression

    make, make_expression = Environment.compile, Environment.compile_expression
    signs = ("block_start_string", "block_end_string", "variable_start_string", "variable_end_string", "comment_start_string",
             "comment_end_string", "line_statement_prefix", "line_comment_prefix", "trim_blocks", "lstrip_blocks",
             "newline_sequence", "keep_trailing_newline", "is_async", "optimized")  # fmt: skip

    def key(environment: t.Any, kind: str, source: str) -> bytes:
        how = [repr(getattr(environment, sign)) for sign in signs]
        own = [jinja2.__version__, type(environment).__qualname__, *sorted(environment.extensions)]
        return "\0".join([kind, *own, *how, source]).encode()

    def compiled_template(environment: t.Any, source: t.Any, *given: t.Any, **more: t.Any) -> t.Any:
        if given or more or not isinstance(source, str):
            return make(environment, source, *given, **more)
        return kept(key(environment, "template", source), lambda: make(environment, source))

    def compiled_expression(environment: t.Any, source: str, undefined_to_none: bool = True) -> t.Any:
        made: list[t.Any] = []

        def code() -> t.Any:
            def noted(_environment: t.Any, tree: t.Any, *given: t.Any, **more: t.Any) -> t.Any:
                made.append(make(environment, tree, *given, **more))
                return made[-1]

            Environment.compile = noted  # type: ignore[method-assign]  # of all environments
            try:
                make_expression(environment, source)
            finally:
                Environment.compile = compiled_template  # type: ignore[method-assign]  # of all environments
            return made[0]

        kept_code = kept(key(environment, "expression", source), code)
        names = environment.make_globals(None)
        return TemplateExpression(environment.template_class.from_code(environment, kept_code, names), undefined_to_none)

    Environment.compile = compiled_template  # type: ignore[method-assign]  # of all environments
    Environment.compile_expression = compiled_expression  # type: ignore[method-assign]  # of all environments


if FOLDER:
    zipimport._compile_source = compiled  # type: ignore[attr-defined]  # private to CPython
    zipimport._get_module_code = found  # type: ignore[attr-defined]  # private to CPython
    dataclasses.exec = execute  # type: ignore[attr-defined]  # before the builtin
    # These processes end before garbage is worth looking for: a tenth of their time went into that, and as much into looking once
    # more at their end.
    gc.set_threshold(100_000, 50, 100)
    atexit.register(gc.freeze)
    if sys.orig_argv[1:3] == ["-m", "ansible"]:
        keep_routes()
        keep_templates()
