"""Prepares a CSV of administrative penalties for datashare: from a published file, or generated where there is none.

`python -m tools.make_penalties --source penalties.csv --out prepared.csv`
`python -m tools.make_penalties --count 10000 --out generated.csv`

Published files carry no unified social credit codes; a party gets one that is made from its name: always the same, valid
under GB 32100-2015, and nobody's registered one but by chance.
"""

import argparse
import csv
import hashlib
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from stdnum.cn import uscc

__all__ = ["COLUMNS", "code_of", "converted", "generated", "write"]

COLUMNS = ("uscc", "party", "penalty_date", "kind", "amount", "facts", "authority", "legal_basis")
"""The header: names of the fields of the resource `administrative-penalties`."""
SOURCE_COLUMNS = ("当事人", "处罚日期", "处罚类型", "罚没金额（元）", "违规事实", "处理机构", "法律依据")
"""What is taken from the published file, in the order of `COLUMNS` after the code."""

REGION = "350200"
ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""GB 32100-2015: no I, O, S, V, Z."""
WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
"""GB 11714-1997, check character of the organisation code that the social credit code contains."""

DISTRICTS = ("思明", "湖里", "集美", "海沧", "同安", "翔安")
WORDS = ("鹭江", "筼筜", "嘉禾", "鼓浪", "环东", "五缘", "同益", "海丝", "金榜", "白鹭", "杏林", "东渡")
TRADES = ("建设工程", "物业服务", "食品", "运输", "环保科技", "医药", "电子商务", "劳务", "园林", "检测")
FACTS = (
    ("未按规定公示收费项目", "《中华人民共和国价格法》第十三条"),
    ("未取得许可擅自施工", "《建筑工程施工许可管理办法》第十二条"),
    ("超范围经营", "《无证无照经营查处办法》第五条"),
    ("未按规定排放污染物", "《中华人民共和国水污染防治法》第八十三条"),
    ("经营超过保质期的食品", "《中华人民共和国食品安全法》第一百二十四条"),
    ("车辆超限运输", "《超限运输车辆行驶公路管理规定》第四十三条"),
)
AUTHORITIES = ("市场监督管理局", "住房和建设局", "交通运输局", "生态环境局")
KINDS = ("罚款", "警告", "警告,罚款", "罚款,没收违法所得")

Record = tuple[str, ...]


def code_of(party: str) -> str:
    """Return the party's code: type 91 (enterprise), the region, an organisation code from the name's SHA-256."""
    number = int.from_bytes(hashlib.sha256(party.encode()).digest())
    organisation = ""
    for _ in WEIGHTS:
        number, digit = divmod(number, len(ALPHABET))
        organisation += ALPHABET[digit]
    total = sum(int(character, 36) * weight for character, weight in zip(organisation, WEIGHTS, strict=True))
    check = (11 - total % 11) % 11
    body = f"91{REGION}{organisation}{'X' if check == 10 else check}"  # noqa: PLR2004 - GB 11714: X stands for ten
    return body + uscc.calc_check_digit(body)


def converted(source: TextIO) -> Iterator[Record]:
    """Yield the records of a published file, each with the code of its party; dirt stays, the platform reports it."""
    for row in csv.DictReader(source):
        party = row[SOURCE_COLUMNS[0]].strip()
        yield (code_of(party), party, *(row[column] for column in SOURCE_COLUMNS[1:]))


def generated(count: int, *, seed: int = 1, dirt: bool = False) -> Iterator[Record]:
    """Yield `count` records, always the same for a seed; `dirt` writes some of them as published files do."""
    chance = random.Random(seed)  # noqa: S311 - repeatable on purpose
    for number in range(count):
        party = (
            f"厦门{chance.choice(DISTRICTS)}{chance.choice(WORDS)}{chance.choice(TRADES)}"
            f"{chance.randrange(max(count // 3, 1)) + 1}号有限公司"
        )
        facts, basis = chance.choice(FACTS)
        record = (
            code_of(party),
            party,
            f"{chance.randrange(2016, 2026)}-{chance.randrange(1, 13):02}-{chance.randrange(1, 29):02}",
            chance.choice(KINDS),
            str(chance.randrange(1, 500) * 1_000),
            f"{facts}（第{number + 1}案）",
            f"厦门市{chance.choice(AUTHORITIES)}",
            basis,
        )
        yield _dirty(record, number) if dirt else record


def _dirty(record: Record, number: int) -> Record:
    """Write the record as files do: the first kinds still load, the last two are rows to reject."""
    code, party, day, kind, amount, facts, authority, basis = record
    writings: dict[int, Record] = {
        1: (code.lower(), party, day.replace("-", "/"), kind, amount, facts, authority, basis),
        2: (code, party, day, kind, "— —", facts, authority, "无"),
        3: (code, party, day, kind, "/", f"{facts}\\n限期改正", authority, basis),
        4: (f" {code} ", party, day, "/", f"{int(amount):,}", f"{facts}，\n限期改正", authority, basis),
        5: (code, party, day, kind, amount, facts, day, basis),
        6: (code[:-1] + ("0" if code[-1] != "0" else "1"), party, day, kind, amount, facts, authority, basis),
    }
    return writings.get(number % 20, record)


def write(records: Iterable[Record], out: TextIO) -> int:
    """Write header and records as CSV (RFC 4180); return how many."""
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    count = 0
    for record in records:
        writer.writerow(record)
        count += 1
    return count


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=Path, help="published CSV (UTF-8); not there: generate")
    parser.add_argument("--count", type=int, default=1000, help="records to generate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dirt", action="store_true", help="generate the dirt of published files too")
    parser.add_argument("--out", type=Path, required=True)
    wanted = parser.parse_args()
    with wanted.out.open("w", encoding="utf-8", newline="") as out:
        if wanted.source and wanted.source.exists():
            with wanted.source.open(encoding="utf-8-sig", newline="") as source:
                count = write(converted(source), out)
        else:
            count = write(generated(wanted.count, seed=wanted.seed, dirt=wanted.dirt), out)
    print(f"{count} records -> {wanted.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
