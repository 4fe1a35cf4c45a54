"""Problems of the training and the undertaking."""

from common.problems import Conflict, Invalid, TooManyRequests


class AttemptClosed(Conflict):
    """409: the attempt was graded, or its time is over."""

    slug = "attempt-closed"
    zh, en = "本次测试已评分或已超时", "The attempt was graded, or its time is over"


class TooManyAttempts(TooManyRequests):
    """429: the attempts of a day are used up."""

    slug = "training-attempts"
    zh, en = "今日测试次数已用完", "The attempts of the day are used up"
    clause = "6.1"


class UndertakingDiffers(Conflict):
    """409: something else was read than is to be signed."""

    slug = "undertaking-digest-differs"
    zh, en = "所引用的承诺书摘要与现行文本不一致", "The digest is not that of the present text"
    clause = "6.1"


class WrongAnswers(Invalid):
    """422: not one answer to each question that was asked."""

    slug = "answers-incomplete"
    zh, en = "须逐题作答", "Answer each question that was asked, and no other"
