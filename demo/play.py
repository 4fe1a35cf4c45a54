"""Plays the chapters in their order."""

from demo.scenario import Life
from demo.steps.granting import agree, open_resource
from demo.steps.offboarding import contain, leave, prove
from demo.steps.onboarding import join, register
from demo.steps.querying import use

__all__ = ["CHAPTERS", "play"]

CHAPTERS = (register, join, open_resource, agree, use, leave, contain, prove)


async def play(life: Life) -> None:
    """Play the whole life. Raises `Failed` at the first answer that is not the expected one."""
    for chapter in CHAPTERS:
        await chapter(life)
