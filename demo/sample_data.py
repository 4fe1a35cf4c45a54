"""The records that the story loads: the published penalties where they lie beside the checkout, else generated ones."""

import io
from pathlib import Path

from tools.make_penalties import converted, generated, write

__all__ = ["FIELDS", "penalties"]

PUBLISHED = Path(__file__).resolve().parents[1].parent / "shared" / "data" / "penalties.csv"

FIELDS = [
    {"name": "uscc", "zh": "统一社会信用代码", "type": "uscc", "required": True, "mask": "code"},
    {"name": "party", "zh": "当事人", "type": "name", "required": True, "mask": "none"},
    {"name": "penalty_date", "zh": "处罚日期", "type": "date", "mask": "none"},
    {"name": "kind", "zh": "处罚类型", "type": "text", "mask": "none"},
    {"name": "amount", "zh": "罚没金额（元）", "type": "amount", "mask": "amount-band"},
    {"name": "facts", "zh": "违规事实", "type": "text", "mask": "text-hidden"},
    {"name": "authority", "zh": "处理机构", "type": "organisation", "mask": "none"},
    {"name": "legal_basis", "zh": "法律依据", "type": "text", "mask": "none"},
]


def penalties() -> tuple[bytes, str]:
    """Return the CSV, and the code of a party in it."""
    if PUBLISHED.exists():
        with PUBLISHED.open(encoding="utf-8-sig", newline="") as source:
            rows = list(converted(source))
    else:
        rows = list(generated(500, dirt=True))
    text = io.StringIO()
    write(rows, text)
    return text.getvalue().encode(), rows[0][0]
