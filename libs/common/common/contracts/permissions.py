"""Every permission of the platform: which kinds of unit may put it into a post, and the clause it serves.

Permissions are given to posts, never to a person directly (clause 6.2). A service binds the ones it asks for to types in
its own `permissions.py`; identity checks the posts against this table.
"""

from typing import Any

from common.enforcement.permissions import MANAGE_OPERATIONS, Permission, UnitKind
from common.web import authorization

A, C = UnitKind.AUTHORITY, UnitKind.CENTER
USERS = (UnitKind.AGENCY, UnitKind.PUBLIC_SERVICE, UnitKind.SOCIAL_INSTITUTION)
ALL = (A, C, *USERS)


PERMISSIONS: dict[str, Permission] = {
    permission.name: permission
    for permission in (
        # identity
        Permission("units.register", (C,), "4.1", "登记使用单位"),
        Permission("units.suspend", (C, A), "5d.3", "暂停、恢复使用单位"),
        Permission("systems.register", USERS, "5d.3", "登记接入系统"),
        Permission("systems.approve", (C,), "5d.3", "批准接入系统"),
        Permission("systems.suspend", (C, *USERS), "5d.3", "暂停、恢复、停用接入系统"),
        Permission("accounts.invite", ALL, "7.6", "邀请本单位人员"),
        Permission("administrators.invite", (C,), "7.6", "邀请使用单位管理员"),
        Permission("accounts.read", ALL, "7.5", "查看本单位人员"),
        Permission("appointments.make", ALL, "6.2", "任命、免去岗位"),
        Permission("departures.report", ALL, "6.5", "报告转岗、离职"),
        Permission("accounts.revoke", (C,), "6.5", "注销账号"),
        Permission("handovers.read", ALL, "6.6", "查看专项交接"),
        Permission("handovers.take", ALL, "6.6", "接收专项交接"),
        Permission("handovers.countersign", ALL, "6.6", "会签专项交接"),
        Permission("policies.set", (A,), "15.1", "制定规则"),
        Permission("probes.issue", (), "12.3", "签发探测凭证（仅平台内部）"),
        # datashare
        Permission("resources.load", (C,), "7.4", "登记资源、装载数据"),
        Permission("openings.set", (A,), "10.2", "设置开放权限"),
        Permission("data-rules.file", USERS, "10.1", "报备数据安全管理细则"),
        Permission("applications.apply", USERS, "10.4", "提出使用申请"),
        Permission("applications.advise", (C,), "10.2", "对申请提出意见"),
        Permission("applications.decide", (A,), "10.2", "审批申请"),
        Permission("agreements.sign", (A, *USERS), "10.3", "签署使用协议"),
        Permission("grants.revoke", (A,), "10.2", "撤销授权"),
        Permission("credit-data.query", USERS, "10.4", "查询公共信用数据", system=True),
        # incident
        Permission("breaches.report", ALL, "12.3", "报告安全事件", system=True),
        Permission("incidents.read", ALL, "12.5", "查看安全事件"),
        Permission("containment.propose-lift", (A, C), "12.3", "提议解除遏制"),
        Permission("containment.approve-lift", (A, C), "12.3", "批准解除遏制"),
        # audit
        Permission("log.read", (A, C), "12.4", "查看审计日志"),
        Permission("evidence.export", (A,), "12.4", "导出证据包"),
        # operations of every service
        MANAGE_OPERATIONS,
    )
}

POSTS: dict[UnitKind, dict[str, tuple[str, ...]]] = {
    A: {
        "authority-officer": (
            "accounts.invite",
            "accounts.read",
            "appointments.make",
            "departures.report",
            "handovers.read",
            "handovers.countersign",
            "units.suspend",
            "policies.set",
            "openings.set",
            "applications.decide",
            "agreements.sign",
            "grants.revoke",
            "breaches.report",
            "incidents.read",
            "containment.propose-lift",
            "containment.approve-lift",
            "log.read",
            "evidence.export",
        ),
    },
    C: {
        "center-officer": (
            "units.register",
            "units.suspend",
            "systems.approve",
            "systems.suspend",
            "accounts.invite",
            "administrators.invite",
            "accounts.read",
            "appointments.make",
            "departures.report",
            "accounts.revoke",
            "handovers.read",
            "handovers.countersign",
            "resources.load",
            "applications.advise",
            "breaches.report",
            "incidents.read",
            "containment.propose-lift",
            "containment.approve-lift",
            "log.read",
            "operations.manage",
        ),
    },
    **{
        kind: {
            "unit-administrator": (
                "systems.register",
                "systems.suspend",
                "accounts.invite",
                "accounts.read",
                "appointments.make",
                "departures.report",
                "handovers.read",
                "handovers.countersign",
                "data-rules.file",
                "agreements.sign",
                "breaches.report",
                "incidents.read",
            ),
            "credit-clerk": (
                "applications.apply",
                "credit-data.query",
                "handovers.read",
                "handovers.take",
                "breaches.report",
                "incidents.read",
            ),
        }
        for kind in USERS
    },
}
"""The posts that a new unit begins with; it may define others from the permissions of its kind."""


def requires(permission: str | None, *, class_a: bool = False, probes: bool = False) -> Any:
    """Return the dependency of a permission type, for use in `Annotated[Principal, …]`.

    None admits any valid credential. Raises `KeyError` for a permission that is not declared here.
    """
    declared = None if permission is None else PERMISSIONS[permission]
    return authorization.requires(declared, class_a=class_a, probes=probes)
