"""Results on disk: records, arrays and checkpoints, and which runs work on them just now.

* `robench.store.records`: the folder, and everything that lies in it for good;
* `robench.store.reading`: from the bytes of a record to a record, older ones migrated;
* `robench.store.leases`: which run does which cell;
* `robench.store.owner`: which process is meant, and whether it is still alive;
* `robench.store.sweep`: what dead processes left behind.
"""

from robench.store.reading import SCHEMA_VERSION
from robench.store.records import Damage, Store

__all__ = ["SCHEMA_VERSION", "Damage", "Store"]
