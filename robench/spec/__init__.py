"""What is to be done and what came out of it, as frozen models.

* `robench.spec.suite`: a suite, as a YAML file says it;
* `robench.spec.source`: the YAML reader that knows on which line each key stands;
* `robench.spec.cell`: one unit of work with everything resolved, and its id;
* `robench.spec.record`: the result of one cell;
* `robench.spec.params`: the parameters of a plug-in, checked;
* `robench.spec.identity`: canonical JSON, hashes, and seeds by name.
"""

from robench.spec.cell import CONTROLS, DENSE, GIVEN, NO_DATA, Cell, PluginRef
from robench.spec.identity import as_json, canonical_json, digest, json_number, seed_for
from robench.spec.record import Metric, Record, Status
from robench.spec.suite import (
    AttackOptions,
    CorruptOptions,
    DegradeOptions,
    Distortion,
    Evaluations,
    Grid,
    LayerOptions,
    LayersOptions,
    PluginChoice,
    Recipe,
    ResolvedAttack,
    ResolvedAttackOptions,
    ResolvedCorruptOptions,
    ResolvedDegradeOptions,
    ResolvedKind,
    ResolvedSpeedOptions,
    ResolvedWorstNoiseOptions,
    SpeedOptions,
    Suite,
    TreesOptions,
    WorstNoiseOptions,
    load_suite,
)

__all__ = [
    "CONTROLS",
    "DENSE",
    "GIVEN",
    "NO_DATA",
    "AttackOptions",
    "Cell",
    "CorruptOptions",
    "DegradeOptions",
    "Distortion",
    "Evaluations",
    "Grid",
    "LayerOptions",
    "LayersOptions",
    "Metric",
    "PluginChoice",
    "PluginRef",
    "Recipe",
    "Record",
    "ResolvedAttack",
    "ResolvedAttackOptions",
    "ResolvedCorruptOptions",
    "ResolvedDegradeOptions",
    "ResolvedKind",
    "ResolvedSpeedOptions",
    "ResolvedWorstNoiseOptions",
    "SpeedOptions",
    "Status",
    "Suite",
    "TreesOptions",
    "WorstNoiseOptions",
    "as_json",
    "canonical_json",
    "digest",
    "json_number",
    "load_suite",
    "seed_for",
]
