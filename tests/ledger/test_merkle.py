"""RFC 6962's tree, held to published vectors and to its definition; tiles; canonical JSON; signed notes."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wardkeep.core.errors import BadInput
from wardkeep.ledger import Checkpoint, Malformed, Signer, Verifier, canonical, parse_canonical
from wardkeep.ledger.canonical import LARGEST
from wardkeep.ledger.merkle import (
    EMPTY,
    check_consistency,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    node_hash,
    root_by_inclusion,
    root_of,
)
from wardkeep.ledger.tiles import Edge, read_bundle, tile_path, write_bundle

# The eight inputs and roots of the reference implementation of RFC 6962 (google/certificate-transparency).
LEAVES = [bytes.fromhex(x) for x in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")] + [
    bytes(range(0x60, 0x70))
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 §2.1, word for word."""
    if len(leaves) < 2:
        return leaf_hash(leaves[0]) if leaves else hashlib.sha256(b"").digest()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return node_hash(mth(leaves[:k]), mth(leaves[k:]))


def node_of(hashes: list[bytes]) -> object:
    return lambda level, index: root_of(hashes[index << level : (index + 1) << level])


def test_published_roots_and_proofs() -> None:
    hashes = [leaf_hash(leaf) for leaf in LEAVES]
    assert (
        root_of([])
        == EMPTY
        == bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    )
    for size, root in enumerate(ROOTS, start=1):
        assert root_of(hashes[:size]).hex() == root
    path = inclusion_proof(5, 8, node_of(hashes))  # type: ignore[arg-type]
    assert [step.hex() for step in path] == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    path = consistency_proof(6, 8, node_of(hashes))  # type: ignore[arg-type]
    assert [step.hex() for step in path] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


def test_every_proof_up_to_40_leaves_holds_and_no_other_does() -> None:
    leaves = [bytes([n]) for n in range(40)]
    hashes = [leaf_hash(leaf) for leaf in leaves]
    node = node_of(hashes)
    for size in range(1, 41):
        root = mth(leaves[:size])
        for index in range(size):
            path = inclusion_proof(index, size, node)  # type: ignore[arg-type]
            assert root_by_inclusion(hashes[index], index, size, path) == root
            for wrong in (path[:-1], [*path, EMPTY]) if path else ([EMPTY],):
                with pytest.raises(ValueError, match="too"):
                    root_by_inclusion(hashes[index], index, size, wrong)
        for old in range(size + 1):
            path, old_root = consistency_proof(old, size, node), mth(leaves[:old])  # type: ignore[arg-type]
            check_consistency(old, old_root, size, root, path)
            for wrong_old, wrong_new in ((EMPTY[::-1], root), (old_root, EMPTY[::-1])):
                if old and not (old == size and wrong_old == wrong_new):
                    with pytest.raises(ValueError, match="proof"):
                        check_consistency(old, wrong_old, size, wrong_new, path)


def test_the_right_edge_grows_as_the_whole_tree_would() -> None:
    edge, tiles, hashes = Edge(), {}, []
    for n in range(1400):
        data = b"%d" % n
        hashes.append(leaf_hash(data))
        tiles.update({(level, at): tile for level, at, tile in edge.hold(data)})
        if n % 97 == 0 or n > 1390 or n % 256 in (0, 255):
            assert edge.root() == root_of(hashes)
    assert sorted(tiles) == [(0, n) for n in range(5)]
    assert tiles[0, 1] == b"".join(hashes[256:512])


@pytest.mark.parametrize(
    ("at", "path"),
    [
        ((0, 0, 256), "tile/0/000"),
        ((0, 5, 17), "tile/0/005.p/17"),
        ((3, 1234067, 256), "tile/3/x001/x234/067"),
        (("entries", 1000, 1), "tile/entries/x001/000.p/1"),
    ],
)
def test_tiles_lie_where_the_specification_says(at: tuple[int | str, int, int], path: str) -> None:
    assert tile_path(*at) == path


@given(st.lists(st.binary(max_size=400), max_size=256), st.integers(1, 400))
def test_bundles_are_read_back_and_every_cut_is_refused(entries: list[bytes], cut: int) -> None:
    data = write_bundle(entries)
    assert read_bundle(data) == entries
    try:
        assert read_bundle(data[:-cut]) == entries[: len(read_bundle(data[:-cut]))]
    except ValueError as e:
        assert "cut short" in str(e)  # noqa: PT017


# RFC 8785


def test_canonical_form_is_that_of_the_rfc() -> None:
    value = {"\u20ac": 1, "\r": 2, "\ufb33": 3, "1": 4, "\U0001f600": 5, "\u0080": 6, "\u00f6": 7}
    assert [k for k, _ in json.loads(canonical(value), object_pairs_hook=list)] == [
        "\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33",
    ]  # fmt: skip
    text = '\u20ac$\u000f\nA\'B"\\\\"/\x7f\b\f\r\t'
    assert canonical([text]).decode() == '["\u20ac$\\u000f\\nA\'B\\"\\\\\\\\\\"/\x7f\\b\\f\\r\\t"]'
    assert canonical({"b": [True, None, False, -5], "a": {}}) == b'{"a":{},"b":[true,null,false,-5]}'


loop: list[object] = []
loop.append(loop)


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        float("nan"),
        1.0,
        LARGEST + 1,
        -LARGEST - 1,
        {1: 2},
        {"a": b"x"},
        "\ud800",
        {"\udfff": 1},
        {1, 2},
        loop,
    ],
)
def test_what_has_no_one_form_is_refused(value: object) -> None:
    with pytest.raises(BadInput):
        canonical(value)


Json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-LARGEST, LARGEST)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(Json)
def test_the_canonical_form_is_read_back_and_is_its_own(value: object) -> None:
    data = canonical(value)
    assert parse_canonical(data) == value
    assert canonical(json.loads(data)) == data
    assert b"\n" not in data


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"b":1,"a":2}',
        b"[1.0]",
        b"[1e2]",
        b" 1",
        b"[NaN]",
        b'"\\u0041"',
        b"\xff",
        b"",
        b"[" * 9999,
    ],
)
def test_other_forms_are_refused(data: bytes) -> None:
    with pytest.raises(BadInput):
        parse_canonical(data)


# C2SP signed notes


def test_the_specifications_example_note_opens() -> None:
    """The key and note printed in the documentation of golang.org/x/mod/sumdb/note."""
    key = Verifier.parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    note = (
        "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
        "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    )
    assert key.open(note.encode()).endswith("your problem is.\n")
    assert str(key) == "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer.generate("log.test/one")


def test_keys_and_notes_are_read_back(signer: Signer) -> None:
    assert Signer.parse(signer.private_text()) == signer
    assert Verifier.parse(str(signer.verifier)) == signer.verifier
    head = Checkpoint("log.test/one", 7, bytes(32))
    assert Checkpoint.parse(signer.verifier.open(signer.sign(head.text()))) == head
    assert base64.b64encode(signer.seed).decode() not in repr(signer)


@given(st.data())
def test_no_other_byte_string_opens(signer: Signer, data: st.DataObject) -> None:
    raw = signer.sign(Checkpoint("log.test/one", 7, bytes(32)).text())
    at = data.draw(st.integers(0, len(raw) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda b: b != raw[at]))
    for wrong in (raw[:at] + bytes([byte]) + raw[at + 1 :], raw[:at], raw + b"x", raw[at + 1 :]):
        with pytest.raises(Malformed):
            signer.verifier.open(wrong)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        "a\n01\n{r}\n",
        "a\n-1\n{r}\n",
        "a\n1\n{r}\nextra\n",
        "a\n1\nAAAA\n",
        "\n1\n{r}\n",
        "a\n1\n{r}",
        "a\n1_0\n{r}\n",
        "a\n\u0661\n{r}\n",
    ],
)
def test_checkpoints_have_one_form(text: str) -> None:
    with pytest.raises(Malformed):
        Checkpoint.parse(text.replace("{r}", base64.b64encode(bytes(32)).decode()))


def test_another_key_does_not_open_it(signer: Signer) -> None:
    other = Signer.generate("log.test/one")
    with pytest.raises(Malformed):
        other.verifier.open(signer.sign("text\n"))
    for wrong in ("", "a", "a+b+c", str(signer.verifier)[:-1], str(signer.verifier).replace("one", "two")):
        with pytest.raises(Malformed):
            Verifier.parse(wrong)
