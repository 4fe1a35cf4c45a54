"""Problems of resources."""

from common.problems import Conflict, Invalid


class CodeTaken(Conflict):
    """409: a resource with this code is registered."""

    slug = "resource-code-taken"
    zh, en = "资源代码已被使用", "The code of the resource is taken"


class CsvUnreadable(Invalid):
    """422: the file as a whole is invalid; nothing of it was loaded."""

    slug = "csv-unreadable"
    zh, en = "CSV 文件无法读取", "The CSV file cannot be read"
