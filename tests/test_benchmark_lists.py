"""The official lists: as many names, flags and facts as the benchmarks' papers and toolkits have."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest

from tectum.benchmarks.base import Lists

SPLITS = {
    "lasher": {"test": 245, "train": 979, "vipt-train": 882, "vipt-val": 97},
    "rgbt234": {"test": 234},
    "rgbt210": {"test": 210},
    "gtot": {"test": 50},
    "vtuav": {
        "test-short": 176, "test-long": 74, "train-short": 157, "val-short": 50, "train-long": 33, "val-long": 10,
    },
    "visevent": {"test": 320, "test-172": 172, "train": 500},
    "coesot": {"test": 528, "test-527": 527, "train": 800, "val": 27},
    "fe108": {"test": 32, "train": 76},
    "depthtrack": {"test": 50, "train": 146, "val": 6},
    "cdtb": {"test": 80},
    "rgbd1k": {"train": 1001},
    "votrgbd2022": {"test": 127},
    "tnl2k": {"test": 700, "train": 1300, "ablation-50": 50},
    "lasot": {"test": 280, "train": 1120},
    "lasot_ext": {"test": 150},
    "otb99lang": {"test": 48, "train": 50},
    "got10k": {"val": 180, "test": 180, "train": 9335, "vot-train": 8335},
}  # fmt: skip

PARTS = {
    ("lasher", "vipt-train"): "train",
    ("lasher", "vipt-val"): "train",
    ("visevent", "test-172"): "test",
    ("coesot", "test-527"): "test",
    ("tnl2k", "ablation-50"): "test",
    ("got10k", "vot-train"): "train",
}
"""Splits that are a part of another one."""

TWICE = {
    "coesot": {"dvSave-2022_01_26_21_29_45"},
    "tnl2k": {"monitor_manypeople"},
}
"""Names that the official lists give to two splits."""

VISUAL = "CM ROT DEF FOC LI OV POC VC SV BC MB ARC FM NMO IV OE BOM"

ATTRIBUTES = {
    "lasher": (
        "NO PO TO HO MB LI HI AIV LR DEF BC SA CM TC FL OV FM SV ARC",
        [33, 215, 87, 17, 88, 51, 34, 7, 68, 46, 78, 107, 133, 148, 20, 7, 193, 222, 109],
    ),
    "rgbt234": ("BC CM DEF FM HO LI LR MB NO TC PO SC", [54, 89, 76, 32, 96, 63, 50, 55, 41, 28, 96, 120]),
    "visevent": (VISUAL, [136, 28, 8, 73, 75, 64, 114, 57, 131, 211, 33, 70, 90, 33, 63, 38, 239]),
    "coesot": (VISUAL, [91, 173, 7, 31, 109, 113, 192, 40, 80, 208, 74, 50, 211, 31, 117, 124, 401]),
    "tnl2k": (
        "CM ROT DEF FOC IV OV POC VC SV BC MB ARC LR FM AS TC MS",
        [228, 310, 174, 97, 82, 234, 376, 310, 406, 420, 49, 241, 74, 168, 100, 24, 21],
    ),
    "lasot": (
        "IV POC DEF MB CM ROT BC VC SV FOC FM OV LR ARC",
        [47, 187, 142, 89, 86, 175, 100, 33, 273, 118, 53, 104, 141, 249],
    ),
}


@pytest.mark.parametrize("name", SPLITS)
def test_splits_have_their_official_size_and_are_disjoint(name: str) -> None:
    splits = Lists.read(name).splits
    assert {split: len(frozenset(names)) for split, names in splits.items()} == SPLITS[name]
    assert all(len(names) == SPLITS[name][split] for split, names in splits.items())
    for (benchmark, part), whole in PARTS.items():
        if benchmark == name:
            assert frozenset(splits[part]) < frozenset(splits[whole])
    every = Counter(chain.from_iterable(names for split, names in splits.items() if (name, split) not in PARTS))
    assert {each for each, count in every.items() if count > 1} == TWICE.get(name, set())


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_come_in_the_official_order_and_number(name: str) -> None:
    lists = Lists.read(name)
    names, counts = ATTRIBUTES[name]
    test = frozenset(lists.splits["test"])
    assert list(lists.attributes) == names.split()
    assert [len(holders & test) for holders in lists.attributes.values()] == counts


def test_attributes_belong_to_listed_sequences() -> None:
    for name in SPLITS:
        lists = Lists.read(name)
        listed = frozenset(chain.from_iterable(lists.splits.values()))
        assert all(holders <= listed for holders in lists.attributes.values()), name
        assert all(frozenset(table) <= listed for table in lists.facts.values()), name


def test_rgbt210_is_a_part_of_rgbt234_with_the_same_attributes() -> None:
    small, large = Lists.read("rgbt210"), Lists.read("rgbt234")
    names = frozenset(small.splits["test"])
    assert names < frozenset(large.splits["test"])
    assert small.attributes == {each: holders & names for each, holders in large.attributes.items()}


def test_facts() -> None:
    vtuav, fe108 = Lists.read("vtuav").facts["first_image"], Lists.read("fe108").facts["event_offset"]
    assert len(vtuav) == 47
    assert (vtuav["car_016"], vtuav["car_031"], vtuav["car_044"]) == (155, 50, 4)
    assert len(fe108) == 108
    assert fe108["airplane"] == 105
    assert Lists.read("lasot").facts["truth_rows"] == {"monkey-17": 2260}
    assert Lists.read("lasot_ext").facts["truth_rows"] == {"paddle-1": 2500}
    otb = Lists.read("otb99lang").facts
    assert otb["first_image"] == {"BlurCar1": 247, "BlurCar3": 3, "BlurCar4": 18, "David": 300}
    assert otb["folder"] == {"Human4_2": "Human4"}
    assert sorted(otb["groundtruth"]) == ["Human4_2", "Skating2-1", "Skating2-2"]


def test_numbered_names() -> None:
    train = Lists.read("got10k").splits["train"]
    assert (train[0], train[-1]) == ("GOT-10k_Train_000001", "GOT-10k_Train_009335")
    assert "GOT-10k_Train_000004" not in Lists.read("got10k").splits["vot-train"]
