# SPDX-License-Identifier: GPL-3.0-or-later
"""Entries of IP address groups: what one means, in the option and in the API, and whether a group admits an address. Pure.

A value is an option and its text in the one form that is compared and shown: addresses as ``ipaddress`` writes them, a network
with its prefix length, names in lower case. ``group`` alone keeps its spelling.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import typing as t

from ansible_collections.mailops.kerio.plugins.module_utils.errors import InputError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Span = tuple[Address, Address]
# Option and text.
Value = tuple[str, str]
Options = t.Mapping[str, t.Any]

VALUE_OPTIONS = ("host", "network", "range", "prefix", "group", "this_machine")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_NAME = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*\.?")


def value_of(where: str, entry: Options) -> Value:
    """Return what an entry of the option stands for; raises ``InputError`` on what cannot be meant."""
    given = [(option, entry[option]) for option in VALUE_OPTIONS if entry.get(option) is not None]
    if len(given) != 1:
        named = " and ".join(option for option, _value in given) or "no value"
        raise InputError(where, f"it has {named}", f"Write exactly one of {', '.join(VALUE_OPTIONS)}")
    option, raw = given[0]
    text = str(raw).strip()
    try:
        return option, _READERS[option](text)
    except ValueError as error:
        raise InputError(f"{where} ({option} {text!r})", str(error), _REMEDIES[option]) from None


def fold(name: str) -> str:
    """Return the form of a group's name that is compared: the server's comparisons ignore case."""
    return name.strip().lower()


def key_of(value: Value) -> Value:
    """Return the form in which two values are equal if they mean the same."""
    option, text = value
    return option, text.lower()


def _address(text: str) -> Address:
    # An interface behind a percent sign means nothing on another machine.
    if "%" in text:
        raise ValueError(f"{text} names an interface")
    return ipaddress.ip_address(text)


def _host(text: str) -> str:
    with contextlib.suppress(ValueError):
        return str(_address(text))
    name = text.lower()
    last = name.rstrip(".").rpartition(".")[2]
    if not _NAME.fullmatch(name) or last.isdigit():
        raise ValueError("it is neither an IP address nor a DNS name")
    return name.rstrip(".")


def _network(text: str) -> str:
    address, slash, mask = (part.strip() for part in text.partition("/"))
    if not slash:
        raise ValueError("it has no mask")
    return _whole_network(ipaddress.IPv4Address(address), mask)


def _prefix(text: str) -> str:
    address, slash, length = (part.strip() for part in text.partition("/"))
    if not slash:
        raise ValueError("it has no prefix length")
    return _whole_network(ipaddress.IPv6Address(address), length)


def _whole_network(address: Address, mask: str) -> str:
    network = network_of(address, mask)
    if network.network_address != address:
        raise ValueError(f"{address} is an address inside the network {network}")
    return str(network)


def network_of(address: Address, mask: str) -> Network:
    """Return the network around an address, the mask in either spelling; raises ``ValueError``."""
    return ipaddress.ip_network((str(address), _prefix_length(address, mask)), strict=False)


def _prefix_length(address: Address, mask: str) -> int:
    """Return the prefix length that a mask of the address's family means: a number of bits, or the mask itself."""
    if re.fullmatch(r"[0-9]{1,3}", mask):
        length = int(mask)
        if length > address.max_prefixlen:
            raise ValueError(f"a prefix length of {length} is more than the address has bits")
        return length
    bits = int(type(address)(mask))
    host = bits ^ ((1 << address.max_prefixlen) - 1)
    if host & (host + 1):
        raise ValueError(f"{mask} is not a network mask, whose ones come first")
    return address.max_prefixlen - host.bit_length()


def _range(text: str) -> str:
    first, dash, last = (part.strip() for part in text.partition("-"))
    if not dash:
        raise ValueError("it has no dash between two addresses")
    return _ordered(_address(first), _address(last))


def _ordered(first: Address, last: Address) -> str:
    if first.version != last.version:
        raise ValueError("its ends are of two address families")
    if int(first) > int(last):
        raise ValueError("it ends before it begins")
    return f"{first}-{last}"


def _group(text: str) -> str:
    if not text:
        raise ValueError("it is empty")
    return text


def _this_machine(text: str) -> str:
    if text.lower() != "true":
        raise ValueError("an entry cannot be everything but this machine")
    return "true"


_READERS: dict[str, t.Callable[[str], str]] = {
    "host": _host,
    "network": _network,
    "range": _range,
    "prefix": _prefix,
    "group": _group,
    "this_machine": _this_machine,
}
_REMEDIES = {
    "host": "Write one IP address or one DNS name; several addresses are a network, a range or a prefix",
    "network": "Write an IPv4 network such as 10.0.0.0/8 or 10.0.0.0/255.0.0.0; for IPv6 there is prefix",
    "range": "Write the first and the last address, such as 10.0.0.1-10.0.0.9",
    "prefix": "Write an IPv6 network such as 2001:db8::/32; for IPv4 there is network",
    "group": "Write the name of another group",
    "this_machine": "Write this_machine: true, or remove the entry",
}


def read_value(row: t.Mapping[str, t.Any], names: t.Mapping[str, str]) -> Value | None:
    """Return what a row of the API stands for, or ``None`` when the option has no way to say it.

    ``names`` are those of groups by id. How a server writes a prefix is not documented: an address and a length in ``addr1`` and
    ``addr2``, or both with a slash in ``host`` or ``addr1``, are all understood, and so are both spellings of a mask.
    """
    reader = _ROW_READERS.get(row.get("type"))
    if reader is None:
        return None
    try:
        return reader({member: str(row.get(member) or "").strip() for member in _VALUE_MEMBERS}, names)
    except ValueError:
        return None


Members = dict[str, str]
Names = t.Mapping[str, str]
_VALUE_MEMBERS = ("host", "addr1", "addr2", "childGroupId")


def _read_host(row: Members, _names: Names) -> Value:
    return _read_network(row, _names) if "/" in row["host"] else ("host", _host(row["host"]))


def _read_network(row: Members, _names: Names) -> Value:
    address, _slash, mask = (row["addr1"] or row["host"]).partition("/")
    network = network_of(_address(address), mask or row["addr2"])
    return ("network" if network.version == 4 else "prefix"), str(network)


def _read_range(row: Members, _names: Names) -> Value:
    return "range", _ordered(_address(row["addr1"]), _address(row["addr2"]))


def _read_group(row: Members, names: Names) -> Value | None:
    name = names.get(row["childGroupId"], "").strip() if row["childGroupId"] else ""
    return ("group", name) if name else None


def _read_this_machine(_row: Members, _names: Names) -> Value:
    return "this_machine", "true"


_ROW_READERS: dict[t.Any, t.Callable[[Members, Names], Value | None]] = {
    "Host": _read_host,
    "Network": _read_network,
    "Range": _read_range,
    "IpPrefix": _read_network,
    "ChildGroup": _read_group,
    "ThisMachine": _read_this_machine,
}


def prefix_in_host(rows: t.Iterable[t.Mapping[str, t.Any]]) -> bool:
    """Whether this server has a prefix in ``host``, of which a binding says that it may hold one."""
    return any(row.get("type") == "IpPrefix" and "/" in str(row.get("host")) for row in rows)


def written(value: Value, group_id: str = "", in_host: bool = False) -> dict[str, str]:
    """Return the type and the value members of a row; ``group_id`` is that of the child group, ``in_host`` see above."""
    option, text = value
    if option == "prefix" and in_host:
        return {"type": "IpPrefix", "host": text}
    if option == "group":
        return {"type": "ChildGroup", "childGroupId": group_id}
    if option == "host":
        return {"type": "Host", "host": text}
    if option == "this_machine":
        return {"type": "ThisMachine"}
    if option == "range":
        first, last = text.split("-")
        return {"type": "Range", "addr1": first, "addr2": last}
    network = ipaddress.ip_network(text)
    kind, mask = ("Network", str(network.netmask)) if option == "network" else ("IpPrefix", str(network.prefixlen))
    return {"type": kind, "addr1": str(network.network_address), "addr2": mask}


def order_of(value: Value) -> tuple[int, int, int, int, str]:
    """Return what entries are sorted by: addresses by number, then names, then groups."""
    option, text = value
    span = _span(option, text)
    if span is None:
        return VALUE_OPTIONS.index(option), 9, 0, 0, text.lower()
    return VALUE_OPTIONS.index(option), span[0].version, int(span[0]), int(span[1]), text


def admits(groups: t.Mapping[str, t.Sequence[Options]], name: str, address: str) -> bool | None:
    """Whether a group of ``groups``, entries in the option's shape by name, holds an address or DNS name.

    ``None``: nobody can tell, because no entry is known to match and an enabled one is a DNS name, the server itself, of unknown
    shape, or a group that is not among ``groups``. Disabled entries do not count; an address that IPv6 maps from IPv4 is that
    IPv4 address.
    """
    known = {fold(spelling): entries for spelling, entries in groups.items()}
    asked = _asked(address)
    waiting, seen, sure = [fold(name)], set(), True
    while waiting:
        group = waiting.pop()
        if group in seen:
            continue
        seen.add(group)
        sure = sure and group in known
        for option, text in _enabled(known.get(group, ())):
            if option == "group":
                waiting.append(text.lower())
                continue
            answer = _matches(option, text, asked)
            if answer:
                return True
            sure = sure and answer is not None
    return False if sure else None


def _enabled(entries: t.Sequence[Options]) -> t.Iterator[Value]:
    for entry in entries:
        if entry.get("enabled") is False:
            continue
        try:
            yield value_of("an entry", entry)
        except InputError:
            yield "unknown", ""


def _asked(address: str) -> Address | str:
    text = address.strip()
    with contextlib.suppress(ValueError):
        text = _host(text)
    span = _span("host", text)
    return text if span is None else span[0]


def _matches(option: str, text: str, asked: Address | str) -> bool | None:
    """Whether one entry other than a group holds what is asked for; ``None``: nobody can tell."""
    if isinstance(asked, str):
        return True if (option, text) == ("host", asked) else None
    span = _span(option, text)
    if span is None:
        return None
    first, last = span
    if first.version == asked.version:
        return int(first) <= int(asked) <= int(last)
    # Whether all of IPv6 means IPv4 in its IPv6 form as well, only the server knows.
    around = first.version == 6 and int(first) <= int(_MAPPED[0]) and int(_MAPPED[-1]) <= int(last)
    return None if around else False


def _span(option: str, text: str) -> Span | None:
    """Return the first and last address of a value; ``None`` when it is no addresses."""
    if option in ("network", "prefix"):
        network = ipaddress.ip_network(text)
        return _unmapped(network[0], network[-1])
    if option not in ("host", "range"):
        return None
    ends = text.split("-") if option == "range" else [text]
    try:
        return _unmapped(_address(ends[0]), _address(ends[-1]))
    except ValueError:
        return None


def _unmapped(first: Address, last: Address) -> Span:
    mapped = [end.ipv4_mapped for end in (first, last) if isinstance(end, ipaddress.IPv6Address) and end.ipv4_mapped]
    return (mapped[0], mapped[1]) if len(mapped) == 2 else (first, last)
