"""Attacks of other libraries, behind the same door as robench's own.

``foolbox:ddn``, ``advlib:alma`` or ``autoattack:apgd-t`` is an attack like any other: it sees
nothing but the oracle, so that its passes are counted and limited, and what it finds is judged.
What must be installed is said where it is missing. Nothing here imports a library until then.
"""
