# SPDX-License-Identifier: GPL-3.0-or-later
"""Every page of the reference with its text."""

from __future__ import annotations

import json
import re
import typing as t
from pathlib import Path, PurePosixPath

import jinja2

from tests.reference import filters, lab, playbooks, sources
from tests.reference.markup import REFERENCE, Markup, Row, code, rows

TEMPLATES = jinja2.Environment(  # noqa: S701 - Markdown, not HTML
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
ROLE_FILES = ("tasks", "templates", "vars", "files")


class Variable(t.NamedTuple):
    """A line of the list of all variables. ``owners`` are the role, or the playbooks, that it belongs to."""

    row: Row
    owners: list[str]


def pages() -> dict[str, str]:
    """Return the text of every page by its path in the checkout."""
    index = REFERENCE / "README.md"
    variables = REFERENCE / "variables.md"
    switches = REFERENCE / "lab.md"
    return {
        str(index): _rendered("index", _index(Markup(index))),
        str(variables): _rendered("variables", {"variables": _variables(Markup(variables))}),
        str(switches): _rendered("lab", {"groups": [_group(group, Markup(switches)) for group in lab.groups()]}),
        **{str(_page("modules", name)): _rendered("module", _module(name)) for name in sources.MODULES},
        **{str(_page("roles", name)): _rendered("role", _role(name)) for name in sources.ROLES},
        **{str(_page("filters", name)): _rendered("filter", _filter(name)) for name in sources.FILTERS},
        **{str(_page("playbooks", name)): _rendered("playbook", _playbook(name)) for name in sources.PLAYBOOKS},
    }


def _page(kind: str, name: str) -> PurePosixPath:
    return REFERENCE / kind / f"{name}.md"


def _rendered(template: str, context: dict[str, t.Any]) -> str:
    text = TEMPLATES.get_template(f"{template}.md.j2").render(context)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def _index(markup: Markup) -> dict[str, t.Any]:
    return {
        "modules": [
            (markup.entry("modules", name), markup.cell(sources.module(name).document["short_description"]))
            for name in sources.MODULES
        ],
        "roles": [
            (markup.entry("roles", name), markup.cell(sources.entry_point(name)["short_description"])) for name in sources.ROLES
        ],
        "playbooks": [(markup.entry("playbooks", name), _first_sentence(markup, name)) for name in sources.PLAYBOOKS],
        "filters": [
            (markup.entry("filters", name), markup.cell(sources.filter_plugin(name).document["short_description"]))
            for name in sources.FILTERS
        ],
    }


def _group(group: lab.Group, markup: Markup) -> dict[str, t.Any]:
    rows_of = [(code(one.name), ", ".join(one.positions), code(one.default), markup.plain(one.meaning)) for one in group.switches]
    return {"title": group.title, "rows": rows_of}


def _first_sentence(markup: Markup, playbook: str) -> str:
    return markup.plain(re.split(r"(?<=[a-z)])\. ", playbooks.about(playbook))[0].rstrip("."))


def _module(name: str) -> dict[str, t.Any]:
    document, examples, returns = sources.module(name)
    markup = Markup(_page("modules", name), "module", name)
    return {
        "name": name,
        "short": markup.cell(document["short_description"]),
        "description": markup.paragraphs(document["description"]),
        "requirements": [markup.cell(entry) for entry in document["requirements"]],
        "attributes": [_attribute(key, entry, markup) for key, entry in sorted(document["attributes"].items())],
        "options": list(rows(document["options"], markup)),
        "notes": [markup.cell(entry) for entry in document["notes"]],
        "seealso": [markup.cell(f"M({entry['module']})") for entry in document["seealso"]],
        "examples": examples,
        "returns": [
            (row, markup.cell(returns[row.name.strip("`")]["returned"]) if row.name.strip("`") in returns else "")
            for row in rows(returns, markup)
        ],
        "sample": _sample(returns),
    }


def _filter(name: str) -> dict[str, t.Any]:
    document, examples, returns = sources.filter_plugin(name)
    markup = Markup(_page("filters", name), "filter", name)
    return {
        "name": name,
        "short": markup.cell(document["short_description"]),
        "description": markup.paragraphs(document["description"]),
        "options": list(rows(document["options"], markup)),
        "examples": examples,
        "returns": markup.cell(returns["_value"]["description"]),
    }


def _attribute(name: str, entry: sources.Document, markup: Markup) -> tuple[str, str, str]:
    more = [*entry.get("membership", []), *([entry["platforms"]] if "platforms" in entry else [])]
    return code(name), ", ".join([entry["support"], *map(code, more)]), markup.cell(entry["description"])


def _sample(returns: sources.Document) -> str:
    found = {name: value["sample"] for name, value in returns.items() if "sample" in value}
    return json.dumps(found, indent=2, ensure_ascii=False, default=str) if found else ""


def _role(name: str) -> dict[str, t.Any]:
    specification = sources.entry_point(name)
    markup = Markup(_page("roles", name), "role", name)
    options = _role_options(name)
    return {
        "name": name,
        "short": markup.cell(specification["short_description"]),
        "description": markup.paragraphs(specification["description"]),
        "variables": list(rows(options, markup)),
        "used": [(code(key), ", ".join(_used_in(name, key, markup))) for key in options],
        "playbooks": [markup.entry("playbooks", book) for book in sources.PLAYBOOKS if name in playbooks.uses(book).roles],
    }


def _role_options(role: str) -> dict[str, sources.Document]:
    defaults = sources.load_file(sources.ROOT / "roles" / role / "defaults" / "main.yml")
    return {key: _with_default(option, defaults.get(key)) for key, option in sources.entry_point(role)["options"].items()}


def _with_default(option: sources.Document, default: object) -> sources.Document:
    """A default that is an expression stands in the defaults alone."""
    return option if default is None or option.get("required") else {"default": default, **option}


def _used_in(role: str, variable: str, markup: Markup) -> list[str]:
    """Return the files that read a variable: those of its role, those of other roles, those of playbooks, and the playbooks."""
    word = re.compile(rf"\b{variable}\b")
    own = sources.ROOT / "roles" / role
    files = [file for file, text in _read_files().items() if word.search(text)]
    return [
        markup.entry("playbooks", file.stem)
        if file.parent == playbooks.FOLDER
        else code(str(file.relative_to(own if file.is_relative_to(own) else sources.ROOT)))
        for file in sorted(files, key=lambda file: not file.is_relative_to(own))
    ]


_FILES: dict[Path, str] = {}


def _read_files() -> dict[Path, str]:
    if not _FILES:
        folders = [sources.ROOT / "roles" / role / part for role in sources.ROLES for part in ROLE_FILES]
        files = [file for folder in (*folders, playbooks.FOLDER) for file in folder.rglob("*") if file.is_file()]
        files += filters.SITE.glob("*.py")
        _FILES.update({file: file.read_text(encoding="utf-8") for file in sorted(files) if file.name != "options.yml"})
    return _FILES


def _playbook(name: str) -> dict[str, t.Any]:
    markup = Markup(_page("playbooks", name))
    uses = playbooks.uses(name)
    options = {key: option for key, option in sources.playbook_options().items() if key in uses.reads}
    return {
        "name": name,
        "about": markup.plain(playbooks.about(name)),
        "plays": [
            (play.name, code(play.hosts) if play.hosts else f"runs {markup.entry('playbooks', play.playbook)}")
            for play in playbooks.plays(name)
        ],
        "imports": [markup.entry("playbooks", play.playbook) for play in playbooks.plays(name) if play.playbook],
        "modules": [markup.entry("modules", part) for part in sorted(uses.modules)],
        "roles": [markup.entry("roles", part) for part in sorted(uses.roles)],
        "variables": list(_outer_rows(options, markup)),
        "role_variables": [code(key) for key in sorted(uses.reads & set(sources.role_options()))],
    }


def _outer_rows(options: dict[str, sources.Document], markup: Markup) -> t.Iterator[Row]:
    """What is inside of a variable that goes to an option of a module stands on the page of the module."""
    for name, option in options.items():
        row = next(rows({name: {**option, "description": _beginning(option)}}, _of_module(option, markup)))
        yield row._replace(description=f"{row.description} {_goes_to(option, markup)}".rstrip())


def _beginning(option: sources.Document) -> str:
    """Return the first paragraph; the page of the role or module has all of them."""
    text = option["description"]
    return str(text[0] if isinstance(text, list) else text)


def _of_module(option: sources.Document, markup: Markup) -> Markup:
    return Markup(markup.page, "module", option["of"].partition(".")[0]) if "of" in option else markup


def _goes_to(option: sources.Document, markup: Markup) -> str:
    module, _, key = option.get("of", "").partition(".")
    return f"More: {code(key)} of {markup.entry('modules', module)}." if module else ""


def _variables(markup: Markup) -> list[Variable]:
    """Return all variables of roles and playbooks by name."""
    of_roles = [
        Variable(row, [markup.entry("roles", role)])
        for role in sources.ROLES
        for row in _outer_rows(_role_options(role), Markup(markup.page, "role", role))
    ]
    of_playbooks = [
        Variable(row, [markup.entry("playbooks", book) for book in sources.PLAYBOOKS if key in playbooks.uses(book).reads])
        for key, row in zip(sources.playbook_options(), _outer_rows(sources.playbook_options(), markup), strict=True)
    ]
    return sorted([*of_roles, *of_playbooks])
