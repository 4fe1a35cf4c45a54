"""RFC 9457 problems: one class per reason to say no, each with a stable URN, both languages, and the clause it rests on."""

from collections.abc import Mapping
from typing import Any, ClassVar

CONTENT_TYPE = "application/problem+json"


class Problem(Exception):  # noqa: N818 - the standard's word is "problem"
    """A refusal or failure that a client can act on.

    `slug` ends the type URN `urn:xindun:problem:<slug>` and never changes; `zh` and `en` are the title; `clause` is the
    obligation that asks for the refusal. `detail_zh`/`detail_en` say what and where in this case. Members of `extra` go
    into the body under their own names. A problem with `recorded` set is written to the audit trail before it is answered.
    """

    slug: ClassVar[str] = "unexpected"
    status: ClassVar[int] = 500
    zh: ClassVar[str] = "发生意外错误"
    en: ClassVar[str] = "Something unexpected went wrong"
    clause: str | None = None
    recorded: ClassVar[bool] = False

    def __init__(
        self,
        detail_zh: str | None = None,
        detail_en: str | None = None,
        *,
        clause: str | None = None,
        headers: Mapping[str, str] | None = None,
        event: Any = None,
        **extra: Any,
    ) -> None:
        super().__init__(self.slug)
        self.detail_zh, self.detail_en = detail_zh, detail_en
        if clause is not None:
            self.clause = clause
        self.headers = dict(headers or {})
        self.event = event
        """The event that records this refusal, where the service has a better one than the general `access refused`."""
        self.extra = extra

    def body(self, language: str, instance: str | None = None) -> dict[str, Any]:
        """Return the RFC 9457 members in `language` ("zh" or "en"); `instance` is the request's id."""
        zh = language == "zh"
        detail = self.detail_zh if zh else self.detail_en
        members: dict[str, Any] = {
            "type": f"urn:xindun:problem:{self.slug}",
            "title": self.zh if zh else self.en,
            "status": self.status,
        }
        if detail:
            members["detail"] = detail
        if self.clause:
            members["clause"] = self.clause
        if instance:
            members["instance"] = f"urn:xindun:request:{instance}"
            members["request_id"] = instance
        return members | self.extra


class Unexpected(Problem):
    """A defect of ours: the answer shows an id and no internals."""


class Unauthorized(Problem):
    """401: no credential, or one that proves nothing."""

    slug, status = "unauthenticated", 401
    zh, en = "需要有效的身份凭证", "A valid credential is needed"
    clause = "7.6"


class Forbidden(Problem):
    """403: known, and not allowed."""

    slug, status = "forbidden", 403
    zh, en = "岗位权限不允许此操作", "The permissions of the post do not allow this"
    clause = "6.2"
    recorded = True


class NotFound(Problem):
    """404: does not exist, or is another unit's: the answer is the same."""

    slug, status = "not-found", 404
    zh, en = "未找到", "Not found"


class Conflict(Problem):
    """409: the state of the thing does not allow the step."""

    slug, status = "conflict", 409
    zh, en = "当前状态不允许此操作", "The present state does not allow this"


class PreconditionFailed(Problem):
    """412: it was changed since it was read."""

    slug, status = "edited-meanwhile", 412
    zh, en = "内容已被他人修改，请重新读取", "It was edited meanwhile: read it again"


class PreconditionRequired(Problem):
    """428: an edit must say which version it edits."""

    slug, status = "if-match-required", 428
    zh, en = "修改须带 If-Match", "An edit must carry If-Match"


class TooLarge(Problem):
    """413: the body is over its bound."""

    slug, status = "too-large", 413
    zh, en = "请求内容过大", "The request is too large"


class Invalid(Problem):
    """422: the request is understood and wrong; `errors` points to each field."""

    slug, status = "invalid", 422
    zh, en = "请求内容有误", "The request is not valid"


class TooManyRequests(Problem):
    """429: later, after `Retry-After`."""

    slug, status = "too-many-requests", 429
    zh, en = "请求过于频繁", "Too many requests"


class Unavailable(Problem):
    """503: nothing was done; try again after `Retry-After`."""

    slug, status = "unavailable", 503
    zh, en = "服务暂不可用", "Not available now"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.headers.setdefault("Retry-After", "1")


class MethodNotAllowed(Problem):
    """405."""

    slug, status = "method-not-allowed", 405
    zh, en = "不支持该方法", "The method is not allowed here"


class BadRequest(Problem):
    """400."""

    slug, status = "bad-request", 400
    zh, en = "请求无法解析", "The request cannot be read"
