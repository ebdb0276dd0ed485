"""Lines for LLVM: what is written is a module that LLVM takes and that counts right."""

from __future__ import annotations

import ctypes

import pytest

from robench.deploy.kernels import native
from robench.deploy.kernels.code import Code

pytestmark = pytest.mark.skipif(native.this_machine() is None, reason="no kernels here")


def compiled(code: Code, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(native, "ENTRY", "entry")
    engine, address = native._compiled(str(code))
    call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64)(address)

    def run(end: int, size: int = 8) -> list[float]:
        room = (ctypes.c_float * size)()
        call(ctypes.addressof(room), end)
        assert engine is not None
        return list(room)

    return run


def test_loops_carry_and_count(monkeypatch: pytest.MonkeyPatch) -> None:
    code = Code()
    with code.function("void @entry(ptr %room, i64 %end)"):
        with code.loop("%end", 1, carried=[("float", "2.0")]) as outer:
            (so_far,) = outer.carried
            with code.loop(3, carried=[("float", so_far)]) as inner:
                inner.carry([code.let(f"fadd float {inner.carried[0]}, 1.0")])
            code.store("float", inner.results[0], code.at("%room", outer.index))
            outer.carry(inner.results)
        code.store("float", outer.results[0], "%room")
    assert compiled(code, monkeypatch)(4) == [11.0, 5.0, 8.0, 11.0, 0.0, 0.0, 0.0, 0.0]


def test_one_of_two_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    code = Code()
    for name, value in (("one", "1.0"), ("two", "2.0")):
        with code.function(f"internal void @{name}(ptr %room)"):
            code.store("float", value, "%room")
    with code.function("void @entry(ptr %room, i64 %end)"), code.loop("%end") as turns:
        place = code.at("%room", turns.index)
        is_first = code.let(f"icmp eq i64 {turns.index}, 0")
        calls = (f"call void @one(ptr {place})", f"call void @two(ptr {place})")
        code.choose(is_first, calls)
    assert compiled(code, monkeypatch)(3, size=4) == [1.0, 2.0, 2.0, 0.0]


def test_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    code = Code()
    with code.function("void @entry(ptr %room, i64 %end)"):
        code.store("<4 x float>", code.splat(4, "3.0"), code.at("%room", 1))
    assert compiled(code, monkeypatch)(0) == [0.0, 3.0, 3.0, 3.0, 3.0, 0.0, 0.0, 0.0]
