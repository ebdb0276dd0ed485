"""From a name to data in memory, once a process."""

from __future__ import annotations

import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from robench.blame import blamed_on
from robench.errors import PluginError
from robench.spec.params import parse_params

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import BaseModel

    from robench.data.base import Data, Dataset

__all__ = ["DATA_ROOT_VARIABLE", "data_root", "load"]

DATA_ROOT_VARIABLE = "ROBENCH_DATA"
_KEPT = 4
_lock = threading.RLock()  # a data set may be made out of another one


def load(
    name: str,
    params: Mapping[str, object] | BaseModel | None = None,
    root: str | Path | None = None,
) -> Data:
    """A data set by name.

    The last few data sets stay in memory, so that asking again costs nothing.

    Args:
        name: as in ``robench list datasets``.
        params: the data set's parameters that differ from its defaults.
        root: the folder in which data sets lie that are not embedded; see `data_root`.

    Raises:
        UnknownNameError: there is no such data set.
        ParameterError: a parameter that the data set does not take.
        DataError: the data is missing or damaged; names the file and what to do.
        PluginError: the data set breaks its interface.
    """
    from robench.data import DATASETS

    dataset = DATASETS.get(name)
    checked = parse_params(f"data set {name!r}", dataset.Params, params)
    with _lock:  # two threads that ask for the same data load it once
        return _loaded(dataset, checked.model_dump_json(), data_root(root))


def data_root(root: str | Path | None = None) -> Path:
    """The folder in which data sets lie that are not embedded; it need not exist.

    `root` where it is given, else the environment variable ``ROBENCH_DATA``, else the user's data
    folder of the operating system.
    """
    chosen = root or os.environ.get(DATA_ROOT_VARIABLE)
    folder = Path(chosen) if chosen else platformdirs.user_data_path("robench")
    return folder.expanduser().resolve()


@lru_cache(maxsize=_KEPT)
def _loaded(dataset: type[Dataset], params_json: str, root: Path) -> Data:
    # The parameters come as text because a plug-in's need not be hashable.
    from robench.data.base import Data

    params = dataset.Params.model_validate_json(params_json)
    with blamed_on("data set", dataset.name, dataset):
        data: object = dataset(params).load(root)
    if not isinstance(data, Data):
        raise PluginError(
            f"the data set {dataset.name!r} gave {type(data).__name__}, not Data",
            where=f"{dataset.__module__}.{dataset.__qualname__}.load",
            hint="robench.data.assembly.assemble makes Data out of arrays",
        )
    return data
