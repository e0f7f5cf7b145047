import numpy as np

from lipnet.core.seeds import derive, generator

KEYS = [(7, *rest) for rest in [(), (0,), (0, 0), (0, 0, 0), (1,), (1, 0), (0, 1)]] + [(2**40,), (2**40, 5)]


def test_every_key_has_a_seed_of_its_own_also_where_keys_differ_by_a_zero_only() -> None:
    assert len({derive("fold", *key) for key in KEYS}) == len(KEYS)
    assert derive("fold", 7, 1) == derive("fold", 7, 1)


def test_the_same_key_gives_other_draws_for_another_purpose() -> None:
    assert derive("fold", 7, 1) != derive("epoch", 7, 1)
    assert generator("fold", 7, 1).random() != generator("epoch", 7, 1).random()


def test_generators_of_the_same_key_draw_the_same() -> None:
    np.testing.assert_array_equal(generator("fold", 7).random(5), generator("fold", 7).random(5))


def test_seeds_fit_in_32_bits_whatever_the_seed_of_the_run() -> None:
    assert all(0 <= derive("fold", *key) < 2**32 for key in KEYS)
