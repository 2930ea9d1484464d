"""Texts as 64-bit numbers, whole columns at once; the same in every process, on every machine.

A text's first `width` bytes are taken as a row of 8-byte words, so that hashing, comparing and keeping the
beginning of a value are a few operations on a matrix. What is longer is hashed by BLAKE2.
"""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

WORD_BYTES = 8
_SEED = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def hash_texts(texts: pa.Array, width_bytes: int) -> tuple[U64, U64]:
    """Hashes, and the words of the first `width_bytes` of each text (zero-padded, one row a text).

    `texts` is an Arrow string array; a null hashes like the empty text. `width_bytes` is a multiple of 8.
    """
    lengths, starts, data = _parts(texts)
    words = _words(lengths, starts, data, width_bytes)
    hashes = hash_words(words, lengths)
    for at in np.flatnonzero(lengths > width_bytes).tolist():
        start = int(starts[at])
        whole = data[start : start + int(lengths[at])].tobytes()
        hashes[at] = int.from_bytes(hashlib.blake2b(whole, digest_size=8).digest(), "little")
    return hashes, words


def lengths_of(texts: pa.Array) -> I64:
    """Bytes of each text; 0 for null."""
    return _parts(texts)[0]


def mixed(numbers: U64) -> U64:
    """Numbers spread over the whole range."""
    return _mix(numbers)


def hash_words(words: U64, lengths: I64) -> U64:
    """One number a row, by the finalizer of SplitMix64 over its words and its length."""
    mixed: U64 = _mix(lengths.astype(np.uint64))
    for column in range(words.shape[1]):
        mixed = _mix(mixed ^ words[:, column])
    return mixed


def hash_text(text: str) -> int:
    """One text, as `hash_texts` has it at a width of 48 bytes."""
    return int(hash_texts(pa.array([text], pa.string()), 48)[0][0])


def _mix(x: U64) -> U64:
    x = x + _SEED
    x = (x ^ (x >> np.uint64(30))) * _FIRST
    x = (x ^ (x >> np.uint64(27))) * _SECOND
    return x ^ (x >> np.uint64(31))


def _parts(texts: pa.Array) -> tuple[I64, I64, npt.NDArray[np.uint8]]:
    count = len(texts)
    _, offset_buffer, data_buffer = texts.buffers()
    if count == 0 or offset_buffer is None:
        return np.zeros(count, np.int64), np.zeros(count, np.int64), np.zeros(0, np.uint8)
    offsets = np.frombuffer(offset_buffer, np.int32, count + 1, texts.offset * 4).astype(np.int64)
    data = (
        np.frombuffer(data_buffer, np.uint8)
        if data_buffer is not None and data_buffer.size
        else np.zeros(0, np.uint8)
    )
    lengths = np.diff(offsets)
    if texts.null_count:
        lengths = np.where(np.asarray(texts.is_valid()), lengths, 0)
    return lengths, offsets[:-1], data


def _words(lengths: I64, starts: I64, data: npt.NDArray[np.uint8], width_bytes: int) -> U64:
    """Each text's first bytes, copied as one item of `width_bytes` from a view that begins at every byte."""
    columns = width_bytes // WORD_BYTES
    if not len(lengths):
        return np.zeros((0, columns), np.uint64)
    low, high = int(starts[0]), int(starts[-1] + max(int(lengths[-1]), 0))
    padded = np.zeros(high - low + width_bytes, np.uint8)
    padded[: high - low] = data[low:high]
    item: Any = np.dtype((np.void, width_bytes))
    windows = np.ndarray(shape=(high - low + 1,), dtype=item, buffer=padded.data, strides=(1,))
    words: U64 = windows[starts - low].view(np.uint64).reshape(len(lengths), columns)
    return words & _masks(width_bytes)[np.minimum(lengths, width_bytes)]


def _masks(width_bytes: int) -> U64:
    """Row n keeps the first n bytes of a row of words."""
    keep = np.arange(width_bytes)[None, :] < np.arange(width_bytes + 1)[:, None]
    return np.ascontiguousarray(np.where(keep, 0xFF, 0).astype(np.uint8)).view(np.uint64)
