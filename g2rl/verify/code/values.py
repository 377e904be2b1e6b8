"""Python values as JSON texts: arguments on their way into the sandbox, results on their way out, expected results.

What JSON lacks is an object with one key: {"tuple": [..]}, {"set": [..]}, {"frozenset": [..]}, {"dict": [[k, v], ..]},
{"complex": [re, im]}, {"float": "inf"}, {"bytes": hex}, {"int": hex} for integers with very many digits.
The sandbox imports this file too, so it needs the standard library only and runs on Python 3.9.
"""

import json
import sys
from collections import Counter, OrderedDict, defaultdict

_TAGS: dict = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "complex": lambda parts: complex(*parts),
    "float": float,
    "bytes": bytes.fromhex,
    "int": lambda digits: int(digits, 16),
}
_PLAIN = (type(None), bool, str)
_DICTIONARIES = (dict, defaultdict, OrderedDict, Counter)
_LONG_INT_BITS = 10_000  # Python refuses to read or write more than 4,300 decimal digits


def dumps(value):
    """The text of a value. TypeError for one that is not plain data: types count exactly, so no object of a class of
    the program's own, whatever it says it is equal to, can pass."""
    return json.dumps(_tagged(value), allow_nan=False)


def loads(text):
    """The value of a text. ValueError or TypeError for one that `dumps` cannot have written."""
    return json.loads(text, object_hook=_untagged)


def _tagged(value):
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        return value if value.bit_length() < _LONG_INT_BITS else {"int": hex(value)}
    if kind is float:
        return value if value - value == 0 else {"float": repr(value)}  # inf and NaN
    if kind is list:
        return [_tagged(item) for item in value]
    if kind in (tuple, set, frozenset):
        return {kind.__name__: [_tagged(item) for item in value]}
    if kind in _DICTIONARIES:
        if all(type(key) is str for key in value) and not (len(value) == 1 and next(iter(value)) in _TAGS):
            return {key: _tagged(item) for key, item in value.items()}
        return {"dict": [[_tagged(key), _tagged(item)] for key, item in value.items()]}
    if kind is complex:
        return {"complex": [_tagged(value.real), _tagged(value.imag)]}
    if kind is bytes:
        return {"bytes": value.hex()}
    if kind.__module__ == "numpy" and isinstance(value, (sys.modules["numpy"].generic, sys.modules["numpy"].ndarray)):
        return _tagged(value.tolist())
    raise TypeError(f"{kind.__name__} is not plain data")


def _untagged(pairs):
    if len(pairs) == 1:
        ((tag, content),) = pairs.items()
        if tag in _TAGS:
            return _TAGS[tag](content)
    return pairs
