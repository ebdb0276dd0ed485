"""What is to be done and what came out of it, as frozen models.

* `robench.spec.suite`: a suite, as a YAML file says it;
* `robench.spec.evaluations`, `robench.spec.options`: what it asks of the stages, which bring their
  own options;
* `robench.spec.source`: the YAML reader that knows on which line each key stands;
* `robench.spec.cell`: one unit of work with everything resolved, and its id;
* `robench.spec.record`: the result of one cell;
* `robench.spec.params`, `robench.spec.plugins`: the parameters of a plug-in, checked and resolved;
* `robench.spec.identity`: canonical JSON, hashes, and seeds by name.
"""

from robench.spec.cell import LABELLED, NO_DATA, STAGE_KEY, Cell, PluginRef
from robench.spec.controls import (
    CONTROLS,
    DENSE,
    GIVEN,
    MethodIdentity,
    is_dense,
    is_given,
    starts_from_dense,
)
from robench.spec.distortion import Distortion
from robench.spec.evaluations import Evaluations
from robench.spec.identity import as_json, canonical_json, digest, json_number, seed_for
from robench.spec.options import PluginChoice, StageOptions
from robench.spec.recipe import Recipe
from robench.spec.record import Metric, Record, Status
from robench.spec.suite import Grid, LayersOptions, Suite, load_suite

__all__ = [
    "CONTROLS",
    "DENSE",
    "GIVEN",
    "LABELLED",
    "NO_DATA",
    "STAGE_KEY",
    "Cell",
    "Distortion",
    "Evaluations",
    "Grid",
    "LayersOptions",
    "MethodIdentity",
    "Metric",
    "PluginChoice",
    "PluginRef",
    "Recipe",
    "Record",
    "StageOptions",
    "Status",
    "Suite",
    "as_json",
    "canonical_json",
    "digest",
    "is_dense",
    "is_given",
    "json_number",
    "load_suite",
    "seed_for",
    "starts_from_dense",
]
