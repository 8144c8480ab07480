"""The bytes of extents in memory: which are taken in, which leave, and how many at most."""

import random
import threading

import pytest

from nezha.store.memory import Memory

LENGTH = 1000


def read(memory: Memory, name: str, count: int = LENGTH, length: int = LENGTH) -> bool:
    """What a reader does: whether the bytes came from memory."""
    if (found := memory.find(name)) is not None:
        assert found == name.encode() * (length // len(name))
        return True
    if memory.note(name, length, count):
        memory.put(name, bytearray(name.encode() * (length // len(name))))
    return False


def test_an_extent_is_taken_in_when_it_is_read_again() -> None:
    memory = Memory(10 * LENGTH)
    assert [read(memory, "a") for _ in range(4)] == [False, False, True, True]
    assert memory.used_bytes == LENGTH


def test_a_file_read_once_in_small_ranges_is_not() -> None:
    memory = Memory(10 * LENGTH)
    for _ in range(10):
        assert not read(memory, "a", LENGTH // 10)
    assert memory.used_bytes == 0
    read(memory, "a", LENGTH // 10)  # the eleventh tenth
    assert memory.used_bytes == LENGTH


def test_one_reader_of_many_is_told_to_take_it_in() -> None:
    memory = Memory(10 * LENGTH)
    assert [memory.note("a", LENGTH, LENGTH) for _ in range(4)] == [False, True, False, True]


@pytest.mark.parametrize("extents", [11, 12, 30])
def test_a_set_larger_than_memory_passes_it_by(extents: int) -> None:
    memory = Memory(10 * LENGTH)
    for _ in range(5):
        for number in range(extents):
            assert not read(memory, f"{number:04}")
    assert memory.used_bytes == 0


def test_the_least_recently_read_leaves_first() -> None:
    memory = Memory(3 * LENGTH)
    for name in "aabbccadd":
        read(memory, name)
    assert [name for name in "abcd" if memory.find(name) is not None] == ["a", "c", "d"]


def test_who_holds_a_view_of_what_has_left_keeps_its_bytes() -> None:
    memory = Memory(LENGTH)
    for name in "aab":
        read(memory, name)
    held = memory.find("a")
    read(memory, "b")
    assert memory.find("a") is None
    assert held is not None
    assert bytes(held) == b"a" * LENGTH
    assert memory.used_bytes == LENGTH


def test_what_others_use_of_the_tier_is_given_up_to_them() -> None:
    memory = Memory(3 * LENGTH)
    for name in "aabbcc":
        read(memory, name)
    memory.reserve(LENGTH + 1)
    assert [name for name in "abc" if memory.find(name) is not None] == ["c"]
    assert memory.held_bytes == 2 * LENGTH + 1
    memory.reserve(3 * LENGTH)
    assert memory.used_bytes == 0
    for _ in range(3):
        assert not read(memory, "d")


def test_what_is_larger_than_memory_is_not_taken_in() -> None:
    memory = Memory(LENGTH - 1)
    for _ in range(3):
        assert not read(memory, "a")


def test_dropped_bytes_are_gone_and_may_come_back() -> None:
    memory = Memory(3 * LENGTH)
    for name in "aa":
        read(memory, name)
    memory.drop("a")
    memory.drop("never there")
    assert (memory.find("a"), memory.used_bytes) == (None, 0)
    assert [read(memory, "a") for _ in range(3)] == [False, False, True]


def test_the_limit_holds_whatever_threads_do() -> None:
    memory = Memory(20 * LENGTH)
    most: list[int] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        for _ in range(3000):
            length = rng.choice([8, LENGTH, 4 * LENGTH])
            name = f"{rng.randrange(30):04}{length:04}"
            match rng.randrange(10):
                case 0:
                    memory.drop(name)
                case 1:
                    memory.reserve(rng.randrange(10 * LENGTH))
                case _:
                    read(memory, name, length, length)
            most.append(memory.used_bytes)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 < max(most) <= 20 * LENGTH + 4 * LENGTH  # one that comes in, before others leave for it
    memory.reserve(20 * LENGTH)
    assert memory.used_bytes == 0
