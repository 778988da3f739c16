import argparse

import pytest

from kgen.option_types import number, seed, whole_number


@pytest.mark.parametrize(
    "read, text, value",
    [
        (whole_number(1), "3", 3),
        (whole_number(16, 64), "64", 64),
        (whole_number(0), "0", 0),
        (number(0), "0.25", 0.25),
        (number(-1, 1), "-1", -1.0),
        (seed, "-7", -7),
    ],
)
def test_numbers_in_range(read, text, value):
    assert read(text) == value and type(read(text)) is type(value)


@pytest.mark.parametrize(
    "read, text, message",
    [
        (whole_number(1), "0", "must be a whole number from 1; got '0'"),
        (whole_number(1), "2.5", "must be a whole number from 1; got '2.5'"),
        (whole_number(16, 64), "65", "must be a whole number from 16 to 64; got '65'"),
        (number(0), "-0.1", "must be a number from 0; got '-0.1'"),
        (number(0, 1), "1.5", "must be a number from 0 to 1; got '1.5'"),
        (number(0), "nan", "must be a number from 0; got 'nan'"),
        (number(0), "inf", "must be a number from 0; got 'inf'"),
        (number(0), "much", "must be a number from 0; got 'much'"),
        (seed, str(2**31), "must be a whole number from"),
    ],
)
def test_others_are_refused(read, text, message):
    with pytest.raises(argparse.ArgumentTypeError) as raised:
        read(text)
    assert message in str(raised.value)
