"""Plays the chapters in their order."""

from demo.chapters.ending import contain, leave, prove
from demo.chapters.granting import agree, open_resource
from demo.chapters.joining import join, register
from demo.chapters.using import use
from demo.life import Life

__all__ = ["CHAPTERS", "play"]

CHAPTERS = (register, join, open_resource, agree, use, leave, contain, prove)


async def play(life: Life) -> None:
    """Play the whole life. Raises `Failed` at the first answer that is not the expected one."""
    for chapter in CHAPTERS:
        await chapter(life)
