"""Problems of data-security rules."""

from common.problems import Forbidden


class DataRulesMissing(Forbidden):
    """403: the unit has no current data-security rules on file."""

    slug = "data-rules-missing"
    zh, en = "本单位没有在有效期内的数据安全管理细则", "The unit has no current data-security rules on file"
    clause = "10.1"
