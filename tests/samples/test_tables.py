from pathlib import Path

from lipnet.samples.tables import read_folds


def test_folds_of_all_repeats_come_in_order_with_their_rows(tmp_path: Path) -> None:
    path = tmp_path / "folds.csv"
    path.write_text("id,repeat0,repeat1\na,0,1\nb,1,1\nc,0,0\n")
    folds = read_folds(path)
    assert [(fold.number, fold.repeat, fold.fold) for fold in folds] == [(0, 0, 0), (1, 0, 1), (2, 1, 0), (3, 1, 1)]
    assert [fold.test.tolist() for fold in folds] == [[0, 2], [1], [2], [0, 1]]
    assert [fold.train.tolist() for fold in folds] == [[1], [0, 2], [0, 1], [2]]
