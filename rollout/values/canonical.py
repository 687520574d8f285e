"""The canonical form of a value: digests are computed from it, and it is what is stored.

Dataclasses become objects with sorted keys, arrays become {dtype, shape, data}, enums their value.
The digest replaces each array by its own SHA-256, so it costs one pass over the bytes. A field that was added later
(`LATER`) is left out while it has its default: values stored and approved before keep their digest.
"""

from __future__ import annotations

import base64
import dataclasses
import functools
import hashlib
import json
import types
import typing
import zlib
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")
Pack = Callable[[bytes], str]

LATER = {"canonical": "left out while it has its default"}
"""Metadata of a field that was added after values of its type were stored; its default is a plain value."""


def _is_left_out(value: object, field: dataclasses.Field[Any]) -> bool:
    return "canonical" in field.metadata and bool(getattr(value, field.name) == field.default)


def _array(array: np.ndarray[Any, Any], pack: Pack) -> dict[str, Any]:
    if array.dtype.kind == "T":
        return {"dtype": "text", "shape": [len(array)], "data": pack("\n".join(array.tolist()).encode())}
    little = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
    return {"dtype": little.dtype.str, "shape": list(array.shape), "data": pack(little.tobytes())}


def _document(value: Any, pack: Pack) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            f.name: getattr(value, f.name) for f in dataclasses.fields(value) if not _is_left_out(value, f)
        }
        return {name: _document(field, pack) for name, field in fields.items()}
    if isinstance(value, np.ndarray):
        return _array(value, pack)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): _document(item, pack) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [_document(item, pack) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"no canonical form for {type(value).__name__}")


def _text(document: Any) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest_of(value: object) -> str:
    """Return the SHA-256 of the canonical form of a dataclass, as 64 hex digits."""
    document = _document(value, lambda data: hashlib.sha256(data).hexdigest())
    return hashlib.sha256(_text(document).encode()).hexdigest()


def dumps(value: object) -> bytes:
    """Return the canonical form with its arrays, compressed, for storage."""
    text = _text(_document(value, lambda data: base64.b85encode(zlib.compress(data, 1)).decode()))
    return zlib.compress(text.encode(), 1)


def document_of(value: object) -> Any:
    """Return the canonical form as JSON values: objects, lists, texts, numbers. Readable, for small values."""
    return _document(value, lambda data: base64.b85encode(zlib.compress(data, 1)).decode())


def value_of(kind: type[T], document: Any) -> T:
    """Return the value of type `kind` from its `document_of`; a missing field gets its default.

    Raise a `ValueError` if the document does not describe such a value.
    """
    try:
        return typing.cast(T, _value(kind, document))
    except (KeyError, TypeError, AttributeError, zlib.error) as error:
        raise ValueError(f"stored document is not a {kind.__name__}: {error}") from error


def loads(kind: type[T], data: bytes) -> T:
    """Return the value of type `kind` that `dumps` wrote.

    Raise a `ValueError` if the bytes are damaged or do not describe such a value.
    """
    document = document_in(data, kind.__name__)
    try:
        return typing.cast(T, _value(kind, document))
    except (KeyError, TypeError, AttributeError, zlib.error) as error:
        raise ValueError(f"stored bytes are not a {kind.__name__}: {error}") from error


def document_in(data: bytes, name: str = "document") -> Any:
    """Return what `dumps` wrote with its arrays still packed; raise a `ValueError` if it is damaged."""
    try:
        return json.loads(zlib.decompress(data))
    except (zlib.error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"stored {name} is damaged: {error}") from error


def _load_array(document: dict[str, Any]) -> np.ndarray[Any, Any]:
    data = zlib.decompress(base64.b85decode(document["data"]))
    if document["dtype"] == "text":
        items = data.decode().split("\n") if document["shape"][0] else []
        return np.array(items, dtype=np.dtypes.StringDType())
    return np.frombuffer(data, dtype=np.dtype(document["dtype"])).reshape(document["shape"]).copy()


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    """Return the types of a dataclass's fields; resolving them for every value would cost more than the rest."""
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _value(kind: Any, document: Any) -> Any:
    origin = typing.get_origin(kind)
    if kind is np.ndarray or origin is np.ndarray:
        return _load_array(document)
    if dataclasses.is_dataclass(kind):
        hints = _hints(typing.cast(type, kind))
        fields = {name: _value(hints[name], document[name]) for name in hints if name in document}
        return typing.cast(Any, kind)(**fields)
    if origin in (typing.Union, types.UnionType):
        if document is None:
            return None
        return _value(next(arg for arg in typing.get_args(kind) if arg is not type(None)), document)
    if origin is tuple:
        args = typing.get_args(kind)
        if len(args) == 2 and args[1] is Ellipsis:
            return tuple(_value(args[0], item) for item in document)
        return tuple(_value(arg, item) for arg, item in zip(args, document, strict=True))
    if origin is dict or (origin is not None and issubclass(origin, typing.Mapping)):
        value_kind = typing.get_args(kind)[1]
        return {key: _value(value_kind, value) for key, value in document.items()}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(document)
    if kind is float:
        return float(document)
    return document
