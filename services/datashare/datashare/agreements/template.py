"""The text of a use agreement, and the digest that identifies it."""

import hashlib
from typing import Any

import orjson

_TEXT = """\
公共信用数据使用协议

协议编号：{agreement}
甲方：市公共信用主管部门
乙方：{unit_name}（{unit}）

依据《公共信用信息平台安全管理规程》第十条，就乙方使用市信用平台数据事宜，双方约定如下：

一、使用范围。甲方同意乙方使用资源“{title}”（{resource}）的下列字段：{fields}。
二、使用目的。仅限于：{purposes}。每次查询须注明目的和案（事）件编号。
三、使用期限。自双方签署生效之日起 {term_days} 日{ends_at}；期满即止，不自动延续。
四、使用额度。每日查询不超过 {calls} 次、{rows} 条记录、{subjects} 个不同主体。
五、接入方式。仅限乙方经批准的接入系统：{systems}，自已登记的网络来源：{origins}；以及乙方具有查询权限的在岗人员。
六、保密与安全。乙方应执行本单位数据安全管理细则，不得将数据或其成果泄露或提供给第三方；向第三方提供须另行申请并获批准。
七、人员变动。乙方人员转岗、离职的，应即时报送注销账号，并就其获取的信用信息办理专项交接。
八、监督与处置。平台对每次查询留存记录。甲方可依规程变更开放范围、暂停或撤销授权；发生安全事件时授权即时暂停。
九、生效。本协议经双方签署后生效。双方签署的是本文本及其条款的 SHA-256 摘要所确定的内容。
"""


def render_agreement(terms: dict[str, Any], *, unit_name: str, title: str, labels: dict[str, str]) -> str:
    """Return the full text for `terms`; `labels` gives the fields' Chinese names."""
    quota = terms["quota"]
    return _TEXT.format(
        agreement=terms["agreement_id"],
        unit_name=unit_name,
        unit=terms["unit_id"],
        title=title,
        resource=terms["resource"],
        fields="、".join(f"{labels.get(name, name)}（{name}）" for name in terms["fields"]),
        purposes="、".join(terms["purposes"]),
        term_days=terms["term_days"],
        ends_at=f"，且不晚于 {terms['ends_at']}" if terms["ends_at"] else "",
        calls=quota["calls"],
        rows=quota["rows"],
        subjects=quota["subjects"],
        systems="、".join(terms["systems"]) or "无",
        origins="、".join(terms["origins"]) or "无",
    )


def agreement_digest(text: str, terms: dict[str, Any]) -> str:
    """Return the SHA-256 (hex) of the UTF-8 text, a line end, and the terms as JSON with sorted keys and no blanks."""
    return hashlib.sha256(text.encode() + b"\n" + orjson.dumps(terms, option=orjson.OPT_SORT_KEYS)).hexdigest()
