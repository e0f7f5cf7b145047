from lipnet.seeds import derive


def test_the_same_key_gives_the_same_seed_and_near_keys_give_others() -> None:
    keys = [(seed, fold, epoch) for seed in range(3) for fold in range(5) for epoch in range(10)]
    assert len({derive(*key) for key in keys}) == len(keys)
    assert derive(1, 2, 3) == derive(1, 2, 3)


def test_seeds_fit_in_32_bits_whatever_the_seed_of_the_run() -> None:
    assert all(0 <= derive(seed) < 2**32 for seed in (0, 2017, 2**40))
