"""RFC 6962 hashing (§2.1): leaf and node hashes, roots, inclusion and consistency proofs, and how each is verified.

A tree is anything that gives `node(level, index)`: the root of the whole subtree over the leaves
`[index << level, (index + 1) << level)`. Sizes and indices count leaves; hashes are 32 bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence

Node = Callable[[int, int], bytes]
EMPTY = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """The root over a list of leaf hashes (or of equal-height subtree roots)."""
    return fold(peaks(hashes)) if hashes else EMPTY


def peaks(hashes: Sequence[bytes]) -> list[bytes]:
    """Roots of the largest whole subtrees, from left to right: one for each bit of the count."""
    made, start = [], 0
    for bit in reversed(range(len(hashes).bit_length())):
        if len(hashes) >> bit & 1:
            row = list(hashes[start : start + (1 << bit)])
            while len(row) > 1:
                row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row), 2)]
            made.append(row[0])
            start += 1 << bit
    return made


def fold(parts: Sequence[bytes]) -> bytes:
    """The root over whole subtrees that shrink from left to right."""
    *rest, root = parts
    for part in reversed(rest):
        root = node_hash(part, root)
    return root


def spans(low: int, high: int) -> Iterable[tuple[int, int]]:
    """The whole subtrees (level, index) that RFC 6962 cuts `[low, high)` into, left to right."""
    while low < high:
        level = min((low & -low).bit_length() - 1 if low else 64, (high - low).bit_length() - 1)
        yield level, low >> level
        low += 1 << level


def root_over(low: int, high: int, node: Node) -> bytes:
    """The root over the leaves `[low, high)`, a range that RFC 6962's splitting would cut out; EMPTY if there are none."""
    parts = [node(level, index) for level, index in spans(low, high)]
    return fold(parts) if parts else EMPTY


def inclusion_proof(index: int, size: int, node: Node) -> list[bytes]:
    """The audit path of RFC 6962 §2.1.1, from the leaf's sibling up to the root's child."""
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} has no leaf {index}")
    path: list[bytes] = []
    low, high = 0, size
    while high - low > 1:
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        if index < middle:
            path.append(root_over(middle, high, node))
            high = middle
        else:
            path.append(root_over(low, middle, node))
            low = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node: Node) -> list[bytes]:
    """The proof of RFC 6962 §2.1.2 that the tree of `old` leaves is the beginning of the tree of `new`."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} is not the beginning of a tree of {new}")
    path: list[bytes] = []
    low, high, given = 0, new, True  # given: the subtree is the whole old tree, whose root the verifier holds
    while low < old < high:
        middle = low + (1 << (high - low - 1).bit_length() - 1)
        if old <= middle:
            path.append(root_over(middle, high, node))
            high = middle
        else:
            path.append(root_over(low, middle, node))
            low, given = middle, False
    if old and not given:
        path.append(root_over(low, high, node))
    return path[::-1]


def root_by_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that the proof leads to (RFC 9162 §2.1.3.2). Raises ValueError if it has not the form of a proof."""
    if not 0 <= index < size:
        raise ValueError("the index is outside the tree")
    at, last, root = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise ValueError("the proof is too long")
        if at & 1 or at == last:
            root = node_hash(step, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, step)
        at, last = at >> 1, last >> 1
    if last:
        raise ValueError("the proof is too short")
    return root


def check_consistency(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> None:
    """Raises ValueError unless the proof shows `old_root` to be the beginning of `new_root` (RFC 9162 §2.1.4.2)."""
    if not 0 <= old <= new:
        raise ValueError("the old tree is larger than the new one")
    if old in (0, new):
        if path or (old and old_root != new_root) or (not old and old_root != EMPTY):
            raise ValueError("the proof does not fit")
        return
    steps = list(path)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        raise ValueError("the proof is too short")
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    seen_old = seen_new = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise ValueError("the proof is too long")
        if at & 1 or at == last:
            seen_old, seen_new = node_hash(step, seen_old), node_hash(step, seen_new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            seen_new = node_hash(seen_new, step)
        at, last = at >> 1, last >> 1
    if last or seen_old != old_root or seen_new != new_root:
        raise ValueError("the proof does not lead to the two roots")
