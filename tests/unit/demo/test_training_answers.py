"""The demo's table of training answers is right for every question that the course can ask."""

from demo.training_answers import TRAINING_ANSWERS
from identity.training.course import questions


def test_every_question_has_its_right_answer():
    right = {question.zh: question.options[question.answer]["zh"] for question in questions().values()}
    assert right == TRAINING_ANSWERS
