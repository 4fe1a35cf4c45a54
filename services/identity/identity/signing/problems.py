"""Problems of signing keys."""

from common.problems import Conflict, Unavailable


class SigningKeyMissing(Unavailable):
    """503: this process has no key with which it may sign: each is retired, or not known everywhere yet."""

    slug = "signing-key-missing"
    zh, en = "暂无可用的签名密钥", "There is no key to sign with now"


class SigningKeyNeeded(Conflict):
    """409: tokens that the key signed are in force, or no other key signs."""

    slug = "signing-key-needed"
    zh, en = "该密钥签发的令牌仍在有效期内", "Tokens that the key signed are in force"
