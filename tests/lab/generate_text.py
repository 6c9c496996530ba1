# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw material of generated mail: sample text per character set, words, folder names, attachment bytes."""

from __future__ import annotations

import base64
import random
import re

WESTERN = "Größere Lieferung für Café Zoë: naïve Señora, ça va où? Übergrößenträger, smørrebrød, Ångström."
CENTRAL = "Příliš žluťoučký kůň úpěl ďábelské ódy. Zażółć gęślą jaźń. Árvíztűrő tükörfúrógép."
BALTIC = "Įlinkdama fechtuotojo špaga sublykčiojusi. Glāžšķūņa rūķīši."
CYRILLIC = "Съешь ещё этих мягких французских булок, да выпей чаю."
UKRAINIAN = "Жебракують філософи при ґанку церкви в Гадячі."
GREEK = "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία."
TURKISH = "Pijamalı hasta yağız şoföre çabucak güvendi. İstanbul ığdır."
HEBREW = "דג סקרן שט בים מאוכזב ולפתע מצא חברה"
ARABIC = "صِف خَلقَ خَودٍ".replace("ِ", "").replace("َ", "").replace("ٍ", "")
THAI = "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า"
JAPANESE = "いろはにほへと ちりぬるを 会議の議事録を添付します"
SIMPLIFIED = "请查收附件中的合同 天地玄黄"
TRADITIONAL = "請查收附件中的合約 天地玄黃"
KOREAN = "다람쥐 헌 쳇바퀴에 타고파 첨부 파일"
VIETNAMESE = "Tôi có thể ăn thủy tinh".replace("ể", "ê").replace("ủ", "u")
EMOJI = "Feierabend 🎉 naïve ﬁn 👩‍💻 مرحبا ✓"

# Character set as it is written in the mail, Python's codec, a text it can hold.
CHARSETS: tuple[tuple[str, str, str], ...] = (
    ("us-ascii", "ascii", "The quick brown fox jumps over the lazy dog."),
    ("utf-8", "utf-8", EMOJI),
    ("iso-8859-1", "iso-8859-1", WESTERN),
    ("iso-8859-15", "iso-8859-15", WESTERN + " 12,50 €"),
    ("windows-1252", "cp1252", WESTERN + " „quoted“ – 5 €"),
    ("iso-8859-2", "iso-8859-2", CENTRAL),
    ("windows-1250", "cp1250", CENTRAL),
    ("iso-8859-4", "iso-8859-4", "Įlinkdama špaga"),
    ("iso-8859-13", "iso-8859-13", BALTIC),
    ("windows-1257", "cp1257", BALTIC),
    ("iso-8859-5", "iso-8859-5", CYRILLIC),
    ("windows-1251", "cp1251", CYRILLIC),
    ("koi8-r", "koi8-r", CYRILLIC),
    ("koi8-u", "koi8-u", UKRAINIAN),
    ("iso-8859-7", "iso-8859-7", GREEK),
    ("windows-1253", "cp1253", GREEK),
    ("iso-8859-9", "iso-8859-9", TURKISH),
    ("windows-1254", "cp1254", TURKISH),
    ("iso-8859-8-i", "iso-8859-8", HEBREW),
    ("windows-1255", "cp1255", HEBREW),
    ("windows-1256", "cp1256", ARABIC),
    ("tis-620", "tis-620", THAI),
    ("windows-1258", "cp1258", VIETNAMESE),
    ("iso-2022-jp", "iso-2022-jp", JAPANESE),
    ("shift_jis", "shift_jis", JAPANESE),
    ("euc-jp", "euc-jp", JAPANESE),
    ("gb2312", "gb2312", SIMPLIFIED),
    ("gb18030", "gb18030", SIMPLIFIED),
    ("big5", "big5", TRADITIONAL),
    ("euc-kr", "euc-kr", KOREAN),
    ("utf-7", "utf-7", WESTERN),
    ("utf-16", "utf-16", EMOJI),
    ("macintosh", "mac-roman", WESTERN.replace("ø", "o")),
)
# Of these a transfer encoding must hide NULs or line ends.
WIDE = frozenset({"utf-16"})

WORDS = re.findall(
    r"\w+",
    "account agenda archive backup balance budget calendar client contract delivery deadline draft estimate final follow "
    "forecast invoice launch ledger meeting migration minutes note offer order outage payment planning project proposal "
    "quarter receipt release reminder renewal report request review sample schedule server shipment statement status "
    "storage summary survey ticket travel update upgrade urgent vendor visit warranty week workshop",
)

# Every kind of name that a folder tree on disk or a careless client stumbles over.
FOLDERS: tuple[str, ...] = (
    "INBOX",
    "INBOX",
    "INBOX",
    "INBOX/customers/bigco",
    "Deleted Items",
    "Junk E-mail",
    "Drafts",
    "Projekte/Ängström/2025",
    "Projekte/Ängström/2026",
    "Клиенты",
    'Клиенты/Москва "Север"',
    "R&D",
    "R&D/Ämter & Behörden",
    "100% done",
    "Ende.",
    "Ende../weiter..",
    "日本語/受信箱",
    "two  spaces",
    'say "hello"',
    "star * and question?",
    "emoji 🎉",
    "cur",
    "Rechnungen",
    "rechnungen",
    "[Gmail]/All Mail",
    "(brackets) {7}",
    "colon: semicolon; comma,",
    "-dash",
    "#hash",
    "Ein sehr langer Ordnername, der " + "immer weiter geht und " * 6 + "endet",
    "a/b/c/d/e/f/g/h/i/j",
)

BODY_LINE = 76


class Pools:
    """Text and base64 bytes drawn once per seed; messages take slices (a slice costs nothing)."""

    def __init__(self, seed: str) -> None:
        chance = random.Random(f"pools {seed}")
        self.text = "".join(self._line(chance) for _ in range(6000)).encode("ascii")
        self.base64 = base64.encodebytes(chance.randbytes(2_000_000)).replace(b"\n", b"\r\n")

    @staticmethod
    def _line(chance: random.Random) -> str:
        return " ".join(chance.choices(WORDS, k=9))[:BODY_LINE].rstrip() + "\r\n"

    def paragraph(self, chance: random.Random, size: int) -> bytes:
        """About `size` bytes of whole lines."""
        start = self.text.index(b"\n", chance.randrange(len(self.text) // 2)) + 1
        end = self.text.find(b"\n", min(start + size, len(self.text) - 200)) + 1
        return self.text[start:end]

    def attachment(self, chance: random.Random, size: int) -> bytes:
        """About `size` bytes of base64 in lines of 76; valid from any line on."""
        line = BODY_LINE + 2
        lines = max(1, size // line)
        first = chance.randrange(max(1, len(self.base64) // line - lines - 1))
        return self.base64[first * line : (first + lines) * line]
