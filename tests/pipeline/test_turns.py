"""Whose turn it is: all frames while there is time, even shares of rigs where there is not."""

from collections import Counter

from langpose_rt.pipeline.turns import STEP_NS, Turns, Waiting

PERSON_NS = 1_000_000


def served(
    rates: dict[str, list[int]], *, steps: int = 400, person_ns: int = PERSON_NS
) -> Counter[str]:
    """People lifted for every rig that always has frames waiting, of so many people by camera."""
    turns, now_ns, lifted = Turns(), 1_000_000_000, Counter[str]()
    for _ in range(steps):
        waiting = [Waiting(rig, people, 0) for rig, own in rates.items() for people in own]
        chosen = turns.choose(waiting, now_ns)
        assert chosen
        assert len(set(chosen)) == len(chosen)
        for index in chosen:
            lifted[waiting[index].rig] += 1 + waiting[index].people
        now_ns += person_ns * sum(1 + waiting[index].people for index in chosen)
    return lifted


def test_everybody_takes_part_while_there_is_time() -> None:
    turns = Turns()
    waiting = [Waiting(f"rig{rig}", 3, 0) for rig in range(9)]
    for step in range(100):
        assert turns.choose(waiting, step * STEP_NS // 2) == list(range(9))


def test_nobody_who_waits_is_an_empty_step() -> None:
    assert Turns().choose([], 5) == []


def test_rigs_get_the_same_time_and_not_the_same_frames() -> None:
    lifted = served({"crowd": [63], "pair": [1], "four": [3]}, steps=2000)
    assert max(lifted.values()) / min(lifted.values()) < 1.4


def test_a_rig_of_many_cameras_has_the_time_of_one() -> None:
    lifted = served({"wall": [7] * 30, "single": [7]})
    assert 0.9 < lifted["wall"] / lifted["single"] < 1.2


def test_who_needs_less_than_a_share_loses_no_frame_beside_those_who_want_all() -> None:
    turns, now_ns, due_ns, longest_ns = Turns(), 1_000_000_000, 1_000_000_000, 0
    crowds = [f"crowd{rig}" for rig in range(60)]
    for step in range(600):
        waiting = [Waiting(rig, 64, 0) for rig in crowds]
        if due_ns <= now_ns:
            waiting.append(Waiting("honest", 1, due_ns))
        chosen = turns.choose(waiting, now_ns)
        if step == 20:
            due_ns = now_ns
        elif len(waiting) > len(crowds) and len(crowds) in chosen:
            longest_ns = max(longest_ns, now_ns - due_ns) if step > 100 else 0
            due_ns += 16_666_667
        now_ns += 100_000 * sum(1 + waiting[index].people for index in chosen)
    assert 0 < longest_ns < 2 * STEP_NS


def test_a_rig_that_comes_late_has_no_time_saved_up() -> None:
    turns, now_ns, lifted = Turns(), 1_000_000_000, Counter[str]()
    for step in range(600):
        waiting = [Waiting(f"rig{rig}", 15, 0) for rig in range(3 if step >= 300 else 2)]
        waiting.append(Waiting("small", 0, 0))
        chosen = turns.choose(waiting, now_ns)
        if step >= 300:
            lifted.update(waiting[index].rig for index in chosen)
        now_ns += PERSON_NS * sum(1 + waiting[index].people for index in chosen)
    del lifted["small"]
    assert max(lifted.values()) - min(lifted.values()) <= 2


def test_all_take_part_where_a_step_of_fewer_takes_as_long() -> None:
    turns, now_ns, taken = Turns(), 1_000_000_000, []
    waiting = [Waiting("crowd", 60, 0), Waiting("pair", 2, 0)]
    for _ in range(200):
        taken.append(len(turns.choose(waiting, now_ns)))
        now_ns += 2 * STEP_NS
    assert taken[-50:] == [2] * 50


def test_rigs_that_want_about_the_same_are_served_at_once() -> None:
    turns, now_ns = Turns(), 1_000_000_000
    waiting = [Waiting(f"rig{rig}", 1 + rig % 3, 0) for rig in range(9)]
    for _ in range(50):
        assert len(turns.choose(waiting, now_ns)) == 9
        now_ns += 3 * STEP_NS


def test_one_frame_is_taken_however_long_it_takes() -> None:
    turns, now_ns = Turns(), 1_000_000_000
    for _ in range(20):
        waiting = [Waiting("crowd", 64, 0), Waiting("wall", 5, 0)]
        chosen = turns.choose(waiting, now_ns)
        assert chosen
        now_ns += STEP_NS * sum(waiting[index].people for index in chosen)


def test_a_rest_between_steps_is_not_taken_for_work() -> None:
    turns, waiting = Turns(), [Waiting(f"rig{rig}", 5, 0) for rig in range(8)]
    for second in range(1, 20):
        now_ns = second * 1_000_000_000
        fresh = [Waiting(one.rig, one.people, now_ns - 1) for one in waiting]
        assert len(turns.choose(fresh, now_ns)) == 8, "frames that have only just come"


def test_all_take_part_again_when_the_load_is_gone() -> None:
    turns, now_ns = Turns(), 1_000_000_000
    crowds = [Waiting(f"crowd{rig}", 30, 0) for rig in range(9)] + [Waiting("pair", 2, 0)]
    for _ in range(30):
        chosen = turns.choose(crowds, now_ns)
        now_ns += PERSON_NS * sum(1 + crowds[index].people for index in chosen)
    assert len(turns.choose(crowds, now_ns)) < 9
    pair = [Waiting("a", 1, now_ns), Waiting("b", 1, now_ns)]
    assert turns.choose(pair, now_ns) == [0, 1]
