"""What somebody knows who has taken the confidentiality training."""

from identity.training.course import questions

__all__ = ["ANSWERS"]

ANSWERS: dict[str, str] = {name: question.answer for name, question in questions().items()}
