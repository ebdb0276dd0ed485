"""The sixteen categories of ImageNet's classes."""

from __future__ import annotations

import re

from robench.data.sixteen_classes import CATEGORIES, CATEGORY_OF


def test_there_are_sixteen_and_no_class_is_in_two() -> None:
    assert len(CATEGORIES) == 16
    ids = [wordnet_id for of in CATEGORIES.values() for wordnet_id in of]
    assert len(ids) == len(set(ids)) == len(CATEGORY_OF) == 202
    assert all(re.fullmatch(r"n\d{8}", wordnet_id) for wordnet_id in ids)
    assert list(CATEGORIES) == sorted(CATEGORIES)
    assert all(list(of) == sorted(of) for of in CATEGORIES.values())


def test_some_that_anybody_can_look_up() -> None:
    # tabby cat, golden retriever, airliner, mountain bike
    known = {"n02123045": "cat", "n02099601": "dog", "n02690373": "airplane"}
    assert {wordnet_id: CATEGORY_OF[wordnet_id] for wordnet_id in known} == known
    assert CATEGORY_OF["n03792782"] == "bicycle"
