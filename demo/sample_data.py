"""Administrative penalties as sample records: from a published CSV file, or generated.

`python -m demo.sample_data --source penalties.csv --out prepared.csv`
`python -m demo.sample_data --count 10000 --out generated.csv`

Published files carry no unified social credit codes. Each party gets a valid code made from its name, always the same one.
"""

import argparse
import csv
import io
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

from demo.identifiers import party_code

FIELDS: list[dict[str, Any]] = [
    {"name": "uscc", "zh": "统一社会信用代码", "type": "uscc", "required": True, "mask": "code"},
    {"name": "party", "zh": "当事人", "type": "name", "required": True, "mask": "none"},
    {"name": "penalty_date", "zh": "处罚日期", "type": "date", "mask": "none"},
    {"name": "kind", "zh": "处罚类型", "type": "text", "mask": "none"},
    {"name": "amount", "zh": "罚没金额（元）", "type": "amount", "mask": "amount-band"},
    {"name": "facts", "zh": "违规事实", "type": "text", "mask": "text-hidden"},
    {"name": "authority", "zh": "处理机构", "type": "organisation", "mask": "none"},
    {"name": "legal_basis", "zh": "法律依据", "type": "text", "mask": "none"},
]
"""The fields of the resource `administrative-penalties`, as its registration wants them."""
COLUMNS = tuple(str(field["name"]) for field in FIELDS)
SOURCE_COLUMNS = ("当事人", "处罚日期", "处罚类型", "罚没金额（元）", "违规事实", "处理机构", "法律依据")
"""Columns of the published file, in the order of `COLUMNS` after the code."""

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


def penalties() -> tuple[bytes, str]:
    """Return the CSV, and the code of a party in it."""
    rows = list(generate(500, with_errors=True))
    text = io.StringIO()
    write(rows, text)
    return text.getvalue().encode(), rows[0][0]


def convert(source: TextIO) -> Iterator[Record]:
    """Yield the records of a published file, each with its party's code. Malformed values stay as published."""
    for row in csv.DictReader(source):
        party = row[SOURCE_COLUMNS[0]].strip()
        yield (party_code(party), party, *(row[column] for column in SOURCE_COLUMNS[1:]))


def generate(count: int, *, seed: int = 1, with_errors: bool = False) -> Iterator[Record]:
    """Yield `count` records, the same for each seed; `with_errors` writes some as malformed as published files do."""
    rng = random.Random(seed)  # noqa: S311 - reproducible on purpose
    for number in range(count):
        party = (
            f"厦门{rng.choice(DISTRICTS)}{rng.choice(WORDS)}{rng.choice(TRADES)}"
            f"{rng.randrange(max(count // 3, 1)) + 1}号有限公司"
        )
        facts, basis = rng.choice(FACTS)
        record = (
            party_code(party),
            party,
            f"{rng.randrange(2016, 2026)}-{rng.randrange(1, 13):02}-{rng.randrange(1, 29):02}",
            rng.choice(KINDS),
            str(rng.randrange(1, 500) * 1_000),
            f"{facts}（第{number + 1}案）",
            f"厦门市{rng.choice(AUTHORITIES)}",
            basis,
        )
        yield _malformed(record, number) if with_errors else record


def _malformed(record: Record, number: int) -> Record:
    """Return a variant of the record: the first four still load, the platform rejects the last two."""
    code, party, day, kind, amount, facts, authority, basis = record
    variants: dict[int, Record] = {
        1: (code.lower(), party, day.replace("-", "/"), kind, amount, facts, authority, basis),
        2: (code, party, day, kind, "— —", facts, authority, "无"),
        3: (code, party, day, kind, "/", f"{facts}\\n限期改正", authority, basis),
        4: (f" {code} ", party, day, "/", f"{int(amount):,}", f"{facts}，\n限期改正", authority, basis),
        5: (code, party, day, kind, amount, facts, day, basis),
        6: (code[:-1] + ("0" if code[-1] != "0" else "1"), party, day, kind, amount, facts, authority, basis),
    }
    return variants.get(number % 20, record)


def write(records: Iterable[Record], out: TextIO) -> int:
    """Write header and records as CSV (RFC 4180); return the number of records."""
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
    parser.add_argument("--source", type=Path, help="published CSV (UTF-8); generate the records if it does not exist")
    parser.add_argument("--count", type=int, default=1000, help="number of records to generate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--with-errors", action="store_true", help="generate malformed records, too")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with options.out.open("w", encoding="utf-8", newline="") as out:
        if options.source and options.source.exists():
            with options.source.open(encoding="utf-8-sig", newline="") as source:
                count = write(convert(source), out)
        else:
            count = write(generate(options.count, seed=options.seed, with_errors=options.with_errors), out)
    print(f"{count} records -> {options.out}", file=sys.stderr)


if __name__ == "__main__":
    main()
