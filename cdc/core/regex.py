"""stub, real soon"""
from __future__ import annotations
import re
from .errors import ConfigError

def split_list(text: str) -> tuple[str, ...]:
    items = (item.strip().replace("\\,", ",") for item in re.split(r"(?<!\\),", text))
    return tuple(item for item in items if item)

def compile_items(items: tuple[str, ...], option: str) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(i, re.I | re.A) for i in items)

def compile_list(text: str, option: str) -> tuple[re.Pattern[str], ...]:
    return compile_items(split_list(text), option)
