"""Attacks of other libraries, behind the same door as robench's own.

``foolbox:ddn``, ``advlib:sdf`` or ``autoattack:apgd-t`` is an attack like any other: it sees nothing
but the oracle, so that its passes are counted and limited, and what it finds is judged. Which
library a name needs is said when it is missing. Nothing here imports one until it is asked for.
"""
