"""Numbers and text as Java writes them. Expected texts are JDK 19's and later."""

from __future__ import annotations

import math
import random
import struct

import pytest

from cdc.codecs.java import decimal_text, double_text, float_text, json_string


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0.0"), (-0.0, "-0.0"), (1.0, "1.0"), (100.0, "100.0"), (0.1, "0.1"), (-1.5, "-1.5"),
    (0.001, "0.001"), (0.0009, "9.0E-4"), (1234567.0, "1234567.0"), (9999999.0, "9999999.0"), (1e7, "1.0E7"),
    (12345678.9, "1.23456789E7"), (1e21, "1.0E21"), (-1e21, "-1.0E21"), (1e-5, "1.0E-5"), (123e-7, "1.23E-5"),
    (5e-324, "4.9E-324"), (1.7976931348623157e308, "1.7976931348623157E308"), (2e23, "2.0E23"),
    (math.nan, "NaN"), (math.inf, "Infinity"), (-math.inf, "-Infinity"),
])
def test_doubles(value: float, text: str) -> None:
    assert double_text(value) == text


@pytest.mark.parametrize(("value", "text"), [
    (0.0, "0.0"), (-0.0, "-0.0"), (0.1, "0.1"), (3.14, "3.14"), (1e10, "1.0E10"), (16777216.0, "1.6777216E7"),
    (1.4e-45, "1.4E-45"), (3.4028235e38, "3.4028235E38"), (1e39, "Infinity"), (0.001, "0.001"), (1.1754944e-38,
     "1.1754944E-38"), (33554432.0, "3.3554432E7"), (math.nan, "NaN"), (123456.79, "123456.79"),
])
def test_floats(value: float, text: str) -> None:
    assert float_text(value) == text


def test_floats_read_back_as_the_same_32_bits() -> None:
    random.seed(7)
    for _ in range(2000):
        bits = struct.pack("<I", random.getrandbits(32))
        value = struct.unpack("<f", bits)[0]
        if math.isfinite(value):
            assert struct.pack("<f", float(float_text(value))) == bits


@pytest.mark.parametrize(("unscaled", "scale", "text"), [
    (150, 2, "1.50"), (-129, 2, "-1.29"), (0, 2, "0.00"), (5, 0, "5"), (1, 7, "1E-7"), (12, -2, "1.2E+3"),
])
def test_decimals(unscaled: int, scale: int, text: str) -> None:
    assert decimal_text(unscaled.to_bytes(4, "big", signed=True), scale) == text


def test_a_decimal_of_any_length_is_exact() -> None:
    digits = "9" * 3000
    number = int("9" * 3000)
    assert decimal_text(number.to_bytes(2000, "big", signed=True), 0) == digits


@pytest.mark.parametrize(("text", "quoted"), [
    ("a", '"a"'), ('"\\', '"\\"\\\\"'), ("\x1f\x00\n", '"\\u001F\\u0000\\n"'), ("\\u001f", '"\\\\u001f"'),
    ("é\U0001f600\x7f", '"é\U0001f600\x7f"'), ("\\\x1f", '"\\\\\\u001F"'),
])
def test_json_strings(text: str, quoted: str) -> None:
    assert json_string(text) == quoted
