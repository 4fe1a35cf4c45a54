"""Tiles and entry bundles: names, growth in any steps, and reading the tree back from them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.tlog.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    tree_root,
    verify_consistency,
    verify_inclusion,
)
from audit.tlog.tiles import (
    ENTRIES,
    MAX_LEAF_BYTES,
    LeafTooLongError,
    Tile,
    TileError,
    changed_bundles,
    changed_tiles,
    decode_bundle,
    encode_bundle,
    grow,
    grow_bundles,
    node_reader,
)


@pytest.mark.parametrize(
    ("tile", "path"),
    [
        (Tile(0, 0, 1), "tile/0/000.p/1"),
        (Tile(0, 5), "tile/0/005"),
        (Tile(2, 1234067, 17), "tile/2/x001/x234/067.p/17"),
        (Tile(63, 999), "tile/63/999"),
        (Tile(1, 1000), "tile/1/x001/000"),
        (Tile(ENTRIES, 12, 255), "tile/entries/012.p/255"),
    ],
)
def test_a_tile_has_the_path_of_the_specification(tile, path):
    assert tile.path == path
    assert Tile.parse(path) == tile


@pytest.mark.parametrize(
    "path",
    [
        "",
        "tile/0/0",
        "tile/00/000",
        "tile/64/000",
        "tile/-1/000",
        "tile/0/000.p/0",
        "tile/0/000.p/256",
        "tile/0/000.p/01",
        "tile/0/x000/001",
        "tile/0/001/000",
        "tile/0/1000",
        "/tile/0/000",
        "tile/0/000\n",
        "tile/0/../000",
        "tile/entries/00０",
        "tile/data/000",
    ],
)
def test_what_is_not_exactly_a_path_is_refused(path):
    with pytest.raises(TileError):
        Tile.parse(path)


@given(st.integers(-1, 63), st.integers(0, 2**50), st.integers(1, 256))
def test_every_path_is_read_as_it_is_written(level, index, width):
    assert Tile.parse(Tile(level, index, width).path) == Tile(level, index, width)


def test_the_tiles_of_a_tree_of_70000_are_those_of_the_specification():
    tiles = changed_tiles(0, 70_000)
    assert [sum(tile.level == level for tile in tiles) for level in range(4)] == [274, 2, 1, 0]
    assert [tile for tile in tiles if tile.width < 256] == [Tile(0, 273, 112), Tile(1, 1, 17), Tile(2, 0, 1)]
    assert changed_tiles(0, 256) == [Tile(0, 0), Tile(1, 0, 1)]


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        (0, 0, []),
        (5, 5, []),
        (0, 1, [Tile(0, 0, 1)]),
        (1, 255, [Tile(0, 0, 255)]),
        (255, 257, [Tile(0, 0), Tile(0, 1, 1), Tile(1, 0, 1)]),
        (256, 300, [Tile(0, 1, 44)]),
        (256, 512, [Tile(0, 1), Tile(1, 0, 2)]),
    ],
)
def test_growth_changes_just_these_tiles(old, new, changed):
    assert changed_tiles(old, new) == changed
    assert changed_bundles(old, new) == [Tile(ENTRIES, tile.index, tile.width) for tile in changed if tile.level == 0]


def test_a_log_does_not_shrink():
    for names in (changed_tiles, changed_bundles):
        with pytest.raises(ValueError, match="does not grow"):
            names(2, 1)


LEAVES = [f"leaf {n}".encode() for n in range(1200)]
HASHES = [leaf_hash(leaf) for leaf in LEAVES]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 600), min_size=1, max_size=6), st.data())
def test_however_a_log_grows_its_tiles_carry_the_same_tree(batches, data):
    store, size = {}, 0
    for batch in batches:
        new = min(size + batch, len(LEAVES))
        frontier, tiles = grow(size, HASHES[size:new], store.__getitem__)
        bundles = grow_bundles(size, LEAVES[size:new], store.get(Tile(ENTRIES, size // 256, size % 256), b""))
        assert sorted(tiles) == sorted(changed_tiles(size, new))
        assert sorted(bundles) == changed_bundles(size, new)
        assert frontier.size == new
        assert frontier.root() == tree_root(HASHES[:new])
        store |= tiles | bundles
        size = new
    read = node_reader(size, store.__getitem__)
    if size:
        index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(0, size))
        root = tree_root(HASHES[:size])
        assert verify_inclusion(HASHES[index], index, size, inclusion_proof(index, size, read), root)
        proof = consistency_proof(old, size, read)
        assert verify_consistency(old, tree_root(HASHES[:old]), size, root, proof)
        bundle = Tile(ENTRIES, index // 256, min(256, size - index // 256 * 256))
        assert decode_bundle(store[bundle], bundle.width)[index % 256] == LEAVES[index]


def test_an_older_tree_is_read_from_wider_tiles():
    _, tiles = grow(0, HASHES[:300], dict[Tile, bytes]().__getitem__)
    widest = {(tile.level, tile.index): data for tile, data in tiles.items()}
    read = node_reader(200, lambda tile: widest[tile.level, tile.index])
    assert verify_inclusion(HASHES[7], 7, 200, inclusion_proof(7, 200, read), tree_root(HASHES[:200]))
    with pytest.raises(ValueError, match="no complete node"):
        read(8, 0)


def test_a_tile_of_another_length_is_refused():
    for data in (b"", HASHES[0], HASHES[0] + HASHES[1][:-1], b"".join(HASHES[:257])):
        with pytest.raises(TileError):
            node_reader(2, lambda tile, data=data: data)(0, 0)


def test_the_longest_leaf_fits_and_one_byte_more_is_refused():
    longest = bytes(MAX_LEAF_BYTES)
    assert decode_bundle(encode_bundle([longest, b""]), 2) == [longest, b""]
    with pytest.raises(LeafTooLongError, match="65536 bytes"):
        encode_bundle([bytes(MAX_LEAF_BYTES + 1)])


@pytest.mark.parametrize("data", [b"\x00", b"\x00\x02a", b"\x00\x01ab", b"\x00\x01a" * 257])
def test_a_bundle_that_is_not_whole_is_refused(data):
    with pytest.raises(TileError):
        decode_bundle(data, 1)


def test_a_bundle_holds_1_to_256_leaves_and_the_last_one_must_fit_the_size():
    for leaves in ([], [b""] * 257):
        with pytest.raises(TileError):
            encode_bundle(leaves)
    with pytest.raises(TileError):
        grow_bundles(3, [b"x"], encode_bundle([b"a", b"b"]))
